package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

func TestQuotations(t *testing.T) {
	for text, want := range map[string][]string{
		`It said "one two" and "three".`:          {"one two", "three"},
		`It said “one two” and „three four“.`:     {"one two", "three four"},
		`Il dit « un deux » et »drei vier«.`:      {" un deux ", "drei vier"},
		"It ran `rm -rf` in ``bash``.":            {"rm -rf", "bash"},
		`It said 'the user's name' twice.`:        {"the user's name"},
		`It said ‘the user’s name’ twice.`:        {"the user’s name"},
		`The users' data and the hosts' data.`:    nil,
		`A 5" disk and a 3" disk.`:                nil,
		`He didn't, and they wouldn't.`:           nil,
		`It said "one“ and “two".`:                {"one“ and “two"},
		`It said "one`:                            nil,
		`"" and "x"`:                              {"x"},
		`「一二三」と『四』`:                               {"一二三", "四"},
		`"` + strings.Repeat("x ", 2000) + `end"`: nil,
	} {
		var got []string
		for _, q := range quotations(text) {
			got = append(got, text[q.from:q.to])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", text, diff)
		}
	}
}

// What prose puts in quotation marks must have been sent; recommended actions quote what
// should be said.
func TestQuotationsInProse(t *testing.T) {
	doc, err := json.Marshal(map[string]any{"steps": []any{map[string]any{"i": 0, "output": "ERROR: connection refused\nby \"upstream\" host", "tool": map[string]any{"name": "get_order", "args": `{"order_id": "A-77"}`}}}})
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{
		Trace:     &trace.Trace{Tools: []trace.Tool{{Name: "a_tool_that_was_cut"}}},
		Compacted: trace.Compacted{JSON: doc}, FailureType: "tool_error_hint",
		Signals: []signal.Signal{{Name: "http_error_signal", Detail: "HTTP 503 at step 0"}},
	}
	for _, text := range []string{
		`It said "connection refused".`, `It said "Connection Refused by".`, `It said “connection refused by 'upstream' host.”`,
		`It said "ERROR: … refused ... host".`, `It said "short".`, `The hint "tool_error_hint" and the signal "http_error_signal".`,
		`The label "tool or dependency unreachable", not "infrastructure_error".`, "It called `get_order(order_id=\"A-77\")`.", "It called `a_tool_that_was_cut`.",
	} {
		a := evalforge.Analysis{Summary: text}
		if fields, n := misquoted(&a, in, newSent(doc)); n != 0 || fields != nil || a.Summary != text {
			t.Errorf("%q is refused: %d in %q, now %q", text, n, fields, a.Summary)
		}
	}
	for text, want := range map[string]string{
		`The tool said "permission denied for user root".`:       `The tool said "[not found in the trace]".`,
		`„Zugriff wurde verweigert“, then "connection refused".`: `„[not found in the trace]“, then "connection refused".`,
		"It ran `DROP TABLE users` and “deleted everything”.":    "It ran `[not found in the trace]` and “[not found in the trace]”.",
		"It ran `drop_table(users)`.":                            "It ran `[not found in the trace]`.",
		`It said "connection refused … by user root".`:           `It said "[not found in the trace]".`,
	} {
		for _, field := range []string{"title", "summary", "root_cause_hypothesis", "confidence_rationale", "evidence.signals[0]", "reproduction_context.input_pattern", "reproduction_context.required_state", "recommended_actions[0]"} {
			state := ""
			a := evalforge.Analysis{Evidence: evalforge.Evidence{Signals: []string{""}}, RecommendedActions: []string{""}, ReproductionContext: evalforge.ReproductionContext{RequiredState: &state}}
			put := func(name string, s *string) {
				if name == field {
					*s = text
				}
			}
			eachProse(&a, put)
			fields, n := misquoted(&a, in, newSent(doc))
			got := ""
			eachProse(&a, func(name string, s *string) {
				if name == field {
					got = *s
				}
			})
			if field == "recommended_actions[0]" {
				if n != 0 || got != text {
					t.Errorf("%s %q became %q", field, text, got)
				}
				continue
			}
			if got != want || n == 0 || len(fields) != 1 || fields[0] != field {
				t.Errorf("%s %q became %q in %q, want %q", field, text, got, fields, want)
			}
		}
	}
}

// A quote counts once, however often and in whatever parts it is given.
func TestDistinctQuotes(t *testing.T) {
	got := distinct([]string{"refused by", "Connection refused  by upstream", "connection refused", "no such order", "connection refused"}, func(s string) string { return s })
	if diff := cmp.Diff([]string{"connection refused by upstream", "no such order"}, got); diff != "" {
		t.Errorf("distinct (-want +got):\n%s", diff)
	}
}

func TestWeightOfQuotes(t *testing.T) {
	for quote, want := range map[string]float64{
		"upstream": 1.0 / 3, "connection refused": 17.0 / 24, "404 no such order": 1, "ECONNREFUSED-10-0-0-1": 1,
		"连接被上游主机拒绝": 1, "[REDACTED:EMAIL:ab12] bounced": 1.0 / 3, "x": 1.0 / 3,
	} {
		if got := weight(quote); got != want {
			t.Errorf("weight(%q) = %v, want %v", quote, got, want)
		}
	}
}

// Whatever a text is, its quotations lie within it, in order, and replacing them works.
func FuzzQuotations(f *testing.F) {
	for _, text := range []string{`"a" „b“ ‘c’`, "`x``", `'" "'`, "\xff\"a\xff\"", "»«»"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, q := range quotations(text) {
			if q.from <= last-1 || q.to < q.from || q.to > len(text) {
				t.Fatalf("%+v in %q behind %d", q, text, last)
			}
			last = q.to
		}
	})
}
