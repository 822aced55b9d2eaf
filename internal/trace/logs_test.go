package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The order and the number of the requests in which log records come do not matter.
func TestLogRecordsInAnyOrder(t *testing.T) {
	record := func(n int) string {
		role := []string{"user", "assistant"}[n%2]
		return fmt.Sprintf(`{"timeUnixNano":"%d","traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000002","eventName":"gen_ai.%s.message","body":{"kvlistValue":{"values":[{"key":"content","value":{"stringValue":"text %d"}}]}}}`,
			1760000000000000000+n, role, n)
	}
	export := func(batches ...[]int) string {
		var resources []string
		for _, b := range batches {
			var records []string
			for _, n := range b {
				records = append(records, record(n))
			}
			resources = append(resources, `{"scopeLogs":[{"logRecords":[`+strings.Join(records, ",")+`]}]}`)
		}
		return `{"resourceLogs":[` + strings.Join(resources, ",") + `]}`
	}
	decode := func(doc string) string {
		tr, err := Decode([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return describe(tr)
	}
	want := decode(export([]int{0, 1, 2, 3, 4, 5}))
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(rt, "order")
		n := rapid.IntRange(0, len(order)).Draw(rt, "first batch")
		batches := [][]int{order[:n], order[n:]}
		if rapid.Bool().Draw(rt, "sent again") {
			batches = append(batches, slices.Clone(order[:n]))
		}
		if diff := cmp.Diff(want, decode(export(batches...))); diff != "" {
			rt.Errorf("batches %v (-want +got)\n%s", batches, diff)
		}
	})
}

// Log records that stand in lines of their own are lines of their spans' steps, whatever
// stands between them.
func TestLogRecordsInLines(t *testing.T) {
	const id = `"traceId":"5b8efff798038103d269b633813fc60c"`
	lines := `{` + id + `,"timeUnixNano":"1760000000200000000","severityNumber":17,"body":{"stringValue":"payment service unreachable"}}
{` + id + `,"spanId":"0000000000000001","name":"invoke_agent desk","startTimeUnixNano":"1760000000000000000","endTimeUnixNano":"1760000001000000000","status":{"code":2}}
{` + id + `,"spanId":"00000000000000aa","timeUnixNano":"1760000000100000000","severityText":"INFO","body":{"stringValue":"GET /health"}}
`
	var steps []Step
	for d, err := range Split("in", strings.NewReader(lines), SplitOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		tr, err := Decode(d.Payload)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, tr.Steps...)
	}
	if len(steps) != 1 || steps[0].ID != "0000000000000001" {
		t.Fatalf("%d steps, want the span's alone: %+v", len(steps), steps)
	}
	want := map[string]string{"log.error": "payment service unreachable", "log.info": "GET /health"}
	if diff := cmp.Diff(want, steps[0].Attrs); diff != "" {
		t.Errorf("Attrs (-want +got)\n%s", diff)
	}
	if steps[0].Err == nil || steps[0].Err.Message != "payment service unreachable" {
		t.Errorf("Err = %+v, want what was logged", steps[0].Err)
	}
}

// What is kept of a step's log lines is bounded, and says what is missing.
func TestLogLinesAreBounded(t *testing.T) {
	var sp span
	for range 10_000 {
		sp.logs = append(sp.logs, logLine{9, strings.Repeat("x", 100)})
	}
	var s Step
	addLogs(&s, &sp)
	if got := len(s.Attrs["log.info"]); got > maxLogBytes+maxLogLines+40 {
		t.Errorf("%d bytes of lines are kept", got)
	}
	if !strings.Contains(s.Attrs["log.info"], "more lines]") {
		t.Error("nothing says that lines are missing")
	}
}
