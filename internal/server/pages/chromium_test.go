package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// TestChromium looks at the pages as people do. All of it shares one browser; each tab fails its test on any
// error on the console, violation of the Content-Security-Policy, exception, or request to elsewhere.
func TestChromium(t *testing.T) {
	browser := startBrowser(t)
	w := newWorld(t, nil)
	w.live()
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context, *world)
	}{
		{"every page at two widths in both themes", everyPage},
		{"three clicks from the overview to the evidence and what to do", threeClicks},
		{"filters", filters},
		{"charts", charts},
		{"without script", withoutScript},
		{"keyboard", keyboard},
		{"theme", theme},
		{"print", printed},
		{"copy as Markdown", copyMarkdown},
		{"retry", retry},
		{"viewers see no retry", viewers},
		{"live run", liveRun},
		{"hostile trace", hostileTrace},
		{"every width", everyWidth},
		{"long values", longValues},
		{"empty store", emptyStore},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, browser, w) })
	}
}

// every is all pages of a world, and states of them.
func every(w *world) []string {
	return []string{"/", "/patterns", "/patterns?severity=high&q=tool&evidence=verified&since=2026-03-01", "/patterns?service=nobody", w.recurring(),
		w.patternOf("alternating tool calls repeated without progress"), "/runs", w.lastRun(), w.lastRun() + "?outcome=validation_failed", "/quarantine", "/waiting", "/patterns/unknown", "/patterns?type=odd"}
}

func everyPage(t *testing.T, browser context.Context, w *world) {
	axe := loadAxe(t)
	for _, l := range []look{{width: 1600, theme: "light"}, {width: 400, theme: "light"}, {width: 1600, theme: "dark"}, {width: 400, theme: "dark"}} {
		t.Run(fmt.Sprintf("%d %s", l.width, l.theme), func(t *testing.T) {
			b := newTab(t, browser, w.url, l)
			defer b.close()
			b.expected = []string{"Failed to load resource: the server responded with a status of 40"} // two of them are errors
			for _, path := range every(w) {
				b.open(path)
				if title := b.text("h1"); title == "" {
					t.Errorf("%s has no heading", path)
				}
				if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > int(l.width) {
					t.Errorf("%s is %d wide on a window of %d", path, wide, l.width)
				}
				if (l.width == 400) == (l.theme == "dark") { // each width and each theme
					checkAxe(b, axe)
				}
			}
		})
	}
}

// Someone who has never seen the project finds from the first page the most frequent failure, its evidence in
// the trace, and what to do.
func threeClicks(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open("/")
	most := b.text(".groups tbody tr:first-child .title")
	b.follow(".groups tbody tr:first-child .title") // 1
	if got := b.text("h1"); got != most {
		t.Errorf("the first click led to %q, want %q", got, most)
	}
	if got := b.text(".do"); !strings.Contains(got, "What to do") || len(strings.Split(strings.TrimSpace(got), "\n")) < 2 {
		t.Errorf("what to do: %q", got)
	}
	if !eval[bool](b, "document.querySelector('.do').getBoundingClientRect().bottom < innerHeight") {
		t.Error("what to do is not on the first screen")
	}
	b.do(chromedp.Click(".quotes li:first-child a")) // 2
	b.wait("location.hash === '#q1'")
	quote, marked := b.text(".quotes blockquote"), b.text("#q1")
	if marked == "" || !strings.Contains(quote, marked) && !strings.Contains(marked, quote) {
		t.Errorf("marked in the trace: %q, want %q", marked, quote)
	}
	b.wait("(() => { const r = document.querySelector('#q1').getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()")
}

func filters(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	rows := func() int { return eval[int](b, "document.querySelectorAll('.list tbody tr').length") }
	b.open("/patterns")
	if eval[bool](b, "!!document.querySelector('.pager a[rel=next]')") != (rows() == 50) {
		t.Error("a next page is offered when there is none, or not when there is")
	}
	b.follow(".pager a[rel=next]")
	if n := rows(); n == 0 {
		t.Error("the second page is empty")
	}
	// A choice is taken at once, and stands in the address.
	if _, err := chromedp.RunResponse(b.ctx, js("const s = document.querySelector('select[name=type]'); s.value = 'pii_leak'; s.dispatchEvent(new Event('change', {bubbles: true}))")); err != nil {
		t.Fatal(err)
	}
	if p := b.path(); p != "/patterns?type=pii_leak&sort=newest" {
		t.Errorf("the address is %s", p)
	}
	types := eval[[]string](b, "[...document.querySelectorAll('.list tbody .type')].map(e => e.textContent)")
	if len(types) == 0 || slices.ContainsFunc(types, func(s string) bool { return s != "PII leak" }) {
		t.Errorf("filtered by type: %q", types)
	}
	for query, want := range map[string]string{
		"severity=critical":                     "every row is critical: [...document.querySelectorAll('.list tbody .sev')].every(e => e.textContent === 'Critical')",
		"confidence=0.9":                        "every row is sure: [...document.querySelectorAll('.list tbody .conf')].every(e => parseInt(e.textContent) >= 90)",
		"evidence=unverified":                   "no row is verified: [...document.querySelectorAll('.list tbody .yes')].length === 0",
		"q=timed+out":                           "every row has the words: [...document.querySelectorAll('.list tbody tr')].every(e => /time/i.test(e.textContent))",
		"service=trip-planner":                  "every row is of the service: [...document.querySelectorAll('.list tbody .sub')].every(e => e.textContent.includes('trip-planner'))",
		"since=2026-03-14&until=2026-03-14":     "every row is of the day: [...document.querySelectorAll('.list tbody time')].every(e => e.dateTime.startsWith('2026-03-14'))",
		"trigger=model+context+length+exceeded": "one trigger: [...document.querySelectorAll('.list tbody .sub')].every(e => e.textContent.includes('model context length exceeded'))",
		"sort=confidence":                       "the surest first: (l => l.every((v, i) => !i || l[i-1] >= v))([...document.querySelectorAll('.list tbody .conf')].map(e => parseInt(e.textContent)))",
		"sort=severity":                         "the severest first: document.querySelector('.list tbody .sev').textContent === 'Critical'",
		"sort=oldest":                           "the oldest first: (l => l.every((v, i) => !i || l[i-1] <= v))([...document.querySelectorAll('.list tbody time')].map(e => e.dateTime))",
		"model=gemini-2.5-flash":                "none is of a model: document.querySelectorAll('.list').length === 0",
	} {
		b.open("/patterns?" + query)
		what, check, _ := strings.Cut(want, ": ")
		if n := rows(); n == 0 && !strings.HasPrefix(what, "no") {
			t.Errorf("%s: no rows", query)
		}
		if !eval[bool](b, check) {
			t.Errorf("%s: not true that %s", query, what)
		}
	}
	b.open("/patterns?severity=critical&type=toxicity")
	if n := eval[int](b, "document.querySelectorAll('.chips li').length"); n != 2 {
		t.Errorf("%d chips, want 2", n)
	}
	b.follow(".chips li:first-child a")
	if p := b.path(); p != "/patterns?severity=critical" {
		t.Errorf("without the first chip the address is %s", p)
	}
	if got := eval[string](b, "fetch(document.querySelector('.actions a').href).then(r => r.text())"); !strings.Contains(got, `"severity":"critical"`) || strings.Contains(got, `"severity":"low"`) {
		t.Errorf("the export holds %.300s", got)
	}
}

func js(code string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[any](code+";null")(ctx, t)
		return chromedp.Void{}, err
	}
}

func charts(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open("/")
	b.wait("document.querySelectorAll('.u-over').length === 2")
	// A day's numbers are read out, and a click shows its patterns.
	place := eval[[]float64](b, `(() => { const c = document.querySelector('#by-type .u-over'); c.scrollIntoView({block: "center"}); const r = c.getBoundingClientRect();
		return [r.right - r.width / 60, r.top + r.height / 2]; })()`)
	b.do(chromedp.MouseEvent("mouseMoved", place[0], place[1]))
	b.wait("document.querySelector('#by-type .readout').textContent.startsWith('2026-03-20: ')")
	if _, err := chromedp.RunResponse(b.ctx, chromedp.MouseClickXY(place[0], place[1])); err != nil {
		t.Fatal(err)
	}
	if p := b.path(); p != "/patterns?since=2026-03-20&until=2026-03-20" {
		t.Errorf("a click on a day leads to %s", p)
	}
	b.open("/")
	// Every number links to what it counts.
	want := eval[int](b, "parseInt(document.querySelector('#by-severity .legend li:last-child').textContent.match(/\\d+$/)[0])")
	b.follow("#by-severity .legend li:last-child a")
	if got := eval[int](b, "document.querySelectorAll('.list tbody tr').length"); got != want {
		t.Errorf("the legend says %d, and its link shows %d", want, got)
	}
	b.open("/")
	want = eval[int](b, "parseInt(document.querySelector('.groups td a').textContent)")
	b.follow(".groups td a")
	if got := eval[int](b, "document.querySelectorAll('.list tbody tr').length"); got != want {
		t.Errorf("the count of a failure is %d, and its link shows %d", want, got)
	}
}

// withoutScript: everything can be read, filtered and changed.
func withoutScript(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light", noScript: true})
	defer b.close()
	b.expected = []string{"Failed to load resource: the server responded with a status of 40"}
	for _, path := range every(w) {
		b.open(path)
	}
	b.open("/")
	if eval[bool](b, "!document.querySelector('.drawing').getBoundingClientRect().height || !!document.querySelector('.replaced')") {
		t.Error("the drawn chart does not show")
	}
	if !eval[bool](b, "document.querySelectorAll('.drawing .tick').length > 5 && document.querySelectorAll('.drawing rect').length > 10") {
		t.Error("the drawn chart has no axes or no bars")
	}
	if eval[bool](b, "document.querySelector('#theme').checkVisibility()") {
		t.Error("a button that needs script is shown")
	}
	b.open("/patterns")
	b.do(chromedp.SendKeys("input[name=q]", "harassment"))
	b.follow(".filters button[type=submit]")
	if n := eval[int](b, "document.querySelectorAll('.list tbody tr').length"); n == 0 || n == 50 {
		t.Errorf("the form shows %d patterns", n)
	}
	b.open(w.recurring())
	b.follow("#copy")
	if got := b.text("body"); !strings.HasPrefix(got, "# ") {
		t.Errorf("the ticket is %.80q", got)
	}
}

// keyboard: what can be done with a mouse can be done without.
func keyboard(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open(w.patternOf("alternating tool calls repeated without progress"))
	focused := func() string {
		return eval[string](b, "(e => (e.closest('summary,a,button')?.innerText ?? e.tagName).trim())(document.activeElement)")
	}
	var seen []string
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		seen = append(seen, focused())
		if !eval[bool](b, "document.activeElement.matches(':focus-visible')") {
			t.Errorf("the focus on %q cannot be seen", seen[len(seen)-1])
		}
		if strings.Contains(seen[len(seen)-1], "execute_tool get_parcel") {
			break
		}
	}
	if seen[0] != "Skip to content" {
		t.Errorf("the first stop is %q", seen[0])
	}
	for _, want := range []string{"Overview", "Patterns", "Runs", "Quarantine", "Copy as Markdown", "show in the trace"} {
		if !slices.Contains(seen, want) {
			t.Errorf("%q cannot be reached; stops are %q", want, seen)
		}
	}
	before := eval[bool](b, "document.activeElement.closest('details').open")
	b.do(chromedp.KeyEvent(kb.Enter))
	if eval[bool](b, "document.activeElement.closest('details').open") == before {
		t.Error("Enter does not open a step")
	}
}

func theme(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	background := func() string { return eval[string](b, "getComputedStyle(document.body).backgroundColor") }
	b.open("/")
	system := background()
	b.do(chromedp.Click("#theme"), chromedp.Click("#theme"))
	dark := background()
	if dark == system || b.text("#theme") != "Theme: dark" {
		t.Errorf("dark is %s, light %s, and the button says %q", dark, system, b.text("#theme"))
	}
	b.open("/runs")
	if got := background(); got != dark {
		t.Errorf("the next page is %s, want %s", got, dark)
	}
	b.do(chromedp.Click("#theme"))
	if got := background(); got != system {
		t.Errorf("the system's theme is %s, want %s", got, system)
	}
	if at := eval[string](b, "document.querySelector('.list time').title"); !strings.HasSuffix(at, " UTC") {
		t.Errorf("a time's title is %q, want UTC", at)
	}
	if at := b.text(".list time"); !strings.Contains(at, "3:30") { // in Berlin, of 14:30 UTC
		t.Errorf("a time is %q, want the reader's", at)
	}
}

// printed: on paper there is what is read, dark on light, and nothing to click.
func printed(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 800, theme: "dark"})
	defer b.close()
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print",
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	})
	b.open(w.recurring())
	if got := eval[string](b, "getComputedStyle(document.body).backgroundColor"); got != "rgb(255, 255, 255)" {
		t.Errorf("the paper is %s", got)
	}
	if eval[bool](b, "[...document.querySelectorAll('nav[aria-label=Main], #theme, .actions, .tools')].some(e => e.getBoundingClientRect().height > 0)") {
		t.Error("controls are printed")
	}
	if eval[bool](b, "[...document.querySelectorAll('h1, .story, .quotes, .steps')].some(e => e.getBoundingClientRect().height === 0)") {
		t.Error("something to read is not printed")
	}
}

func copyMarkdown(t *testing.T, tabs context.Context, w *world) {
	b := newTab(t, tabs, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{
			Origin: w.url, Setting: "granted", Permission: &browser.PermissionDescriptor{Name: name, AllowWithoutSanitization: true}}); err != nil {
			t.Fatal(err)
		}
	}
	b.open(w.recurring())
	title := b.text("h1")
	b.do(chromedp.Click("#copy"))
	b.wait("document.querySelector('#copy').textContent === 'Copied'")
	got := eval[string](b, "navigator.clipboard.readText()")
	if !strings.HasPrefix(got, "# "+strings.ReplaceAll(title, "_", `\_`)) || !strings.Contains(got, "## What to do") {
		t.Errorf("copied:\n%.300s", got)
	}
}

func retry(t *testing.T, browser context.Context, w *world) {
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open("/quarantine")
	rows := eval[int](b, "document.querySelectorAll('.list tbody tr').length")
	if got := b.text(".stuck"); !strings.Contains(got, "refused-refund-planner") || !strings.Contains(got, "severity: is none of") {
		t.Errorf("the quarantine shows %q", got)
	}
	if got := eval[string](b, "document.querySelector('.stuck pre').textContent"); !strings.Contains(got, "enormous") || strings.Contains(got, "jo.bloggs") {
		t.Errorf("the refused answer is shown as %q", got)
	}
	b.follow("form[action='/quarantine/retry']:has(input[value=refused-refund-planner]) button")
	if got := b.text("[role=status]"); got != "Trace refused-refund-planner is due again: the next run takes it." {
		t.Errorf("after a retry the page says %q", got)
	}
	if got := eval[int](b, "document.querySelectorAll('.list tbody tr').length"); got != rows-1 {
		t.Errorf("%d traces are left, want %d", got, rows-1)
	}
	// A retry from the page of another site is refused.
	b.expected = []string{"Failed to load resource", "request to elsewhere"}
	if _, err := w.store.State(t.Context(), "empty-payload"); err != nil {
		t.Fatal(err)
	}
	b.open("/")
	if status := eval[int](b, "fetch('/quarantine/retry', {method: 'POST', body: new URLSearchParams({trace: 'no-such-trace'})}).then(r => r.url.endsWith('not=no-such-trace') ? r.status : -1)"); status != 200 {
		t.Errorf("a retry of an unknown trace ends with %d", status)
	}
}

func viewers(t *testing.T, browser context.Context, full *world) {
	w := newWorld(t, viewer{})
	w.put(evalforge.RawTrace{TraceID: "empty-payload", Payload: json.RawMessage(`{}`)})
	w.run()
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open("/quarantine")
	if eval[bool](b, "!!document.querySelector('form')") || !strings.Contains(b.text("main"), "needs the role operator") {
		t.Error("a viewer sees a retry button, or not why there is none")
	}
}

// liveRun: a run under way shows, goes on, and is said to have ended.
func liveRun(t *testing.T, browser context.Context, _ *world) {
	w := newWorld(t, nil)
	w.put(w.samples()[:6]...)
	w.gate = make(chan struct{})
	b := newTab(t, browser, w.url, look{width: 1600, theme: "light"})
	defer b.close()
	b.open("/runs")
	done := make(chan error, 1)
	go func() {
		_, err := w.runner.Run(t.Context(), extract.RunRequest{})
		done <- err
	}()
	b.wait("document.querySelector('#live progress')?.value === 0")
	for n := range 6 {
		w.gate <- struct{}{}
		if n < 5 {
			b.wait(fmt.Sprintf("document.querySelector('#live progress')?.value === %d", n+1))
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.wait("document.querySelector('#live .notice')?.textContent.includes('has ended')")
	b.follow("#live .notice a")
	if got := b.text("#outcomes"); got != "6 traces picked up" {
		t.Errorf("the run that has ended says %q", got)
	}
	w.gate = nil
}

func emptyStore(t *testing.T, browser context.Context, _ *world) {
	w := newWorld(t, nil)
	axe := loadAxe(t)
	b := newTab(t, browser, w.url, look{width: 400, theme: "dark"})
	defer b.close()
	for path, want := range map[string]string{"/": "evalforge import", "/patterns": "evalforge import", "/runs": "evalforge run", "/quarantine": "Nothing is quarantined", "/waiting": "Nothing is due"} {
		b.open(path)
		if got := b.text("main"); !strings.Contains(got, want) {
			t.Errorf("%s of an empty store does not say %q but %q", path, want, got)
		}
		checkAxe(b, axe)
	}
}
