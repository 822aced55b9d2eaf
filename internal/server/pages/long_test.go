package pages_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/evalforge/evalforge"
)

// longValues: the longest ids and names that a trace may have push nothing out of sight, at either width. Once all
// traces are quarantined, no page says that they wait.
func longValues(t *testing.T, browser context.Context, _ *world) {
	w := newWorld(t, nil)
	long := func(prefix string) evalforge.RawTrace {
		return evalforge.RawTrace{TraceID: prefix + strings.Repeat("x", 1400), ServiceName: strings.Repeat("s", 400), FetchedAt: evalforge.At(today), Payload: json.RawMessage(`{"input":"x"}`)}
	}
	w.put(long("refused-"))
	w.run()
	_, body := w.get("/")
	if !strings.Contains(body, "No trace waits: 1 failed for good.") || strings.Contains(body, "Start a run") {
		t.Errorf("the first page does not say where the trace is: %s", body)
	}
	w.put(long("waiting-"))
	for _, l := range []look{{width: 1600, theme: "light"}, {width: 400, theme: "light"}} {
		b := newTab(t, browser, w.url, l)
		for _, path := range []string{"/quarantine", "/waiting", w.lastRun()} {
			b.open(path)
			if hidden := eval[string](b, `[...document.querySelectorAll(".list *")].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 60)).join()`); hidden != "" {
				t.Errorf("%s, %d wide: out of sight are %s", path, l.width, hidden)
			}
		}
		b.close()
	}
}

// everyWidth: no table is cut off, whatever the width of the window: half a screen, a tablet, paper.
func everyWidth(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 400, theme: "light"})
	defer b.close()
	for _, path := range []string{"/", "/patterns", "/runs", w.lastRun(), "/quarantine", "/waiting"} {
		b.open(path)
		for _, width := range []int64{400, 739, 861, 960, 1046, 1101, 1600} {
			b.do(chromedp.EmulateViewport(width, 1000))
			// Charts take their new width a moment later.
			b.wait(`[...document.querySelectorAll(".flush, .panel, main")].every(e => e.scrollWidth <= e.clientWidth)`)
		}
	}
}
