package extract

import "context"

// modelFailed reports an error that may be the model's service's, or the trace's: when a
// service fails at one trace only, that trace is the cause.
func modelFailed(err error) bool {
	switch KindOf(err) {
	case KindUnavailable, KindRateLimited, KindTimeout:
		return true
	}
	return false
}

// suspect puts off what becomes of a trace at which the model failed, while nothing has
// been heard of the model since: the next answer makes it the trace's own failure, and
// counts an attempt; if the model is down, the trace is given back as it was.
func (r *run) suspect(ctx context.Context, j *job, err error) {
	j.err = err
	r.mu.Lock()
	r.suspects = append(r.suspects, j)
	r.mu.Unlock()
	j.log.DebugContext(ctx, "the model failed; whether that is the trace's fault shows when it answers for another")
}

// judgeSuspects fails the suspects once the model has answered for another trace.
func (r *run) judgeSuspects(ctx context.Context) {
	if r.turns.breaker.Silent() {
		return
	}
	for _, j := range r.takeSuspects() {
		r.fail(ctx, j, j.err)
	}
}

// endSuspects ends what is still suspect at the end of a run: given back, if the model
// is down or the run was stopped; failed otherwise, since nothing speaks for the trace.
func (r *run) endSuspects(ctx context.Context) {
	list := r.takeSuspects()
	down := r.turns.breaker.Down()
	if down && len(list) > 0 {
		r.mu.Lock()
		r.endEarly("the model does not answer: "+r.redacted(list[len(list)-1].err), nil)
		r.mu.Unlock()
	}
	for _, j := range list {
		if down || r.stopping() {
			r.release(ctx, j, j.err)
		} else {
			r.fail(ctx, j, j.err)
		}
	}
}

func (r *run) takeSuspects() []*job {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.suspects
	r.suspects = nil
	return list
}
