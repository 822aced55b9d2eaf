package gemini

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
)

// liveVar turns on the tests against the real service, which cost about $0.01.
const liveVar = "EVALFORGE_LIVE"

// record makes the live tests keep the answers in the folder of recordings.
var record = flag.Bool("record", false, "keep the answers of the live tests as recordings")

// The real service accepts the requests, and its answers pass the same checks as any, on
// whichever backend the environment has credentials for.
func TestLive(t *testing.T) {
	if os.Getenv(liveVar) != "1" {
		t.Skipf("SKIPPED: the test against the real service needs %s=1 and GEMINI_API_KEY or GOOGLE_CLOUD_PROJECT", liveVar)
	}
	opt := Options{Backend: GeminiAPI, APIKey: os.Getenv("GEMINI_API_KEY"), Model: os.Getenv("GEMINI_MODEL")}
	if opt.APIKey == "" {
		opt.Backend, opt.Project, opt.Location = Vertex, os.Getenv("GOOGLE_CLOUD_PROJECT"), os.Getenv("VERTEX_AI_LOCATION")
	}
	if *record {
		if err := os.MkdirAll(recordings, 0o755); err != nil {
			t.Fatal(err)
		}
		rec, err := NewRecorder(recordings, opt.APIKey, opt.Project)
		if err != nil {
			t.Fatal(err)
		}
		opt.Transport = rec
	}
	a, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := a.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for _, q := range liveQuestions(t) {
		t.Run(q.name, func(t *testing.T) {
			x, err := q.pipeline(a).Extract(ctx, q.raw)
			if err != nil {
				t.Fatal(err)
			}
			p := &x.Pattern
			t.Logf("%s (%s): %s, %s, %.2f of %.2f; %+v tokens, $%.5f", p.Provenance.Model, p.Provenance.ModelVersion, p.FailureType,
				p.TriggerCondition, p.Confidence, *p.Provenance.ModelConfidence, x.Spent.Tokens, x.Spent.CostUSD)
		})
	}
}

// The recorded answers to the questions of the live tests pass the same checks without
// a key.
func TestReplay(t *testing.T) {
	replayer, err := NewReplayer(recordings)
	if err != nil {
		t.Skipf("SKIPPED: no answers are recorded; with an account make them with %s=1 and -record", liveVar)
	}
	a, err := New(t.Context(), Options{Backend: GeminiAPI, APIKey: "none", Model: os.Getenv("GEMINI_MODEL"), Transport: replayer})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, q := range liveQuestions(t) {
		t.Run(q.name, func(t *testing.T) {
			if _, err := q.pipeline(a).Extract(t.Context(), q.raw); err != nil {
				t.Error(err)
			}
		})
	}
}

// A liveQuestion is a synthetic trace that is sent to the real service.
type liveQuestion struct {
	name string
	raw  evalforge.RawTrace
	r    *redact.Redactor
}

func (q *liveQuestion) pipeline(a extract.Analyzer) *extract.Pipeline {
	return &extract.Pipeline{Analyzer: a, Redactor: q.r, Now: time.Now}
}

// liveQuestions are one trace without and a few with an attempt to steer the model.
func liveQuestions(t *testing.T) []liveQuestion {
	t.Helper()
	r, err := redact.New(redact.Options{Key: []byte("live tests of the model")})
	if err != nil {
		t.Fatal(err)
	}
	list, err := geminitest.Injections()
	if err != nil {
		t.Fatal(err)
	}
	position := geminitest.Positions()[3] // a tool's result
	questions := []liveQuestion{{"plain", position.Put("plain", "Error: upstream timed out after 30 s"), r}}
	for _, in := range list {
		switch in.ID {
		case "override-en", "override-zh", "fence-end-guessed", "role-system-line", "quote-invented", "html-script":
			questions = append(questions, liveQuestion{in.ID, position.Put(in.ID, in.Text), r})
		}
	}
	return questions
}
