package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
)

// What was cut when a trace was stored is missing from what is sent, too.
func TestWhatWasCutToStoreCounts(t *testing.T) {
	red, err := redact.New(redact.Options{Key: []byte("the key of this test")})
	if err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{Redactor: red}
	in, err := p.View(evalforge.RawTrace{TraceID: "a", Payload: json.RawMessage(`{"evalforge_trace":2,"cut":{"bytes":500,"steps":3},"messages":[{"role":"user","text":"x"}],"steps":[{"kind":"llm","in":[0,0]}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if in.Compacted.BytesCut != 500 || in.Compacted.StepsOmitted != 3 {
		t.Errorf("%d bytes and %d steps are missing, want 500 and 3", in.Compacted.BytesCut, in.Compacted.StepsOmitted)
	}
	if len(in.Trace.Warnings) != 1 || !strings.Contains(in.Trace.Warnings[0], "500 bytes of texts, 3 steps were left out") {
		t.Errorf("warnings %q", in.Trace.Warnings)
	}
}
