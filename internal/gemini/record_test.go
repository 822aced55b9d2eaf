package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
)

// recordings is where answers of the real service are kept, made with
//
//	EVALFORGE_LIVE=1 GEMINI_API_KEY=… go test ./internal/gemini -run TestLive -record
//
// Nothing else may be put there.
const recordings = "testdata/recordings"

// recorderOf returns a recorder that takes a test's server for the real service.
func recorderOf(t *testing.T, dir string, hide ...string) *Recorder {
	t.Helper()
	r, err := NewRecorder(dir, hide...)
	if err != nil {
		t.Fatal(err)
	}
	r.real = func(*http.Request) bool { return true }
	r.now = func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	return r
}

// What is recorded is answered again without a server and under another redaction key,
// and holds neither key nor project nor personal data, wherever they stand.
func TestRecordAndReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, b Backend) {
		dir := t.TempDir()
		leaky := func(w http.ResponseWriter, q *geminitest.Request) {
			a := geminitest.Plausible(q)
			a.Evidence.Refs = []evalforge.EvidenceRef{{Quote: regexp.MustCompile(`\[REDACTED:EMAIL:\w{4}\] has no parcel`).FindString(string(q.Trace()))}}
			a.Summary = "Written to jo.doe@example.com by projects/test-project/locations/x with " + testKey
			geminitest.JSON(http.StatusOK, map[string]any{
				"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"role": "model", "parts": []any{
					map[string]any{"text": geminitest.Encode(a), "thoughtSignature": "c2lnbmF0dXJl"}}}}},
				"usageMetadata": map[string]any{"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
				"modelVersion":  q.Model, "responseId": "response-of-account-4711",
			})(w, q)
		}
		srv := geminitest.NewServer(t, leaky)
		asking := func(key string, o Options) (*extract.Answer, error) {
			r, err := redact.New(redact.Options{Key: []byte(key)})
			if err != nil {
				t.Fatal(err)
			}
			in := testInput()
			doc, _, err := r.JSON([]byte(`{"steps":[{"i":0,"kind":"input","out":[{"text":"jane.roe@example.org has no parcel, says the service"}]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			in.Compacted.JSON = doc
			a, err := New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			return a.Analyze(ctx, in)
		}
		o := Options{Backend: b, APIKey: testKey, BaseURL: srv.URL, Transport: recorderOf(t, dir, testKey, "test-project")}
		if b == Vertex {
			o.Project = "test-project"
		}
		if _, err := asking("one installation's key", o); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%d files, %v; want one", len(files), err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range leaks(t, bytes.Replace(text, []byte("127.0.0.1"), []byte("test.googleapis.com"), 1)) { // the test's server
			t.Error(p)
		}
		for _, secret := range []string{testKey, "test-project", "jo.doe", "jane.roe", "4711", "c2lnbmF0dXJl", "X-Goog", "Authorization"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the recording holds %q:\n%s", secret, text)
			}
		}

		asked := len(srv.Requests())
		replayer, err := NewReplayer(dir)
		if err != nil {
			t.Fatal(err)
		}
		ans, err := asking("another installation's key", Options{Backend: GeminiAPI, APIKey: "none", Transport: replayer})
		if err != nil {
			t.Fatal(err)
		}
		r, err := redact.New(redact.Options{Key: []byte("another installation's key")})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := r.Text("jane.roe@example.org has no parcel")
		if diff := cmp.Diff(want, ans.Analysis.Evidence.Refs[0].Quote); diff != "" {
			t.Errorf("quote (-want +got):\n%s", diff)
		}
		if len(srv.Requests()) != asked {
			t.Error("the replay asked the service")
		}
		_, err = asking("k", Options{Backend: GeminiAPI, APIKey: "none", Model: "gemini-3.5-flash-lite", Transport: replayer})
		if extract.KindOf(err) != extract.KindRejected || !strings.Contains(err.Error(), "no recording") {
			t.Errorf("a question that was not recorded: %v", err)
		}
	})
}

// Only the real service is recorded, and only when it was asked with credentials.
func TestRecorderTakesNothingElse(t *testing.T) {
	srv := geminitest.NewServer(t)
	dir := t.TempDir()
	rec, err := NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), Options{Backend: GeminiAPI, APIKey: testKey, BaseURL: srv.URL, Transport: rec, Backoff: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Analyze(t.Context(), testInput()); err == nil || !strings.Contains(err.Error(), "only the real service") || len(srv.Requests()) != 0 {
		t.Errorf("recording a test server: %v, %d requests", err, len(srv.Requests()))
	}
	for url, header := range map[string]string{
		"https://generativelanguage.googleapis.com/v1beta/models/m:generateContent":             "",
		"http://generativelanguage.googleapis.com/v1beta/models/m:generateContent":              "X-Goog-Api-Key",
		"https://generativelanguage.googleapis.com.example.com/v1beta/models/m:generateContent": "X-Goog-Api-Key",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set(header, "k")
		}
		if realService(req) {
			t.Errorf("%s with %q is taken for the real service", url, header)
		}
	}
	if _, err := NewRecorder(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that does not exist is accepted")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// leaks lists what must not be in a recording.
func leaks(t *testing.T, text []byte) (problems []string) {
	t.Helper()
	for _, p := range []string{`AIza[0-9A-Za-z_-]{10}`, `ya29\.`, `(?i)bearer `, `projects/[^H]`, `-----BEGIN`, `(?i)"(authorization|x-goog-[a-z-]+|set-cookie|responseId|thoughtSignature)"`} {
		if m := regexp.MustCompile(p).Find(text); m != nil {
			problems = append(problems, "holds "+string(m))
		}
	}
	r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	_, counts, err := r.JSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Total() > 0 {
		problems = append(problems, "redaction finds something to hide in it: "+cmp.Diff(nil, counts))
	}
	return problems
}

// The recordings that are shipped hold no secret, say where they are from, and can be
// read. There may be none: they take an account to make.
func TestShippedRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := offline(Options{Backend: GeminiAPI, APIKey: "none"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range leaks(t, text) {
			t.Errorf("%s: %s", f, p)
		}
		var rec recording
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if !strings.HasSuffix(rec.Service, ".googleapis.com") || rec.Recorded == "" {
			t.Errorf("%s: recorded of %q on %q", f, rec.Service, rec.Recorded)
		}
		var body struct {
			Contents []struct {
				Parts []struct {
					Text string `json:"text"`
				} `json:"parts"`
			} `json:"contents"`
		}
		if err := json.Unmarshal(rec.Request, &body); err != nil || len(body.Contents) != 1 {
			t.Errorf("%s: request: %v", f, err)
		}
		var resp struct {
			Candidates []struct {
				Content struct {
					Parts []struct {
						Text string `json:"text"`
					} `json:"parts"`
				} `json:"content"`
			} `json:"candidates"`
		}
		if err := json.Unmarshal(rec.Response, &resp); err != nil || len(resp.Candidates) == 0 {
			t.Errorf("%s: response: %v", f, err)
			continue
		}
		var answer strings.Builder
		for _, p := range resp.Candidates[0].Content.Parts {
			answer.WriteString(p.Text)
		}
		if _, fail := a.decode(answer.String()); fail != nil {
			t.Logf("%s: the recorded answer is refused: %v", f, fail.err)
		}
	}
	t.Logf("%d recordings", len(files))
}
