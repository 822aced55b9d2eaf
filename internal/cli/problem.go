package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	gcpsecret "github.com/evalforge/evalforge/internal/gcp/secret"
)

// A problem is an error with what to do about it, and the exit status it leads to.
type problem struct {
	err    error // nil: everything has been said already
	hints  []string
	status int
}

func (p *problem) Error() string {
	if p.err == nil {
		return ""
	}
	return p.err.Error()
}

func (p *problem) Unwrap() error { return p.err }

// withHint adds remedies to err. It returns nil for a nil err.
func withHint(err error, hints ...string) error {
	if err == nil {
		return nil
	}
	return &problem{err: err, hints: hints, status: statusFailed}
}

// usagef is a mistake on the command line; more names the command that explains it.
func usagef(more, format string, args ...any) error {
	p := &problem{err: fmt.Errorf(format, args...), status: statusFailed}
	if more != "" {
		p.hints = []string{"see: " + more}
	}
	return p
}

// somef ends a command that did its work, of which some failed.
func somef(hint, format string, args ...any) error {
	p := &problem{err: fmt.Errorf(format, args...), status: statusSome}
	if hint != "" {
		p.hints = []string{hint}
	}
	return p
}

// maxChoices is how many words are listed where none is near to what was given.
const maxChoices = 5

// unknown reports a word that is none of known, with the nearest of them, or with all if
// they are few.
func unknown(what, got string, known []string, more string) error {
	p := &problem{err: fmt.Errorf("unknown %s %q", what, got), status: statusFailed}
	if best := nearest(got, known); best != "" {
		p.hints = append(p.hints, fmt.Sprintf("did you mean %q?", best))
	} else if len(known) <= maxChoices {
		p.hints = append(p.hints, "there are: "+strings.Join(known, ", "))
	}
	p.hints = append(p.hints, "see: "+more)
	return p
}

// report prints err and returns the exit status it stands for.
func (t *terminal) report(err error, s *scrubber) int {
	if err == nil {
		return statusDone
	}
	status := statusFailed
	var p *problem
	if errors.As(err, &p) {
		status = p.status
		if p.err == nil {
			return status
		}
	}
	if t.json.Load() {
		attrs := []any{"exit_status", status}
		if hints := hintsOf(err); len(hints) > 0 {
			attrs = append(attrs, "hint", s.text(strings.Join(hints, "; ")))
		}
		t.machine().Error(s.text(err.Error()), attrs...)
		return status
	}
	writeProblem(t.err, s, err)
	return status
}

// writeProblem prints err, and the remedies it carries, one per line. An error that
// joins several is printed as several lines.
func writeProblem(w io.Writer, s *scrubber, err error) {
	for i, line := range strings.Split(s.text(err.Error()), "\n") {
		if i == 0 {
			fmt.Fprintf(w, "evalforge: error: %s\n", printable(line))
		} else {
			fmt.Fprintf(w, "    %s\n", printable(line))
		}
	}
	for _, h := range hintsOf(err) {
		fmt.Fprintf(w, "evalforge: hint: %s\n", printable(s.text(h)))
	}
}

// hintsOf returns the remedies that err carries.
func hintsOf(err error) []string {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p.hints
	}
	return nil
}

// nearest returns the word of known that got was probably meant to be, or "": one that
// begins alike, else the one with the fewest letters changed, if those are few.
func nearest(got string, known []string) string {
	best, dist := "", len(got)/3+2
	for _, k := range known {
		d := editDistance(got, k)
		if len(got) >= 3 && (strings.HasPrefix(k, got) || strings.HasPrefix(got, k)) {
			d = 0
		}
		if d < dist {
			best, dist = k, d
		}
	}
	return best
}

// editDistance returns the Levenshtein distance between a and b, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}

// A scrubber keeps the service's own secrets out of everything that is printed,
// whatever error text of whatever library carries them.
type scrubber struct {
	pairs []string // value, replacement, …
	r     *strings.Replacer
}

func newScrubber(getenv func(string) string) *scrubber {
	s := new(scrubber)
	for _, st := range settings() {
		for _, v := range st.vars {
			if value := getenv(v); st.secret && !gcpsecret.IsReference(value) {
				s.hide(value)
			}
		}
	}
	s.r = strings.NewReplacer(s.pairs...)
	return s
}

// hide keeps a further secret out of what is printed from now on. It is called before
// anything else uses s at the same time.
func (s *scrubber) hide(value string) {
	if len(value) >= minSecret {
		s.pairs = append(s.pairs, value, secretText)
		s.r = strings.NewReplacer(s.pairs...)
	}
}

func (s *scrubber) text(t string) string { return s.r.Replace(t) }

// attr is the ReplaceAttr of the log handlers.
func (s *scrubber) attr(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(s.text(v))
	case error:
		a.Value = slog.StringValue(s.text(v.Error()))
	}
	return a
}
