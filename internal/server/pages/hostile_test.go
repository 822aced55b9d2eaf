package pages_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
)

// hostile is text that would like to be more than text.
var hostile = strings.Join([]string{
	`<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1"><svg/onload=window.pwned=1>`,
	`"><a href="javascript:window.pwned=1">`, `{{.}} {{template "layout"}} ${7*7} <%= 7*7 %>`, "`</pre></script><style>body{display:none}</style>",
	"\u202eevil\u202c \u2066isolated\u2069 \u200b", "\x1b[31mred\x1b[0m\x07 \x00", `' onmouseover='window.pwned=1`, "]]> --> */",
}, " ")

// hostileTrace: every page shows a trace full of HTML, script, template syntax, bidi and control characters
// and a line of five megabytes as text.
func hostileTrace(t *testing.T, browser context.Context, _ *world) {
	w := newWorld(t, nil)
	id := `<b onclick=alert(1)>{{.}}"'&` + "\u202e" + `?x=#y%2e`
	payload, err := json.Marshal(map[string]any{"messages": []map[string]any{
		{"role": "user", "content": hostile},
		{"role": "assistant", "content": hostile, "tool_calls": []map[string]any{{"id": "c1", "type": "function", "function": map[string]any{"name": "<i>tool</i>", "arguments": `{"a": "<script>window.pwned=1</script>"}`}}}},
		{"role": "tool", "tool_call_id": "c1", "content": "Error: " + hostile},
		{"role": "assistant", "content": strings.Repeat("<b>x</b>", 5<<20/8)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.put(evalforge.RawTrace{TraceID: id, ServiceName: "<script>window.pwned=1</script>", FailureType: hostile, Payload: payload, FetchedAt: evalforge.At(today)},
		evalforge.RawTrace{TraceID: "refused-" + id, ServiceName: hostile, Payload: json.RawMessage(`{"input":"<script>window.pwned=1</script>"}`), FetchedAt: evalforge.At(today)})
	run := w.run()
	for _, o := range run.TraceOutcomes {
		if o.SourceTraceID == id && o.Status != evalforge.Stored {
			t.Fatalf("the hostile trace ended as %s: %s", o.Status, *o.ErrorReason)
		}
	}
	stored, err := w.store.Pattern(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	w.replace(stored)
	w.put(evalforge.RawTrace{TraceID: "waiting-" + id, ServiceName: hostile, Payload: json.RawMessage(`{"input":"x"}`), FetchedAt: evalforge.At(today)})

	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	pages := map[string]string{"/": ".groups", "/patterns": ".list", "/runs": ".list", w.lastRun(): ".waterfall", "/quarantine": ".stuck", "/waiting": ".list"}
	for path, part := range pages {
		b.open(path)
		if b.text(part) == "" {
			t.Errorf("%s shows nothing", path)
		}
		harmless(b, path)
	}
	b.open("/patterns")
	b.follow(".list .title")
	harmless(b, "the pattern")
	got := eval[string](b, "document.querySelector('.steps').textContent")
	for _, want := range []string{"<script>window.pwned = 1</script>", "{{.}}", "‹U+202E›", "␛[31m", "bytes cut]"} {
		if !strings.Contains(got, want) {
			t.Errorf("the trace does not show %q as text", want)
		}
	}
	if got := b.text("h1"); !strings.HasPrefix(got, "<script>") || strings.ContainsRune(got, '\u202e') {
		t.Errorf("the title is %.80q", got)
	}
	b.open("/patterns?q=" + "%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E&service=%22%3E%3Cscript%3E")
	harmless(b, "a hostile filter")
}

// harmless checks that nothing of a page came from a trace but text.
func harmless(b *tab, where string) {
	b.Helper()
	if eval[bool](b, "'pwned' in window") {
		b.Errorf("%s ran a script of the trace", where)
	}
	if odd := eval[string](b, `[...document.querySelectorAll("main script, main style, main img, main [onclick], main [onerror], main [style], main b, main i, main iframe, a[href^=javascript]")].filter(e => !e.closest(".uplot")).map(e => e.outerHTML.slice(0, 80)).join()`); odd != "" {
		b.Errorf("%s has elements of the trace: %s", where, odd)
	}
}
