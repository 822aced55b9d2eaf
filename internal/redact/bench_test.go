package redact

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// syntheticTrace is a document like those that are redacted: messages with prose, code
// and tool results, one in twenty with something to hide.
func syntheticTrace(tb testing.TB, messages int) []byte {
	tb.Helper()
	type message struct {
		Role    string `json:"role"`
		Name    string `json:"name,omitempty"`
		Content string `json:"content"`
		CallID  string `json:"tool_call_id,omitempty"`
	}
	var list []message
	for i := range messages {
		m := message{Role: "assistant", Content: strings.Repeat("The search returned three results; the second one, from 2019-04-05, says that the total was 1,234.56 (see https://example.com/a/b?c=d). ", 4)}
		switch {
		case i%20 == 7:
			m.Content += "\nWrite to ann" + fmt.Sprint(i) + "@example.com or call (415) 555-0132."
		case i%3 == 0:
			result, err := json.Marshal(map[string]any{
				"status": "ok", "order_id": fmt.Sprintf("#W%07d", i), "items": []int{1814201849, 2875804046, i},
				"note": "line one\nline two: std::vector<int> x = f(a, b);\n",
			})
			if err != nil {
				tb.Fatal(err)
			}
			m = message{Role: "tool", Name: "get_order", CallID: "call_" + mixed36[:24], Content: string(result)}
		}
		list = append(list, m)
	}
	doc, err := json.Marshal(map[string]any{"trace_id": hex32, "messages": list})
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func BenchmarkJSON(b *testing.B) {
	r := newRedactor(b, "a secret of the service's own")
	flat := syntheticTrace(b, 2000)
	nested, err := json.Marshal(map[string]string{"payload": string(flat)})
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name string
		doc  []byte
	}{{"flat", flat}, {"JSON in JSON", nested}} {
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(len(bm.doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.JSON(bm.doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	r := newRedactor(b)
	text := strings.Repeat("The quick brown fox (see https://example.com/a/b?c=d) jumped 42 times over x = f(y); ", 10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r.Text(text)
	}
}

// repeated are units of which a hostile text can be made: each triggers a look back or
// ahead that must not add up.
var repeated = []string{
	"@", "a@", "@a", ".a@", "a%40", "key:", "key=", "token=x ", "token=", `password="`, "password='", "eyJ", "eyJ.", "eyJaaaaaaaaaaaa.",
	"sk-", "_sk-", "ghp_", "-----BEGIN ", "-----BEGIN " + "PRIVATE KEY-----", "--token ", "curl -u ", "://", "a://b:c@", "1 ", "1-", "1.", "415-",
	"+1", "(4", ":", "::", "ab:", "Cookie: ", "cookie: a=", "Authorization: ", "Bearer ", "DE89 ", "[REDACTED:", "[REDACTED:EMAIL:abcd]",
	`\`, `{"`, "[", `["`, `"`, "a@b.co ", "4111111111111111 ", "phone 1234567 ", "a-", "a=b&key=", "hooks.slack.com/services/",
}

// BenchmarkRepeated shows that no text of 1 MB costs more than a few times what prose
// of that size costs.
func BenchmarkRepeated(b *testing.B) {
	r := newRedactor(b)
	for _, unit := range repeated {
		text := strings.Repeat(unit, (1<<20)/len(unit))
		b.Run(unit, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.Text(text)
			}
		})
	}
}

// The time for hostile texts grows with their length, not with its square: eight times
// the text may take many times longer on a busy machine, but a quadratic scan of these
// would take minutes.
func TestRepeatedPatternsAreLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r := newRedactor(t)
	for _, unit := range repeated {
		text := strings.Repeat(unit, (1<<20)/len(unit))
		start := time.Now()
		r.Text(text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("1 MB of %q took %v", unit, took)
		}
	}
}
