package pages_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a browser for the tests of a function. Without Chromium they are skipped, or fail
// where EVALFORGE_REQUIRE_BROWSER is set.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("EVALFORGE_REQUIRE_BROWSER") != "" {
			t.Fatal("EVALFORGE_REQUIRE_BROWSER is set, but there is no chromium: apt-get install chromium")
		}
		t.Skip("SKIPPED: there is no chromium, so no page was looked at: apt-get install chromium")
	}
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("force-prefers-reduced-motion", true), chromedp.Flag("lang", "en-US"), chromedp.Flag("disable-gpu", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), o...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// A look is how a page is looked at.
type look struct {
	width    int64
	theme    string // light or dark
	noScript bool
}

// A tab is one tab of the browser. What goes wrong in it fails the test: errors on the console, violations
// of the Content-Security-Policy, exceptions, requests to elsewhere.
type tab struct {
	*testing.T
	ctx   context.Context
	close context.CancelFunc
	base  string

	mu sync.Mutex
	// expected are beginnings of console messages that are no problem.
	expected []string
}

func newTab(t *testing.T, browser context.Context, base string, l look) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx, close: cancel, base: base}
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as this context
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	b.call(func(ctx context.Context) error {
		for _, enable := range []func() error{
			func() error { _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); return err },
			func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
			func() error { _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); return err },
			func() error {
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme}}})
				return err
			},
			func() error {
				_, err := chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
				return err
			},
			func() error {
				_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript})
				return err
			},
		} {
			if err := enable(); err != nil {
				return err
			}
		}
		return nil
	})
	b.do(chromedp.EmulateViewport(l.width, 1000))
	return b
}

func (b *tab) heard(ev any) {
	problem := ""
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem = "exception: " + ev.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if ev.Type == "error" || ev.Type == "warning" {
			problem = fmt.Sprintf("console %s: %v", ev.Type, ev.Args)
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" || ev.Entry.Level == "warning" {
			problem = ev.Entry.Text + " " + ev.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(ev.Request.URL, b.base+"/") && !strings.HasPrefix(ev.Request.URL, "data:") {
			problem = "request to elsewhere: " + ev.Request.URL
		}
	}
	if problem == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.expected {
		if strings.HasPrefix(problem, e) {
			return
		}
	}
	b.Error(problem)
}

// call runs f with the tab's context.
func (b *tab) call(f func(context.Context) error) {
	b.Helper()
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error { return f(ctx) }))
}

// do runs actions, and ends the test when one fails.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.Fatalf("in the browser: %v", err)
	}
}

func (b *tab) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// eval returns the value of an expression, or of the promise it is.
func eval[T any](b *tab, js string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("in the browser: %.200s: %v", js, err)
	}
	return v
}

// text returns the text of what a selector finds first.
func (b *tab) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

func (b *tab) path() string {
	b.Helper()
	return eval[string](b, "location.pathname + location.search + location.hash")
}

// follow clicks, and waits for the page that comes.
func (b *tab) follow(selector string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector)); err != nil {
		b.Fatalf("following %s on %s: %v", selector, b.path(), err)
	}
}

// wait waits until an expression is true.
func (b *tab) wait(js string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](js)); err != nil {
		b.Fatalf("waiting for %s on %s: %v", js, b.path(), err)
	}
}

func (b *tab) screenshot() []byte {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	return png
}
