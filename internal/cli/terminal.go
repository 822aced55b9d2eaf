package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/gcp/logging"
)

// A terminal is where a call writes: it knows which of its outputs are terminals, and
// how wide they are.
type terminal struct {
	out io.Writer
	err io.Writer // clears the progress bar before it writes
	// color is set when out takes colour; live when err shows a progress bar.
	color, live bool
	// json is set when machines read err: then it gets lines of a log only.
	json atomic.Bool
	// width is the columns of prose; cut is set when tables are cut at it.
	width int
	cut   bool

	mu  sync.Mutex
	raw io.Writer // under err
	bar *bar      // on screen, or nil
}

// The bounds of prose, in columns.
const (
	defaultWidth = 80
	minWidth     = 40
	maxWidth     = 120
)

func newTerminal(env Env) *terminal {
	t := &terminal{out: env.Stdout, raw: env.Stderr, width: defaultWidth}
	t.err = barWriter{t}
	noColor := env.Getenv("NO_COLOR") != "" || env.Getenv("TERM") == "dumb"
	if f, ok := env.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.color, t.cut = !noColor, true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			t.width = w
		}
	}
	if f, ok := env.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.live = env.Getenv("TERM") != "dumb"
	}
	if n, err := strconv.Atoi(env.Getenv("COLUMNS")); err == nil && n > 0 {
		t.width, t.cut = n, true
	}
	t.width = min(max(t.width, minWidth), maxWidth)
	return t
}

// note writes a line for people to stderr; where machines read it, a line of the log.
func (t *terminal) note(format string, args ...any) {
	if t.json.Load() {
		t.machine().Info(fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintf(t.err, format+"\n", args...)
}

// machine is a log of what is otherwise said to people. It is not redacted: addresses and
// names of files have to be read.
func (t *terminal) machine() *slog.Logger { return slog.New(logging.New(t.err, logging.Options{})) }

// bold marks s on a terminal that takes it.
func (t *terminal) bold(s string) string {
	if !t.color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// barWriter writes to a terminal's stderr without tearing the progress bar.
type barWriter struct{ t *terminal }

func (w barWriter) Write(p []byte) (int, error) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.t.bar != nil {
		w.t.bar.clear()
	}
	return w.t.raw.Write(p)
}

// columnGap is what stands between the columns of a table.
const columnGap = "  "

// table writes rows under a header, columns aligned. On a terminal the last column ends at
// its width; elsewhere nothing is cut, so that other programs see everything. Control
// characters of the cells are replaced.
func (t *terminal) table(header []string, rows [][]string) {
	widths := make([]int, len(header))
	all := append([][]string{header}, rows...)
	for i, row := range all {
		for j, cell := range row {
			cell = printable(cell)
			all[i][j] = cell
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range all {
		var b strings.Builder
		used := 0
		for j, cell := range row {
			if j == len(row)-1 {
				if t.cut {
					cell = excerpt.Clip(cell, max(t.width-used, 20))
				}
				b.WriteString(cell)
				break
			}
			fmt.Fprintf(&b, "%-*s%s", widths[j], cell, columnGap)
			used += widths[j] + len(columnGap)
		}
		line := strings.TrimRight(b.String(), " ")
		if i == 0 {
			line = t.bold(line)
		}
		fmt.Fprintln(t.out, line)
	}
}

// wrap breaks text into lines of at most width columns; every line starts with indent.
// Line breaks of the text are kept, words longer than a line are not broken.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	for _, para := range strings.Split(strings.TrimSpace(text), "\n") {
		col := 0
		for _, word := range strings.Fields(printable(para)) {
			n := utf8.RuneCountInString(word)
			if col > 0 && col+1+n > width {
				b.WriteByte('\n')
				col = 0
			}
			if col == 0 {
				b.WriteString(indent)
				col = utf8.RuneCountInString(indent)
			} else {
				b.WriteByte(' ')
				col++
			}
			b.WriteString(word)
			col += n
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// bullet writes text as an item of a list.
func (t *terminal) bullet(text string) {
	const sign, indent = "  - ", "    "
	io.WriteString(t.out, sign+strings.TrimPrefix(wrap(text, indent, t.width), indent))
}

// printable replaces what could steer a terminal: text from traces is written by
// strangers. Tabs and line breaks become spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || r == '\u202E' || r == '\u202D' || r == '\u2066' || r == '\u2067' || r == '\u2068':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
