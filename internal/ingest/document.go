package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// prepare makes the raw-trace document of doc, redacted and valid, and says what it had
// to change.
func (r *run) prepare(doc trace.Document) (raw evalforge.RawTrace, warnings []string, err error) {
	raw = rawTrace(doc)
	why := r.badID(raw.TraceID)
	if len(raw.Payload) > 0 {
		payload, counts, err := r.Redactor.JSON(trace.Whole(raw.Payload))
		if err != nil {
			// What cannot be redacted is not stored: an import that leaks is worse than one that
			// is short of a trace.
			return raw, warnings, fmt.Errorf("trace_payload could not be redacted, so nothing of it is stored: %w", err)
		}
		r.count(counts)
		raw.Payload = withoutID(payload, raw.TraceID, r.cleanID(raw.TraceID))
		if warning, err := fit(&raw); err != nil {
			return raw, warnings, err
		} else if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	r.redactFields(&raw)
	if raw.FailureType == "" {
		raw.FailureType = "unknown"
	}
	if raw.FetchedAt.IsZero() {
		raw.FetchedAt = evalforge.At(r.Now())
	}
	raw.RecurrenceCount = max(1, raw.RecurrenceCount)
	raw.Processed, raw.ProcessedAt = false, nil
	if why != "" {
		// The digest is taken of the redacted document: one of the original would let a
		// reader of the id try out what the redacted values were.
		raw.TraceID = contentID(raw)
		warnings = append(warnings, fmt.Sprintf("%s; it is imported as %s, after its content", why, raw.TraceID))
	}
	if err := raw.Validate(); err != nil {
		return raw, warnings, fmt.Errorf("%w; correct the trace and import it again", err)
	}
	return raw, warnings, nil
}

// fit replaces a payload that is too long to be stored by the normal form of its trace:
// the same steps and messages, each once. It returns what to warn of.
func fit(raw *evalforge.RawTrace) (warning string, err error) {
	before := len(raw.Payload)
	if before <= trace.MaxStored {
		return "", nil
	}
	t, err := trace.Decode(raw.Payload)
	if err != nil {
		return "", fmt.Errorf("trace_payload: %w", err)
	}
	if raw.Payload, err = trace.Normal(t, trace.MaxStored); err != nil {
		return "", fmt.Errorf("trace_payload of %d bytes cannot be stored: %w", before, err)
	}
	return fmt.Sprintf("its %d bytes are stored as %d: each message and step once", before, len(raw.Payload)), nil
}

// rawTrace returns doc as a raw-trace document. A trace is as old as its source says,
// so that the oldest is extracted first; one that does not say is as old as its import.
func rawTrace(doc trace.Document) evalforge.RawTrace {
	if doc.Raw == nil {
		return evalforge.RawTrace{
			TraceID: doc.TraceID, FetchedAt: evalforge.At(doc.Start),
			ServiceName: doc.Service, Payload: doc.Payload,
		}
	}
	raw := *doc.Raw
	if raw.FetchedAt.IsZero() {
		raw.FetchedAt = evalforge.At(doc.Start)
	}
	return raw
}

// redactFields redacts the free text of raw beside its payload.
func (r *run) redactFields(raw *evalforge.RawTrace) {
	fields := []*string{
		&raw.FailureType, &raw.Severity, &raw.ServiceName, &raw.Status,
		&raw.ExportStatus, &raw.ExportDestination, &raw.ExportReference,
	}
	if !isSHA256(raw.UserHash) {
		fields = append(fields, &raw.UserHash)
	}
	history := append([]evalforge.StatusChange(nil), raw.StatusHistory...)
	for i := range history {
		fields = append(fields, &history[i].Status, &history[i].Actor, &history[i].Destination)
	}
	raw.StatusHistory = history
	for _, s := range fields {
		text, counts := r.Redactor.Text(*s)
		r.count(counts)
		*s = text
	}
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// badID says why id cannot be the id of a stored trace, or "".
func (r *run) badID(id string) string {
	if id == "" {
		return "has no trace id"
	}
	if fe := (*evalforge.FieldError)(nil); errors.As(evalforge.ValidateTraceID(id), &fe) {
		return "its trace id " + fe.Problem
	}
	if strings.ContainsFunc(id, unicode.IsControl) {
		return "its trace id must be printable text"
	}
	if r.cleanID(id) != id {
		return "its trace id holds what looks like a secret or personal data"
	}
	return ""
}

// contentID names a trace without a usable id after its content.
func contentID(raw evalforge.RawTrace) string { return "trace_" + raw.Digest()[:16] }

// distinctID names a trace whose id another one has.
func distinctID(raw evalforge.RawTrace) string {
	if id := raw.TraceID + "_" + raw.Digest()[:8]; evalforge.ValidateTraceID(id) == nil {
		return id
	}
	return contentID(raw)
}

// join completes raw with what is stored of the same trace already, if both are parts
// of one trace: exporters deliver spans and log records in different files, and long
// traces in several batches. A stored span is replaced by a newer version of itself and
// never dropped. Again says that this import has written the trace before. It reports
// whether there was something to join.
func (r *run) join(ctx context.Context, raw *evalforge.RawTrace, again bool) (bool, error) {
	kind := partOf(raw.Payload)
	if kind == noPart || kind == normal {
		return false, nil
	}
	old, err := r.Store.Trace(ctx, raw.TraceID)
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up trace %s: %w", raw.TraceID, err)
	case partOf(old.Payload) == normal && (kind == otlp || again):
		return r.joinNormal(raw, old), nil
	case partOf(old.Payload) != kind:
		return false, nil
	}
	whole := *raw
	if whole.Payload, err = trace.Merge(old.Payload, raw.Payload); err != nil {
		return false, nil // not parts of one trace: the newer one replaces the older
	}
	// The digest covers these too, and a part may come without them.
	if whole.ServiceName == "" {
		whole.ServiceName = old.ServiceName
	}
	if whole.FailureType == "unknown" {
		whole.FailureType = old.FailureType
	}
	if whole.Severity == "" {
		whole.Severity = old.Severity
	}
	if old.FetchedAt.Before(whole.FetchedAt.Time) {
		whole.FetchedAt = old.FetchedAt
	}
	if kind == spanList && !again && whole.Digest() != old.Digest() {
		// Other than OTLP, a list of spans is as a rule the whole trace: it replaces what an
		// earlier import wrote, unless it is a part of that.
		return false, nil
	}
	if _, err := fit(&whole); err != nil {
		r.apart(raw, err)
		return false, nil
	}
	*raw = whole
	return true, nil
}

// joinNormal joins raw, a part of a trace, to old, which was too long to be stored as it
// came: what the part adds goes into the steps that are stored.
func (r *run) joinNormal(raw *evalforge.RawTrace, old evalforge.RawTrace) bool {
	whole, err := trace.Decode(old.Payload)
	if err != nil {
		return false
	}
	part, err := trace.Decode(raw.Payload)
	if err != nil {
		return false
	}
	joined, changed := trace.Join(whole, part)
	if changed {
		if old.Payload, err = trace.Normal(joined, trace.MaxStored); err != nil {
			r.apart(raw, err)
			return false
		}
	}
	*raw = old
	return true
}

// apart gives raw, a part of a trace that cannot be stored with the other parts for the
// given reason, an id of its own, so that it does not replace them.
func (r *run) apart(raw *evalforge.RawTrace, why error) {
	id := raw.TraceID
	raw.TraceID = distinctID(*raw)
	r.warn("trace "+id, fmt.Sprintf("a part of it that came later is imported as %s, because together %v", raw.TraceID, why))
}

// part says of what kind of trace that comes in parts a payload is one.
type part int

const (
	noPart   part = iota
	otlp          // OTLP JSON
	spanList      // a list of spans, runs, observations, events or entries
	normal        // the normal form of a trace of any format
)

func partOf(payload []byte) part {
	var doc map[string]json.RawMessage
	if json.Unmarshal(payload, &doc) != nil {
		return noPart
	}
	for _, key := range []string{"resourceSpans", "resourceLogs", "resource_spans", "resource_logs"} {
		if _, ok := doc[key]; ok {
			return otlp
		}
	}
	if _, ok := doc["evalforge_trace"]; ok {
		return normal
	}
	if trace.MayBePart(doc) {
		return spanList
	}
	return noPart
}

// maxTextRunes bounds the text of a failure or a warning.
const maxTextRunes = 500

// clean returns text from outside fit to be shown and stored: redacted, then cut.
func (r *run) clean(s string) string {
	s, _ = r.Redactor.Text(strings.ToValidUTF8(s, "\uFFFD"))
	return r.plain(s)
}

// plain returns s as one bounded line of valid UTF-8.
func (r *run) plain(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return excerpt.Clip(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s), maxTextRunes)
}

// sourceID returns the id under which a failure at name:line is recorded: fit to be part
// of a document id, and different for each failure of an import.
func (r *run) sourceID(name string, line int) string {
	safe := strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf && (unicode.IsLetter(c) || unicode.IsDigit(c)) || strings.ContainsRune("._-", c) {
			return c
		}
		return '_'
	}, name)
	const keep = 120
	if n := len(safe); n > keep {
		safe = safe[n-keep:]
	}
	if safe != name { // other names may have become the same
		sum := sha256.Sum256([]byte(name))
		safe += "_" + hex.EncodeToString(sum[:4])
	}
	id := source(safe, line)
	if r.errIDs.has(id) {
		id = fmt.Sprintf("%s#%d", id, r.sum.Failed)
	}
	r.errIDs.add(id)
	return id
}
