package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The normal form loses nothing of what was decoded.
func TestNormalFormDecodesToTheSameTrace(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input files: %v", err)
	}
	for _, f := range files {
		payload, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Normal(want, MaxStored)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", f, diff)
		}
		if again, err := Normal(got, MaxStored); err != nil || string(again) != string(b) {
			t.Errorf("%s: the normal form of the normal form differs", f)
		}
	}
}

func TestNormalFormKeepsItsBoundAndTheErrors(t *testing.T) {
	for _, steps := range []int{1, 300, 3_000} {
		tr := &Trace{ID: "x", Format: FormatOpenAI}
		for i := range steps {
			m := Message{Role: "user", Text: fmt.Sprintf("message %d ", i) + strings.Repeat("ö\x00\"", 300_000/steps)}
			tr.Messages = append(tr.Messages, m)
			s := Step{Index: i, Kind: KindLLM, Name: "m", Out: []int{i}, Tokens: unknownTokens}
			if i == steps/3 {
				s.Status, s.Err = Error, &Failure{Message: "the decisive error"}
			}
			tr.Steps = append(tr.Steps, s)
		}
		for _, limit := range []int{128 << 10, 32 << 10} {
			b, err := Normal(tr, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > limit || !json.Valid(b) {
				t.Errorf("%d steps: %d bytes for a limit of %d, or no JSON", steps, len(b), limit)
			}
			got, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			checkTrace(t, got)
			found := false
			for _, s := range got.Steps {
				found = found || s.Err != nil && s.Err.Message == "the decisive error" && s.Index == steps/3
			}
			if !found {
				t.Errorf("%d steps, limit %d: the error is lost", steps, limit)
			}
		}
	}
}
