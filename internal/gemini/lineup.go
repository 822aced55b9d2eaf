package gemini

import (
	"slices"
	"sync"
	"time"
)

// A lineup is the model that is asked for, and those that take over when it is gone.
// A model that was found gone is not asked again for [goneFor].
type lineup struct {
	configured string   // the first of all
	models     []string // in the order in which they are asked; never empty
	now        func() time.Time

	mu     sync.Mutex
	gone   map[string]time.Time // since when
	routed map[string]bool      // models whose requests another one answered, as was said
	other  []string             // those that answered
	proof  map[string]time.Time
	dearer map[string]bool // models that a dearer one answered for, ever
}

const (
	// goneFor is longer than any run lasts, and short enough for a service that is never
	// restarted: a model may have been blocked, or missing in a location, by mistake.
	goneFor = 6 * time.Hour
	// proofFor is how long an answer of a model at its own price tells who answers. Steady
	// calls renew it; after a pause, as between two runs, a service may have been changed.
	proofFor = 10 * time.Minute
)

// newLineup returns the models in the order in which they are asked, each once.
func newLineup(model string, successors []string, now func() time.Time) *lineup {
	l := &lineup{configured: model, models: []string{model}, now: now, gone: map[string]time.Time{},
		routed: map[string]bool{}, proof: map[string]time.Time{}, dearer: map[string]bool{}}
	for _, s := range successors {
		if !slices.ContainsFunc(l.models, func(m string) bool { return bareModel(m) == bareModel(s) }) {
			l.models = append(l.models, s)
		}
	}
	return l
}

func (l *lineup) current() string { return l.all()[0] }

// all returns the model in use and those that could take over.
func (l *lineup) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left()
}

// left returns the models that are not gone. There is always one: what cannot be replaced
// is not noted as gone. l.mu is held.
func (l *lineup) left() []string {
	now := l.now()
	return slices.DeleteFunc(slices.Clone(l.models), func(m string) bool {
		at, gone := l.gone[m]
		return gone && now.Sub(at) < goneFor
	})
}

// retire replaces a model that is gone. It returns the model to ask from now on, or ""
// when none is left, and whether this call is the one that replaced it.
func (l *lineup) retire(gone string) (next string, replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.left()
	switch {
	case left[0] != gone: // another call was faster
		return left[0], false
	case len(left) == 1:
		return "", false
	}
	l.gone[gone] = l.now()
	return left[1], true
}

// reroute notes that another model than the one asked for answered, and reports whether
// that is news.
func (l *lineup) reroute(asked, answered string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := asked + " " + answered
	news := !l.routed[key]
	l.routed[key] = true
	if news && !slices.Contains(l.other, answered) {
		l.other = append(l.other, answered)
	}
	return news
}

// others returns the models that answered in the place of the one that was asked.
func (l *lineup) others() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.other)
}

// answered notes that a request for a model was answered, and whether at a higher price
// than that model's own.
func (l *lineup) answered(asked string, at time.Time, dearer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proof[asked] = at
	if dearer {
		l.dearer[asked] = true
	}
}

// proven reports whether requests for a model are known to be answered at its price: the
// last answers were, and no other ever.
func (l *lineup) proven(asked string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.proof[asked]
	return ok && !l.dearer[asked] && now.Sub(at) < proofFor
}
