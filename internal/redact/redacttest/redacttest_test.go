package redacttest_test

import (
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/redact/redacttest"
)

// Every kind that a value can be planted of is, so that a new kind is not forgotten.
func TestCanariesAreOfEveryKind(t *testing.T) {
	planted := make(map[redact.Kind]bool)
	for _, c := range redacttest.Canaries() {
		planted[c.Kind] = true
	}
	for _, kind := range redact.Kinds() {
		if kind != redact.OwnSecret && kind != redact.Dropped && !planted[kind] {
			t.Errorf("no canary is of kind %s", kind)
		}
	}
}

func TestFind(t *testing.T) {
	all := len(redacttest.Canaries())
	for depth := range 3 {
		if got := redacttest.Find([]byte(redacttest.Text(depth))); len(got) != all {
			t.Errorf("at depth %d %d canaries are found, want %d: %v", depth, len(got), all, got)
		}
	}
	value := redacttest.Canaries()[0].Value
	half, less := value[:(len(value)+1)/2], value[:len(value)/2-1]
	leaks, err := redacttest.FindIn(strings.NewReader("x" + half + "y" + "own-secret"))
	if err != nil || len(leaks) != 1 || leaks[0].Offset != 1 {
		t.Errorf("half a value: got %v, %v; want one leak at byte 1", leaks, err)
	}
	if got := redacttest.Find([]byte("x" + less + "y")); got != nil {
		t.Errorf("less than half a value: got %v, want nothing", got)
	}
	if got := redacttest.Find([]byte("the own-secret"), "own-secret"); len(got) != 1 || got[0].Kind != redact.OwnSecret {
		t.Errorf("an extra secret: got %v, want one leak of kind %s", got, redact.OwnSecret)
	}
}
