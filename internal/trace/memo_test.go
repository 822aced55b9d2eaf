package trace

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// What a memo has read before changes nothing about what it reads next: lists that start as
// others, that end within a message, that have other white space or are none.
func TestMemoReadsAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		`{"role":"user","content":"a"}`, `{"role":"user","content":"a"} `, `{"role":"assistant","content":"b]"}`, `{"type":"message","content":"no role"}`,
		`{"type":"human","content":"c"}`, `{"role":"tool","content":"d","tool_call_id":"1"}`, `{}`, `3`, `"x"`, `[`, `{"role":"user","content":"a"}}`, `{"role":`,
	}
	separators := []string{",", ",", ",", ", ", " ,\n", "", "]", ",,"}
	ends := []string{"]", "]", "] ", "", "]]", ",]", "]x"}
	longest := 0
	for range 200 {
		used := &memo{w: new(workspace)}
		text := "["
		for n := range 12 {
			if n > 0 && r.IntN(8) > 0 { // a text that goes on where the last one ended
				text += separators[r.IntN(len(separators))]
			} else {
				text = "["
			}
			text += pieces[r.IntN(len(pieces)-r.IntN(2)*6)]
			list, role := text+ends[r.IntN(len(ends))], []string{"user", "assistant"}[r.IntN(2)]
			got, ok := used.list(list, role)
			want, wantOK := (&memo{w: new(workspace)}).list(list, role)
			if ok != wantOK || !reflect.DeepEqual(got, want) {
				t.Fatalf("list(%s, %s) after others = %v, %v\nwant %v, %v", list, role, got, ok, want, wantOK)
			}
			longest = max(longest, len(got))
		}
	}
	if longest < 5 {
		t.Errorf("the longest list that was read has %d messages: the test is too easy", longest)
	}
}
