package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file joins log records to the spans of their trace. Those of the GenAI conventions
// are messages of a model's call, and make a step where its span is not there; whatever else
// an application logs is what it is: lines of the step during which they were written.

// A record is one log record, with the span it belongs to.
type record struct {
	trace, span, service string
	event                event
	severity             int // as OTLP counts: 17 and above is an error; 0 when unknown
	batch                int // the list that it came in
}

// severityError is the least severity of an error.
const severityError = 17

// recordFrom reads a log record, and counts its attributes that could not be read.
func recordFrom(m map[string]any) (r record, bad int) {
	r = record{
		trace: normalID(firstText(m, "traceId", "trace_id"), 16),
		span:  normalID(firstText(m, "spanId", "span_id"), 8),
	}
	if r.span == noSpan {
		r.span = ""
	}
	r.event, bad = eventFrom(m)
	r.severity = max(0, count(m, "severityNumber", "severity_number"))
	if r.severity == 0 {
		r.severity = severityOf(firstText(m, "severityText", "severity_text", "severity_number"))
	}
	return r, bad
}

// severityOf returns the severity that word names, or 0.
func severityOf(word string) int {
	word = strings.ToLower(word)
	for n, names := range [...]string{"trace", "debug", "info notice", "warn", "error", "fatal crit emerg alert panic"} {
		for name := range strings.FieldsSeq(names) {
			if strings.Contains(word, name) {
				return 1 + 4*n
			}
		}
	}
	return 0
}

// severityName is the inverse of severityOf.
func severityName(n int) string {
	if n <= 0 || n > 24 {
		return "log"
	}
	return "log." + [...]string{"trace", "debug", "info", "warn", "error", "fatal"}[(n-1)/4]
}

// isLogRecord reports whether m, which stands by itself or among spans, is a log record.
func isLogRecord(m map[string]any) bool {
	return first(m, "body", "eventName", "event_name") != nil && first(m, "traceId", "trace_id") != nil &&
		first(m, "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano", "severityNumber", "severity_number", "severityText", "severity_text") != nil &&
		first(m, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime", "role") == nil
}

// isModelEvent reports whether r is of the GenAI conventions.
func (r *record) isModelEvent() bool {
	if strings.HasPrefix(r.event.name, "gen_ai.") {
		return true
	}
	for k := range r.event.attrs {
		if strings.HasPrefix(k, "gen_ai.") && !strings.HasPrefix(k, "gen_ai.evaluation.") {
			return true
		}
	}
	return false
}

// joinRecords adds records to the spans that they belong to, in the order of their times, and
// returns the spans with those that only records tell of.
func joinRecords(spans []*span, records []record) []*span {
	byID := make(map[string]*span, len(spans))
	for _, sp := range spans {
		if sp.id != "" {
			byID[sp.id] = sp
		}
	}
	records = chronological(records)
	var lines []*record
	for i := range records {
		r := &records[i]
		sp := byID[r.span]
		switch {
		case !r.isModelEvent():
			lines = append(lines, r)
			continue
		case sp == nil: // of a model's call
			sp = &span{trace: r.trace, id: r.span, name: "chat", start: r.event.at, attrs: map[string]any{}, service: r.service}
			byID[r.span] = sp
			spans = append(spans, sp)
		}
		for _, k := range [...]string{"gen_ai.system", "gen_ai.provider.name", "gen_ai.request.model"} {
			if v := r.event.attrs[k]; v != nil && sp.attrs[k] == nil {
				sp.attrs[k] = v
			}
		}
		sp.events = append(sp.events, r.event)
	}
	alone := len(spans) == 0
	for _, r := range lines {
		sp := byID[r.span]
		switch {
		case sp == nil && alone: // a file of log records only: their spans may come in another
			sp = &span{trace: r.trace, id: r.span, name: "logs", kind: string(KindChain), start: r.event.at, attrs: map[string]any{}, service: r.service}
			byID[r.span] = sp
			spans = append(spans, sp)
		case sp == nil:
			sp = during(spans, r.event.at)
		}
		sp.events = append(sp.events, r.event)
		sp.logs = append(sp.logs, logLine{r.severity, r.text()})
	}
	return spans
}

// chronological returns records in the order of their times; one without a time stays behind the one
// before it. Of those that came again with another batch, as senders do that were not
// answered, it keeps one.
func chronological(records []record) []record {
	var last time.Time
	for i := range records {
		if e := &records[i].event; e.at.IsZero() {
			e.at = last
		} else {
			last = e.at
		}
	}
	slices.SortStableFunc(records, func(a, b record) int { return a.event.at.Compare(b.event.at) })
	out := records[:0]
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].event.at.Equal(records[0].event.at) {
			n++
		}
		out = append(out, once(records[:n])...)
		records = records[n:]
	}
	return out
}

// once returns records, which are of one time, without those that are in another batch, too:
// of equal ones there are as many as in the batch that has most.
func once(records []record) []record {
	if len(records) < 2 || !slices.ContainsFunc(records, func(r record) bool { return r.batch != records[0].batch }) {
		return records
	}
	type inBatch struct {
		key   string
		batch int
	}
	kept, met := make(map[string]int), make(map[inBatch]int)
	out := records[:0]
	for _, r := range records {
		key := fmt.Sprintf("%q %q %q %s %s", r.trace, r.span, r.event.name, canonical(r.event.body), canonical(r.event.attrs))
		b := inBatch{key, r.batch}
		if met[b]++; met[b] > kept[key] {
			kept[key]++
			out = append(out, r)
		}
	}
	return out
}

// during returns the span that runs at the time: of several the last to start; of none the
// last one that started before, else the first.
func during(spans []*span, at time.Time) *span {
	return slices.MaxFunc(spans, func(a, b *span) int {
		return cmp.Or(cmp.Compare(fit(a, at), fit(b, at)), startOrder(a, b, at))
	})
}

// fit returns how well sp fits a time: 2 when it runs then, 1 when it started before.
func fit(sp *span, at time.Time) int {
	switch {
	case sp.start.IsZero() || sp.start.After(at):
		return 0
	case sp.end.IsZero() || sp.end.Before(at):
		return 1
	}
	return 2
}

// startOrder prefers the span that starts nearest to a time.
func startOrder(a, b *span, at time.Time) int {
	if a.start.After(at) || b.start.After(at) {
		return b.start.Compare(a.start)
	}
	return a.start.Compare(b.start)
}

// A logLine is what an application logged while a span ran.
type logLine struct {
	severity int
	text     string
}

// text returns what r says, as one text.
func (r *record) text() string {
	if s := text(r.event.body); s != "" && s != "{}" {
		return s
	}
	return anyOf(firstText(r.event.attrs, "message", "msg", "exception.message"), r.event.name)
}

// Bounds on what is kept of a step's log lines of one severity.
const (
	maxLogBytes = 8 << 10
	maxLogLines = 200
)

// addLogs adds the log lines of sp to the attributes of its step, by severity.
func addLogs(s *Step, sp *span) {
	type kept struct{ lines, bytes, omitted int }
	counts := make(map[string]kept)
	for _, l := range sp.logs {
		if l.text == "" {
			continue
		}
		name := severityName(l.severity)
		k := counts[name]
		if k.lines == maxLogLines || k.bytes+len(l.text) > maxLogBytes && k.lines > 0 {
			k.omitted++
		} else {
			if s.Attrs == nil {
				s.Attrs = make(map[string]string)
			}
			s.Attrs[name] = join(s.Attrs[name], headOf(l.text, maxLogBytes))
			k.lines, k.bytes = k.lines+1, k.bytes+len(l.text)
		}
		counts[name] = k
	}
	for name, k := range counts {
		if k.omitted > 0 {
			s.Attrs[name] += fmt.Sprintf("\n…[%d more lines]…", k.omitted)
		}
	}
}

// loggedError returns the last error that was logged while sp ran, or "".
func loggedError(sp *span) string {
	for _, l := range slices.Backward(sp.logs) {
		if l.severity >= severityError && l.text != "" {
			return l.text
		}
	}
	return ""
}
