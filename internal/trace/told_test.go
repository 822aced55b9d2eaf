package trace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTellsError(t *testing.T) {
	long := strings.Repeat("An ordinary line of a log. ", 40)
	for text, want := range map[string]bool{
		"Error: order 17 not found": true,
		"  Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 'x'": true,
		long + "\nTraceback (most recent call last):\nKeyError":                true,
		"botocore.exceptions.ClientError: An error occurred (AccessDenied)":    true,
		"HTTP 503 Service Unavailable":                                         true,
		`{"error":{"code":429,"message":"Too Many Requests"}}`:                 true,
		`{"success": false, "data": null}`:                                     true,
		"exitcode: 1 (execution failed)\nCode output: x":                       true,
		"Permission denied": true,
		"exitcode: 0 (execution succeeded)\nCode output: no such error": false,
		`{"error": null, "rows": [1, 2]}`:                               false,
		`{"errors":[],"data":{"ok":true}}`:                              false,
		"12 tests passed, 0 failed":                                     false,
		long + "the error was fixed":                                    false,
		"42 EUR":                                                        false,
		"":                                                              false,
	} {
		if got := tellsError(text); got != want {
			t.Errorf("tellsError(%.60q) is %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"ConnectionError: host unreachable":            true,
		"I looked at the error that you described.":    false,
		"The report lists what failed and why.":        false,
		"ok\nTraceback (most recent call last):\n ...": true,
	} {
		if got := startsAsError(text); got != want {
			t.Errorf("startsAsError(%.60q) is %v, want %v", text, got, want)
		}
	}
}

// An error that only a tool's text tells of survives every cut, in formats that have no
// status, and among many others of another kind.
func TestErrorsThatNobodyMarkedSurvive(t *testing.T) {
	const mark = "KABOOM-7731"
	r := rand.New(rand.NewPCG(1, 2))
	words := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "item%d ", r.IntN(1e6))
		}
		return b.String()
	}
	quoted := func(s string) string { return string(appendString(nil, s)) }
	formats := map[string]func(results []string) string{
		"OpenAI chat": func(results []string) string {
			list := []string{`{"role":"user","content":"go"}`}
			for i, res := range results {
				list = append(list, fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":"c%d","type":"function","function":{"name":"f","arguments":%s}}]}`, i, quoted(`{"q":"`+words(500)+`"}`)),
					fmt.Sprintf(`{"role":"tool","tool_call_id":"c%d","content":%s}`, i, quoted(res)))
			}
			return `{"messages":[` + strings.Join(list, ",") + `]}`
		},
		"AutoGen history": func(results []string) string {
			list := []string{`{"content":"go","role":"user"}`}
			for _, res := range results {
				list = append(list, fmt.Sprintf(`{"content":%s,"role":"assistant","name":"Coder"}`, quoted(words(500))),
					fmt.Sprintf(`{"content":%s,"role":"user","name":"Computer_terminal"}`, quoted(res)))
			}
			return `{"history":[` + strings.Join(list, ",") + `]}`
		},
		"SWE-agent": func(results []string) string {
			var list []string
			for _, res := range results {
				list = append(list, fmt.Sprintf(`{"action":%s,"observation":%s,"thought":"t","response":"r","state":"{}"}`, quoted("run "+words(500)), quoted(res)))
			}
			return `{"environment":"swe_main","info":{"exit_status":"submitted"},"trajectory":[` + strings.Join(list, ",") + `]}`
		},
	}
	failures := map[string]string{
		"a stack trace": "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\nKeyError: '" + mark + "'",
		"a line":        "Error: " + mark + " is not known here",
	}
	for name, format := range formats {
		for kind, failure := range failures {
			for _, n := range []int{60, 120, 500} {
				for among, other := range map[string]string{"fine results": "", "others": "Error: request 17 was refused: try again"} {
					results := make([]string, n)
					for i := range results {
						if results[i] = words(500); other != "" && i%3 == 0 {
							results[i] = other
						}
					}
					results[n/2+1] = failure
					tr, err := Decode([]byte(format(results)))
					if err != nil || tr.Format == FormatOpaque {
						t.Fatalf("%s: %v, %v", name, tr.Format, err)
					}
					for _, budget := range []int{8 << 10, 16 << 10, 32 << 10} {
						if c := Compact(tr, budget); !bytes.Contains(c.JSON, []byte(mark)) {
							t.Errorf("%s: %s in the middle of %d %s is lost at %d bytes", name, kind, n, among, budget)
						}
					}
				}
			}
		}
	}
}
