package pages

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// A livePart is the part of a page that shows the runs under way. A stream replaces it as they go on.
type livePart struct {
	Runs []liveRun
	// Ended is the run that ended last while the page was looked at, or "".
	Ended string
}

// A liveRun is a run under way.
type liveRun struct {
	ID        string
	Trigger   evalforge.Trigger
	StartedAt evalforge.Timestamp
	Done      int
	Batch     int
	Outcomes  []outcomeBar
	Recent    []liveOutcome
}

type liveOutcome struct {
	Trace   string
	Outcome evalforge.Outcome
	Link    string
	Reason  string
}

// shownRecent is how many of the last traces a run under way shows.
const shownRecent = 5

func (p *Pages) livePart() livePart {
	var l livePart
	for _, a := range p.o.Live.Active() {
		l.Runs = append(l.Runs, p.liveRun(a))
	}
	return l
}

func (p *Pages) liveRun(a runner.Active) liveRun {
	run := liveRun{ID: visible(a.RunID), Trigger: a.Trigger, StartedAt: evalforge.At(a.StartedAt), Done: a.Done, Batch: a.Batch}
	x := 0
	for _, o := range evalforge.Outcomes() {
		if n := a.Outcomes[string(o)]; n > 0 {
			width := 1000 * n / max(a.Batch, a.Done)
			run.Outcomes = append(run.Outcomes, outcomeBar{Name: words(o), Class: "o-" + string(o), Count: n, X: x, Width: width})
			x += width
		}
	}
	for i := len(a.Recent) - 1; i >= 0 && len(run.Recent) < shownRecent; i-- {
		o := a.Recent[i]
		recent := liveOutcome{Trace: visible(o.SourceTraceID), Outcome: o.Status}
		if o.Status == evalforge.Stored {
			recent.Link = patternPath(o.SourceTraceID)
		}
		if o.ErrorReason != nil {
			recent.Reason = visible(p.o.Clean.Text(*o.ErrorReason))
		}
		run.Recent = append(run.Recent, recent)
	}
	return run
}

const (
	// livePace is the time between two pictures: a fast run ends hundreds of traces a second.
	livePace = 250 * time.Millisecond
	// liveBeat keeps proxies from closing a stream on which nothing happens.
	liveBeat = 20 * time.Second
)

// live streams the part of the pages that shows the runs under way, as server-sent events: one picture
// at the beginning, and one after changes.
func (p *Pages) live(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	out := http.NewResponseController(w)
	events := p.o.Live.Watch(r.Context())
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	pace := time.NewTicker(livePace)
	defer pace.Stop()
	dirty, ended := true, ""
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			if dirty = true; e.Kind == runner.Finished {
				ended = e.RunID
			}
		case <-pace.C:
			if !dirty {
				continue
			}
			part := p.livePart()
			part.Ended, dirty = ended, false
			if p.picture(w, part) != nil || out.Flush() != nil {
				return
			}
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil || out.Flush() != nil {
				return
			}
		}
	}
}

// picture writes a part as one event.
func (p *Pages) picture(w http.ResponseWriter, part livePart) error {
	var b bytes.Buffer
	if err := p.templates["overview"].ExecuteTemplate(&b, "live", part); err != nil {
		return err
	}
	var event bytes.Buffer
	event.WriteString("event: live\n")
	for line := range bytes.Lines(b.Bytes()) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			fmt.Fprintf(&event, "data: %s\n", line)
		}
	}
	event.WriteString("\n")
	_, err := w.Write(event.Bytes())
	return err
}
