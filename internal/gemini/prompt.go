package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// instruction returns everything that is told to the model whatever the trace: the
// same bytes in each request, and first, so that the service's implicit caching (from
// 2,048 tokens of equal prefix on) applies.
func instruction() string {
	var b strings.Builder
	b.WriteString(prompts.System())
	b.WriteString("\n# Categories\nfailure_type: definition. Then its labels, one a line.\n")
	for _, c := range prompts.Categories() {
		b.WriteString("\n" + string(c.FailureType) + ": " + c.Definition + "\n")
		for _, cond := range c.Conditions {
			b.WriteString(cond.Label + "\n")
		}
	}
	b.WriteString("\n# Examples\nMade-up traces and answers, of these only what they are examples of.\n")
	for _, e := range prompts.Examples() {
		b.WriteString("\nHINTS " + string(e.Hints) + "\nTRACE " + string(e.Trace) + "\nANSWER " + string(e.Excerpt()) + "\n")
	}
	return b.String()
}

// maxMarkers bounds the search for a marker that the data does not contain. One is
// enough unless the source of randomness is broken.
const maxMarkers = 8

var errMarker = errors.New("no marker could be found that the trace does not contain: the random source repeats itself")

// message returns the message that carries one trace, with the trace last, and behind it,
// in a repair, the refused answer and the reasons. Each stands between lines with a random
// marker that none contains, so that nothing in them can end the data or pose as
// instructions.
//
// In a repair all that comes before is the first message but for the marker, so that the
// instruction before it is still the cached one.
func message(in *extract.Input, newMarker func() string) (string, error) {
	hints, err := hintsJSON(in)
	if err != nil {
		return "", err
	}
	frame := prompts.Request()
	refused, problems := "", ""
	if r := in.Repair; r != nil {
		frame += prompts.Repair()
		refused = string(r.Previous)
		if problems, err = encode(r.Problems); err != nil {
			return "", err
		}
	}
	for range maxMarkers {
		m := newMarker()
		if m == "" || bytes.Contains(in.Compacted.JSON, []byte(m)) || strings.Contains(hints, m) || strings.Contains(refused, m) || strings.Contains(problems, m) {
			continue
		}
		// One pass: places that occur in the data are not replaced.
		r := strings.NewReplacer("{{marker}}", m, "{{hints}}", hints, "{{trace}}", string(in.Compacted.JSON),
			"{{refused}}", refused, "{{problems}}", problems)
		return r.Replace(frame), nil
	}
	return "", errMarker
}

// Bounds on the hints. Signals come in order of precedence, so the last are dropped.
const (
	maxSignals   = 12
	maxHintRunes = 200
)

// hints are what ingestion and the detectors said. Their texts hold names from the
// trace, so they are data like the trace itself.
type hints struct {
	FailureType string       `json:"failure_type,omitempty"`
	Severity    string       `json:"severity,omitempty"`
	Service     string       `json:"service,omitempty"`
	Signals     []signalHint `json:"signals,omitempty"`
	Cut         *cutHint     `json:"cut,omitempty"`
}

type signalHint struct {
	Signal    string                `json:"signal"`
	Step      *int                  `json:"step,omitempty"` // index i
	Weight    float64               `json:"weight"`
	SpeaksFor evalforge.FailureType `json:"speaks_for,omitempty"`
	Suggests  string                `json:"suggests,omitempty"`
	Detail    string                `json:"detail"`
}

type cutHint struct {
	Bytes int `json:"bytes"`
	Steps int `json:"steps"`
}

func hintsJSON(in *extract.Input) (string, error) {
	h := hints{FailureType: short(in.FailureType), Severity: short(in.Severity), Service: short(in.ServiceName)}
	for i, s := range in.Signals {
		if i == maxSignals {
			break
		}
		sh := signalHint{Signal: s.Name, Weight: math.Round(100*s.Weight) / 100, SpeaksFor: s.FailureType, Suggests: s.Condition, Detail: short(s.Detail)}
		if in.Trace != nil && s.Step >= 0 && s.Step < len(in.Trace.Steps) {
			sh.Step = &in.Trace.Steps[s.Step].Index
		}
		h.Signals = append(h.Signals, sh)
	}
	if c := in.Compacted; c.BytesCut > 0 || c.StepsOmitted > 0 {
		h.Cut = &cutHint{Bytes: c.BytesCut, Steps: c.StepsOmitted}
	}
	return encode(h)
}

// encode writes v as JSON on one line, as traces are written.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a weight that is no number
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// short bounds a hint's text.
func short(s string) string {
	if utf8.RuneCountInString(s) <= maxHintRunes {
		return s
	}
	return string([]rune(s)[:maxHintRunes-1]) + "…"
}
