package trace

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// repetitive are inputs of about n bytes with one long thing beside thousands of short ones,
// each of which could be held against all of it.
func repetitive(n int) map[string]string {
	long := strings.Repeat("lorem ipsum ", n/24)
	behind := func(first, entry string) string {
		var b strings.Builder
		b.WriteString(first)
		for i := 0; b.Len() < n; i++ {
			b.WriteString("," + strings.ReplaceAll(entry, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	task := `{"type":"assistant","sessionId":"s","uuid":"a","message":{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"Task","input":{"subagent_type":"x","prompt":"` + long + `"}}]}}`
	code := func(text string) string {
		return `{"history":[{"name":"a","role":"x","content":"` + text + `"},{"name":"b","role":"x","content":"exitcode: 1"}]}`
	}
	return map[string]string{
		"errors below a long one": `{"spans":[` + behind(`{"span_id":"p","name":"n","status":"error","error":"`+long+`"}`,
			`{"span_id":"#","parent_id":"p","name":"n","status":"error","error":"lorem ipsum lorem #"}`) + `]}`,
		"entries of a long task": `{"messages":[` + behind(task,
			`{"type":"user","sessionId":"s","uuid":"#","parent_tool_use_id":"c","message":{"role":"user","content":"#"}}`) + `]}`,
		"arguments that were cut": `{"spans":[` + behind(`{"span_id":"p","name":"n","input":"`+long[:200]+`"}`,
			`{"span_id":"#","name":"n","kind":"tool","tool_name":"f","input":"{\"#\": \"`+strings.Repeat("x", 80)+`"}`) + `]}`,
		"messages of one span":   `{"spans":[{"span_id":"p","name":"n","attributes":{` + behind(`"llm.request.type":"chat"`, `"gen_ai.prompt.#.content":"#"`) + `}}]}`,
		"fences without a line":  code(strings.Repeat("```", n/3)),
		"fences before one line": code(strings.Repeat("```", n/6) + strings.Repeat(" ", n/2) + `\n`),
	}
}

// cpuTime is the time that this process has computed: wall time says little on a busy
// machine.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Decoding takes time in proportion to the input, whatever is in it: where each short thing
// is held against a long one, a megabyte takes a hundred times what encoding/json takes.
func TestTimeIsLinear(t *testing.T) {
	const most = 30
	for name, payload := range repetitive(1 << 20) {
		ratio := 0.0
		for range 3 { // other tests' memory may be collected meanwhile
			start := cpuTime(t)
			var v any
			if err := json.Unmarshal([]byte(payload), &v); err != nil {
				t.Fatal(err)
			}
			json := max(cpuTime(t)-start, time.Millisecond)
			start = cpuTime(t)
			if _, err := Decode([]byte(payload)); err != nil {
				t.Fatal(err)
			}
			if ratio = float64(cpuTime(t)-start) / float64(json); ratio <= most {
				break
			}
		}
		if ratio > most {
			t.Errorf("%s: %.0f times as long as encoding/json, want at most %d", name, ratio, most)
		}
	}
}

// codeBlocksByLine is codeBlocks as one would say it, looking for the end of the line behind
// each fence.
func codeBlocksByLine(s string) string {
	var blocks []string
	for {
		_, rest, ok := strings.Cut(s, "```")
		if !ok {
			return strings.Join(blocks, "\n\n")
		}
		s = rest
		language, code, ok := strings.Cut(rest, "\n")
		if !ok || strings.ContainsFunc(strings.TrimRight(language, " \t\r"), notLanguage) {
			continue
		}
		if code, s, ok = strings.Cut(code, "```"); !ok {
			return strings.Join(blocks, "\n\n")
		}
		blocks = append(blocks, strings.TrimRight(code, "\n"))
	}
}

// fragments draws texts put together of some parts.
func fragments(parts ...string) *rapid.Generator[string] {
	return rapid.Custom(func(rt *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 24).Draw(rt, "parts"), "")
	})
}

func TestCodeBlocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := fragments("```", "`", "\n", "sh", " ", "\t", "\r\n", "x = 1", "é", "").Draw(rt, "s")
		if got, want := codeBlocks(s), codeBlocksByLine(s); got != want {
			rt.Fatalf("codeBlocks(%q) = %q, want %q", s, got, want)
		}
	})
}

// What is left of a text without some words is what is left when they are taken out one
// after the other, also where taking out one makes another.
func TestWithout(t *testing.T) {
	parts := append([]string{"no ", "er", "ror", " ", "0 ", "fail", `"`, ":", "[]", "null", "é", "K", "ſ"}, noErrors...)
	rapid.Check(t, func(rt *rapid.T) {
		s := strings.ToLower(fragments(parts...).Draw(rt, "s"))
		want := s
		for _, word := range noErrors {
			want = strings.ReplaceAll(want, word, "")
		}
		if got := without(s, noErrors, &noErrorStarts); got != want {
			rt.Fatalf("without(%q) = %q, want %q", s, got, want)
		}
	})
}

func TestAppendWords(t *testing.T) {
	for text, want := range map[string]string{
		"Error: file 17 not found": "Error file not",
		"  été, 3":                 "été",
		"one":                      "one",
		"\xffa\xffb":               "a b",
		"17 42":                    "",
		"":                         "",
	} {
		if got := string(appendWords([]byte("step\n"), text, 3)); got != "step\n"+want {
			t.Errorf("appendWords(%q) = %q, want %q behind the name", text, got, want)
		}
	}
}
