package problem

import (
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The types of problems lead to docs/api.md, which describes each with its status.
func TestEveryKindIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^### ([a-z-]+)\n(\d+)\. `).FindAllStringSubmatch(string(doc), -1) {
		described[m[1]] = m[2]
	}
	kinds := map[string]string{}
	for k, m := range meanings() {
		kinds[string(k)] = strconv.Itoa(m.Status)
	}
	if d := cmp.Diff(kinds, described); d != "" {
		t.Errorf("kinds and their statuses (-code +docs/api.md):\n%s", d)
	}
}

// What can be tried again says when; what cannot does not.
func TestRetryAfter(t *testing.T) {
	for _, k := range slices.Sorted(maps.Keys(meanings())) {
		w := httptest.NewRecorder()
		Write(w, httptest.NewRequest("GET", "/", nil), New(k, "detail"))
		if got, want := w.Header().Get("Retry-After") != "", w.Code == 503; got != want {
			t.Errorf("%s: Retry-After is there: %t, want %t", k, got, want)
		}
	}
}
