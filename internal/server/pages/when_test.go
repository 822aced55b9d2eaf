package pages_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
)

// A failure is not of the day on which it was extracted: its page and its ticket say when the trace began, as far as
// a clock that was set has said so, and when it came in.
func TestWhenATraceFailed(t *testing.T) {
	for _, test := range []struct{ name, start, began string }{
		{"a span with a time", "1772960400000000000", "2026-03-08T09:00:00"},
		{"a clock that was never set", "1000", ""},
		{"a clock that is ahead", "4102444800000000000", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, nil)
			came := evalforge.At(time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC))
			w.put(evalforge.RawTrace{TraceID: "late", FetchedAt: came, Payload: json.RawMessage(fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[
				{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"lookup","startTimeUnixNano":%q,"endTimeUnixNano":%[1]q,"status":{"code":2,"message":"503 Service Unavailable"}}]}]}]}`, test.start))})
			w.run()
			_, page := w.get("/patterns/late")
			_, ticket := w.get("/patterns/late/ticket")
			if got := strings.Contains(page, "began <time"); got != (test.began != "") || !strings.Contains(page, `datetime="`+test.began) {
				t.Errorf("the page says that the trace began: %v, want %q", got, test.began)
			}
			if !strings.Contains(page, `<dt>Came in</dt><dd><time datetime="2026-03-09T12:00:00Z"`) {
				t.Error("the page does not say when the trace came in")
			}
			if !strings.Contains(ticket, "- Came in: 2026-03-09T12:00:00") || strings.Contains(ticket, "- Began: "+test.began) != (test.began != "") {
				t.Errorf("the ticket is %s", ticket)
			}
		})
	}
}

// A trace whose time ingestion does not know, or has wrong, waits like any other.
func TestTraceOfNoTimeWaits(t *testing.T) {
	for name, at := range map[string]evalforge.Timestamp{"no time": {}, "the future": evalforge.At(today.AddDate(3, 0, 0))} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.put(evalforge.RawTrace{TraceID: "waits", FetchedAt: at, Payload: json.RawMessage(`{"input":"x"}`)})
			if _, page := w.get("/"); !strings.Contains(page, `<span class="tile-more">since when is not known</span>`) {
				t.Errorf("the first page: %s", page)
			}
		})
	}
}
