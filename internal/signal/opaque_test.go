package signal

import (
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/trace"
)

// A payload of unknown form that ends with an error is that failure; one whose errors were
// followed by more, were given to it or are what its answer is about decides nothing.
func TestEndingsOfUnknownForms(t *testing.T) {
	for _, tt := range []struct{ name, payload, want string }{
		{"status", `{"endpoint":"/v1/chat","status_code":502,"response":{"body":"<html>502</html>"}}`, CondModelServer},
		{"log", `{"job":"x","events":[{"lvl":"INFO","msg":"start"},{"lvl":"ERROR","msg":"openai.RateLimitError: Error code: 429"}]}`, CondModelRate},
		{"stage", `{"stages":[{"stage":"a","ms":1},{"stage":"b","error":{"message":"request to crm timed out after 30s"}}]}`, CondToolTimeout},
		{"database", `{"result":null,"err":"dial tcp 10.0.0.4:6379: connect: connection refused"}`, CondToolUnreachable},
		{"got over", `{"stages":[{"stage":"a","error":{"message":"timed out"}},{"stage":"a","ms":22}]}`, ""},
		{"given", `{"request":{"error":{"message":"timed out"}},"ms":4}`, ""},
		{"answer about errors", `{"topic":"http","output":"Timeout errors have the status 504."}`, ""},
		{"no errors", `{"errors":[],"error":null,"exception":"","status":200}`, ""},
		{"numbers that are no status", `{"room":{"number":404,"code":500,"status":"clean"}}`, ""},
		{"ticket with a reply", `{"ticket":{"severity":"critical","text":"500 Internal Server Error"},"reply":"We have fixed it."}`, ""},
		{"report of checks", `{"checks":[{"name":"db","status":503,"message":"Service Unavailable"}],"report":"The db is down."}`, ""},
		{"words of the whole", `{"ok":false,"timeout_ms":30}`, ""},
		{"deep", strings.Repeat(`{"a":`, 5000) + `{"error":"timed out"}` + strings.Repeat("}", 5000), ""},
		{"broken", `{"error":"timed out"`, ""},
	} {
		v := newView(&trace.Trace{Format: trace.FormatOpaque, Steps: []trace.Step{{Kind: trace.KindOpaque, Input: tt.payload}}}, "")
		got := ""
		for _, s := range endings(v) {
			if s.Decides() {
				got = s.Condition
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
