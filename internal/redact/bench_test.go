package redact

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"syscall"
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
	"key ", "key 1 ", "password ", "password is ", "is as the password ", "пароль ", "密码", "code 1234 is your code ", "identified by ", "env A ",
	"mnemonic a ", "my name is A", "birth 1 ", "live at 1 A ", "passport 1 ", " -p", "mysql -p", "$2b$", "f(\"", "auth(\"a\",", "Private-Lines: 1", "{\"a\":",
	"{\"a\":1}", "{\"a\":\"{", "<password ", "api|", "license ",
	"token%3D", "a%3A", "%2525", "token%253Dx", "name: token\nvalue: b\n", "value:", "password,b\n", "password,", "| ssn |\n", "(a,password) values (", "ann (at) ",
	"a(at)b.", "a at b dot c ", "&#64;", "jwt.sign(", "echo a | sudo -S ", "net use /user:a b ", "machine login password 1 ", "he was born ", "otp codes 1234 1234 ",
	"AUTH a ", "c:1> auth ", "redis-cli -a ", "answer: ", "security question answer: ", "htpasswd -b a ", "echo a:b | chpasswd ", `fill("password",`, `"--password",`,
	"recovery codes: a1b2c3d4 ", "SECRET_KEY=(1", `{"password":{"type":"object",`, `{"apiVersion":"v1","data":`, `variable "a" default = `, `<input type="password" value=`,
	`"name":"A B",`, "Mia <mia@x.co> ", "bytes(\"", "token=from(\"",
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

const (
	// patternBytes is the size of the hostile texts. A quadratic scan shows at it.
	patternBytes = 128 << 10
	// maxLoops is how many times as long as a loop over as many bytes redaction may take.
	// 100 loops are 50 ms for 1 MB on the machine on which that bound was set; the rest is
	// for machines that do other things.
	maxLoops = 250
)

// cpuTime is the time that this process has computed: wall time says little on a machine
// that does other things.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed returns the time that f computes.
func timed(f func()) time.Duration {
	start := cpuTime()
	f()
	return cpuTime() - start
}

// looped is the time of a loop that looks at each of n bytes in a table: what slows down
// the machine slows down both it and what it is compared with.
func looped(n int) time.Duration {
	const bytes = 1 << 20
	text := strings.Repeat("x", bytes)
	count := 0
	loop := timed(func() {
		for i := range len(text) {
			if wordSet[text[i]] {
				count++
			}
		}
	})
	runtime.KeepAlive(count)
	return max(loop, 300*time.Microsecond) * time.Duration(n) / bytes
}

// checkPattern fails when redacting a text made of unit takes too long, or when four times
// as much takes more than ten times as long: a quadratic scan takes sixteen times.
func checkPattern(t *testing.T, r *Redactor, unit string) {
	t.Helper()
	whole := strings.Repeat(unit, max(4, patternBytes/len(unit)))
	quarter := whole[:len(whole)/4]
	loops := math.Inf(1)
	part, all := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for range 32 { // the best of many, and mostly of one: a busy machine gives short spells of quiet
		loop := looped(len(whole))
		part = min(part, timed(func() { r.Text(quarter) }))
		took := timed(func() { r.Text(whole) })
		all, loops = min(all, took), min(loops, float64(took)/float64(loop))
		if loops <= maxLoops && all <= 10*max(part, 5*loop) {
			return
		}
	}
	t.Errorf("%q again and again takes %.0f loops over it, want at most %d; %v, and a quarter of it %v: the time must grow with the length", unit, loops, maxLoops, all, part)
}

// The time for hostile texts is bounded, and grows with their length, not with its square.
func TestRepeatedPatterns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r := newRedactor(t, "own-secret-value")
	for _, unit := range repeated {
		checkPattern(t, r, unit)
	}
}

// FuzzRepeated looks for patterns of which a text takes long.
func FuzzRepeated(f *testing.F) {
	for _, unit := range append(repeated, fragments...) {
		f.Add(unit)
	}
	r := newRedactor(f, "own-secret-value")
	f.Fuzz(func(t *testing.T, unit string) {
		if len(unit) == 0 || len(unit) > 256 {
			return
		}
		checkPattern(t, r, unit)
	})
}
