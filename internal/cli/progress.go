package cli

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A bar shows how far a command is: a bar on a terminal, else a few plain lines.
type bar struct {
	t     *terminal
	what  string
	total int // 0: unknown
	live  *progressbar.ProgressBar
	done  int
	next  int // done at which the next plain line is due
	// percents is set where total is 100 percent; note follows them.
	percents bool
	note     string
}

// plainLines bounds the lines that a bar without a terminal prints for a known total.
const plainLines = 10

// firstLine is how many items an unknown total takes before the first plain line; the
// number doubles from line to line.
const firstLine = 1000

// The look of a bar: its columns, and the least time between two drawings.
const (
	barWidth = 30
	redraw   = 100 * time.Millisecond
)

// progress starts a bar for total items; 0 when it is not known how many there are. End
// must be called.
func (t *terminal) progress(what string, total int) *bar {
	b := &bar{t: t, what: what, total: total, next: firstLine}
	if total > 0 {
		b.next = max((total+plainLines-1)/plainLines, plainLines)
	}
	if !t.live {
		return b
	}
	n := total
	if n == 0 {
		n = -1 // a spinner
	}
	b.live = progressbar.NewOptions(n,
		progressbar.OptionSetWriter(t.raw),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(total > 0),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionThrottle(redraw),
	)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bar = b
	return b
}

// set says that done items are done.
func (b *bar) set(done int) {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	if b.live != nil {
		_ = b.live.Set(done) // a bar that cannot be drawn is no reason to fail
	}
	b.done = done
	if b.live != nil || done < b.next {
		return
	}
	if b.total > 0 {
		step := max((b.total+plainLines-1)/plainLines, plainLines)
		b.next = done + step
		if b.percents {
			b.plain("%s: %d %%, %s\n", b.what, done, b.note)
			return
		}
		b.plain("%s: %d of %d\n", b.what, done, b.total)
		return
	}
	b.next = done * 2
	b.plain("%s: %d\n", b.what, done)
}

// percent starts a bar that counts to 100.
func (t *terminal) percent(what string) *bar {
	b := t.progress(what, 100)
	b.percents = true
	return b
}

// setPercent says that so many percent are done; note tells what of.
func (b *bar) setPercent(n int, note string) {
	b.t.mu.Lock()
	if b.note = note; b.live != nil {
		b.live.Describe(b.what + " " + note)
	}
	b.t.mu.Unlock()
	b.set(n)
}

// end takes the bar off the screen.
func (b *bar) end() {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	if b.live == nil {
		return
	}
	b.clear()
	b.t.bar = nil
}

// clear makes room for a line of text. t.mu is held.
func (b *bar) clear() { _ = b.live.Clear() }

// plain writes a line. t.mu is held.
func (b *bar) plain(format string, args ...any) { fmt.Fprintf(b.t.raw, format, args...) }
