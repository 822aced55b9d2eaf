package extract_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// What a service or a model says in an error is stored as harmless as a pattern: nothing
// that a terminal or a browser acts on, nothing that nobody sees.
func TestErrorRecordsAreInert(t *testing.T) {
	const hostile = "\x1b]0;pwn\x07\x1b[31mRED\u202eevil\u200b\U000E0068<script>x</script>"
	s := memory.New()
	put(t, s, 1)
	e := engine(t, s, failing(&extract.Error{Kind: extract.KindSchema, Err: errors.New("field " + hostile), Response: []byte(hostile)}), extract.Options{Backoff: -1})
	run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
	records, _, err := s.Errors(t.Context(), extract.ErrorQuery{RunID: run.RunID, PageQuery: extract.PageQuery{Limit: 10}})
	if err != nil || len(records) != 1 {
		t.Fatalf("%+v, %v; want one record", records, err)
	}
	doc, err := json.Marshal([]any{records, run.TraceOutcomes})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(doc), "pwn") || !strings.Contains(string(doc), "REDevil") {
		t.Errorf("stored: %s", doc)
	}
	for _, bad := range []string{`\\u001b`, `\\u0007`, "\u202e", "\u200b", "\U000E0068", `\\u003cscript`} {
		if bad = strings.ReplaceAll(bad, `\\`, `\`); strings.Contains(string(doc), bad) {
			t.Errorf("%q is stored: %s", bad, doc)
		}
	}
}
