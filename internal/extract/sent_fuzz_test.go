package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/excerpt"
)

// Whatever JSON was sent: no panic, what is content is a string of the document, and each
// piece of it that is long enough is found at an offset inside the document.
func FuzzSent(f *testing.F) {
	f.Add(`{"format":"x","steps":[{"i":0,"kind":"tool","attrs":{"key of the trace":"value"},"out":[{"m":0,"role":"user","text":"a \"quoted\" text"}]}]}`, "quoted")
	f.Add(`{"steps":[{"i":3,"error":{"message":"…[12 bytes cut]… the tail"}},{"omitted_steps":4,"from":1,"to":4}]}`, "the tail")
	f.Add(`["😀\n[REDACTED:EMAIL:ab12] and more text"]`, "and more text")
	f.Add(`{"attrs":{"a":{"attrs":"b"}},"i":1e9}`, "steps")
	f.Fuzz(func(t *testing.T, doc, quote string) {
		if !json.Valid([]byte(doc)) {
			return
		}
		s := newSent([]byte(doc))
		eachText([]byte(doc), func(from, to, _ int) {
			if from < 1 || to > len(doc) || from > to || doc[from-1] != '"' || to < len(doc) && doc[to] != '"' {
				t.Fatalf("content %d:%d of %q is no string", from, to, doc)
			}
		})
		for _, q := range append(strings.Split(Quotable([]byte(doc)), "\x00"), quote) {
			p := s.find(excerpt.Visible(q), -1)
			if p.match != matchAbsent && (p.offset < 0 || p.offset >= len(doc)) {
				t.Fatalf("%q is found at %d of %d bytes", q, p.offset, len(doc))
			}
		}
	})
}
