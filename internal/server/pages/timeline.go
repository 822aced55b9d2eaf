package pages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/trace"
)

// A timeline is a trace as an analyzer was given it: redacted, compacted, step by step.
type timeline struct {
	Format       string
	Steps        []step
	Total        int // steps of the trace, shown or not
	BytesBefore  int
	BytesAfter   int
	BytesCut     int
	StepsOmitted int
	Labels       []wireLabel
	Warnings     []string
	Dropped      int
	Began        evalforge.Timestamp // zero when unknown
	Whole        time.Duration       // from the first step's start to the last one's end; 0 when unknown
}

// A step is one row of a timeline: a step of the trace, or a note that stands for several.
type step struct {
	Note string // "" for a step; else what is folded or left out

	Index    int
	Kind     string
	Name     string
	Agent    string
	Model    string
	Status   string
	Depth    int // capped
	Took     time.Duration
	Tokens   string
	Finish   string
	Failing  bool
	Open     bool
	Blocks   []block
	Attrs    []block
	Preview  string
	Evidence []int // numbers of the quotes that are in it
	// Title and By are the name and the agent with the quotes that are in them.
	Title, By []segment
	// From and Width are where the step lies in the whole, in thousandths; Width is 0 when unknown.
	From, Width int
}

// A block is one text of a step.
type block struct {
	Class string // who or what says it; one of a few words
	Label string
	Head  []segment // the label with the quotes that are in it
	Note  string    // before the text, or instead of it
	Same  *int      // the step that the note speaks of
	Segs  []segment
	text  string
}

// A text of more is shown in a frame, which can be opened; bytes and lines.
const (
	longBytes = 2000
	longLines = 24
)

// Long is how long the text is, in bytes, if that is long, or 0.
func (b block) Long() int {
	if len(b.text) > longBytes || strings.Count(b.text, "\n") >= longLines {
		return len(b.text)
	}
	return 0
}

const (
	maxDepth     = 8
	previewRunes = 160
	maxNameRunes = 200
)

// newTimeline returns the timeline of a prepared trace with the pattern's failing step marked and its
// quotes highlighted. It numbers the quotes as they stand in refs, from 1, and reports which it found.
func newTimeline(in *extract.Input, p *evalforge.Pattern) (*timeline, []bool, error) {
	var w wireTrace
	if err := json.Unmarshal(in.Compacted.JSON, &w); err != nil {
		return nil, nil, fmt.Errorf("the compacted trace cannot be read: %w", err)
	}
	t := &timeline{
		Format: in.Trace.Format, Total: len(in.Trace.Steps), BytesBefore: in.BytesBefore, BytesAfter: len(in.Compacted.JSON),
		BytesCut: in.Compacted.BytesCut, StepsOmitted: in.Compacted.StepsOmitted, Labels: w.Labels, Dropped: w.Dropped,
	}
	for _, raw := range w.Warnings {
		t.Warnings = append(t.Warnings, text(raw))
	}
	byIndex := map[int]*trace.Step{}
	for i := range in.Trace.Steps {
		byIndex[in.Trace.Steps[i].Index] = &in.Trace.Steps[i]
	}
	clock, texts := newSpanClock(in.Trace.Steps), newOrigins(w.Steps)
	t.Began, t.Whole = clock.began(in.Trace.Start, p.ExtractedAt.Time), clock.whole()
	for i := range w.Steps {
		t.Steps = append(t.Steps, newStep(&w.Steps[i], byIndex, clock, texts))
	}
	found := t.highlight(p.Evidence.Refs)
	for i := range t.Steps {
		s := &t.Steps[i]
		s.Failing = p.FailingStep != nil && s.Note == "" && s.Index == p.FailingStep.Index
		s.Open = s.Failing || len(s.Evidence) > 0
	}
	if len(t.Steps) <= 3 && !slices.ContainsFunc(t.Steps, func(s step) bool { return s.Open }) {
		for i := range t.Steps { // nothing else says where to look
			t.Steps[i].Open = true
		}
	}
	visibleAll(t)
	return t, found, nil
}

func newStep(w *wireStep, byIndex map[int]*trace.Step, clock spanClock, texts origins) step {
	switch {
	case w.RepeatedSteps > 0:
		return step{Note: fmt.Sprintf("Steps %d–%d (%d) repeat others: identical to %s.", w.From, w.To, w.RepeatedSteps, w.IdenticalTo)}
	case w.OmittedSteps > 0 && w.To > 0:
		return step{Note: fmt.Sprintf("Steps %d–%d (%d) are left out: the trace is longer than what is sent to an analyzer.", w.From, w.To, w.OmittedSteps)}
	case w.Index == nil:
		return step{Note: fmt.Sprintf("%d steps are left out: the trace is longer than what is sent to an analyzer.", w.OmittedSteps)}
	}
	s := step{Index: *w.Index, Kind: w.Kind, Name: w.Name, Blocks: w.blocks(texts), Attrs: w.attrs()}
	if full := byIndex[*w.Index]; full != nil {
		s.Kind, s.Name, s.Agent, s.Model = string(full.Kind), excerpt.Clip(full.Name, maxNameRunes), excerpt.Clip(full.Agent, maxNameRunes), excerpt.Clip(full.Model, maxNameRunes)
		s.Status, s.Depth, s.Took, s.Finish = string(full.Status), min(full.Depth, maxDepth), full.Dur, excerpt.Clip(full.Finish, maxNameRunes)
		if full.Tokens.In > 0 || full.Tokens.Out > 0 {
			s.Tokens = fmt.Sprintf("%d in, %d out", max(full.Tokens.In, 0), max(full.Tokens.Out, 0))
		}
		s.From, s.Width = clock.place(full)
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		if b.Same != nil && *b.Same == s.Index {
			b.Note, b.Same, b.text = "the same as above", nil, ""
		}
		if b.Class == "error" {
			s.Status = string(trace.Error)
		}
	}
	for _, class := range []string{"error", "out", "assistant", "result", "call", ""} {
		if s.Preview = preview(s.Blocks, class); s.Preview != "" {
			break
		}
	}
	return s
}

// preview returns the beginning of the first text of a class, or of any if class is "".
func preview(blocks []block, class string) string {
	for _, b := range blocks {
		if (class == "" || b.Class == class) && strings.TrimSpace(b.text) != "" {
			said := excerpt.Clip(strings.Join(strings.Fields(excerpt.Clip(b.text, 4*previewRunes)), " "), previewRunes)
			if b.Same != nil {
				said = fmt.Sprintf("as at step %d: %s", *b.Same, said)
			}
			return said
		}
	}
	return ""
}

// A spanClock places steps in the time of their trace.
type spanClock struct{ start, end time.Time }

func newSpanClock(steps []trace.Step) spanClock {
	var c spanClock
	for i := range steps {
		s := &steps[i]
		if s.Start.IsZero() {
			continue
		}
		if c.start.IsZero() || s.Start.Before(c.start) {
			c.start = s.Start
		}
		if end := s.Start.Add(s.Dur); end.After(c.end) {
			c.end = end
		}
	}
	return c
}

// began returns when the trace began: what it says itself, or the start of its first step. A time before 1980, or a day
// after the trace was extracted, is of a clock that was never set, or counts from the beginning of the trace.
func (c spanClock) began(start, extracted time.Time) evalforge.Timestamp {
	if start.IsZero() {
		start = c.start
	}
	if start.Year() < 1980 || start.After(extracted.AddDate(0, 0, 1)) {
		return evalforge.Timestamp{}
	}
	return evalforge.At(start)
}

func (c spanClock) whole() time.Duration {
	if c.start.IsZero() {
		return 0
	}
	return c.end.Sub(c.start)
}

// place returns where a step lies, in thousandths of the whole.
func (c spanClock) place(s *trace.Step) (from, width int) {
	whole := c.whole()
	if whole <= 0 || s.Start.IsZero() || s.Dur <= 0 {
		return 0, 0
	}
	from = int(1000 * s.Start.Sub(c.start) / whole)
	width = max(int(1000*s.Dur/whole), 4)
	return min(from, 996), min(width, 1000-min(from, 996))
}
