package trace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A decoder reads one format. What is particular to a format is in its decoder's file; the
// rest of the package knows of it what is in the optional fields.
type decoder struct {
	format string
	// match recognises the format; doc is a decoded JSON value.
	match  func(doc any) bool
	decode func(b *builder, doc any)
	// family is a format that admits this one too, where one is asked for; optional.
	family string
	// line, for logs of one entry a line, returns the session that the entry m belongs to.
	// last is the session of the entry before it in the file, or "". A session of "" is that
	// of the next entry. Optional.
	line func(m map[string]any, last string) (session string, ok bool)
	// entry recognises an entry of a conversation that stands in a line of its own; open
	// tells whether others did before it. Optional.
	entry func(m map[string]any, open bool) bool
	// item recognises a part of a trace that names itself otherwise than spans do, for files
	// with one in each line. Optional.
	item func(m map[string]any) bool
	// trace returns the trace of an item that names it otherwise than spans do, or "".
	// Optional.
	trace func(m map[string]any) string
	// wrap returns the field in which a document has l, a list that is one trace, or "".
	// Optional.
	wrap func(l []any) (field string)
	// whole is set when what matches is a trace, even if it looks like a span of one.
	whole bool
	// parts takes a document apart that may hold parts of several traces, or some of one
	// only: an SDK's batch, a page of an export. Skipped counts items that are no part of a
	// trace. For any other document there are no parts. Optional.
	parts func(m map[string]any) (parts []fragment, skipped int)
	// lists are the fields of a document that hold its trace in items, each with an id, so
	// that documents of one trace can be put together; see [Merge]. Optional.
	lists []string
}

// A fragment is one item of a trace, and the list that it goes into when the document of
// that trace is put together.
type fragment struct {
	trace string // id, never ""
	list  string
	item  map[string]any
}

// decoders returns the decoders in the order in which they are asked: the first that
// matches decodes, and opaque matches everything.
func decoders() []decoder { return registered }

// registered is set once, by init, because decoders look for parts of other formats.
var registered []decoder

func init() {
	registered = []decoder{
		{format: FormatNormal, match: isNormal, decode: decodeNormal},
		{format: FormatOTLP, match: isOTLP, decode: decodeOTLP},
		{format: FormatDatadogSpan, match: isDatadogSpan, decode: decodeDatadogSpan, whole: true},
		{format: FormatSample, match: isSample, decode: decodeSample},
		{format: FormatFewShot, match: isFewShot, decode: decodeFewShot},
		{format: FormatLiveTest, match: isLiveTest, decode: decodeLiveTest},
		{format: FormatPhoenix, match: isPhoenix, decode: decodePhoenix, family: FormatSpans, parts: phoenixParts, lists: spanListKeys[:]},
		{format: FormatOpenAIAgents, match: isAgents, decode: decodeAgents, family: FormatSpans, item: isAgentsItem, trace: agentsTraceID, lists: spanListKeys[:]},
		{format: FormatLangfuse, match: isLangfuse, decode: decodeLangfuse, family: FormatSpans, item: isLangfuseItem, parts: langfuseParts, lists: langfuseLists()},
		{format: FormatLangSmith, match: isLangSmith, decode: decodeLangSmith, family: FormatSpans, item: isLangSmithRun, trace: langSmithTrace, parts: langSmithParts, lists: langSmithLists()},
		{format: FormatDatadogExport, match: isDatadogExport, decode: decodeDatadog, family: FormatSpans, parts: datadogParts, lists: datadogLists()},
		{format: FormatDatadog, match: isDatadogIntake, decode: decodeDatadog, family: FormatSpans, parts: datadogParts, lists: datadogLists()},
		{format: FormatSWEAgent, match: isSWEAgent, decode: decodeSWEAgent},
		{format: FormatOpenAI, match: isExchange, decode: decodeExchange, parts: exchangeParts, line: streamLine, wrap: streamList, lists: []string{exchangeList}},
		{format: FormatSpans, match: isSpanList, decode: decodeSpanList, lists: spanListKeys[:]},
		{format: FormatADK, match: isADK, decode: decodeADK, entry: func(m map[string]any, _ bool) bool { return isADKEvent(m) }, wrap: adkEvents},
		{format: FormatClaudeCode, match: isClaudeCode, decode: decodeClaudeCode, line: claudeSession, lists: []string{messageList}},
		{format: FormatAutoGen, match: isAutoGen, decode: decodeAutoGen, entry: isAutoGenEntry},
		{format: FormatShareGPT, match: isShareGPT, decode: decodeShareGPT, wrap: shareGPTList},
		{format: FormatOpenAI, match: isChat, decode: decodeChat, entry: isChatEntry},
		{format: FormatOpaque, match: func(any) bool { return true }, decode: decodeOpaque},
	}
}

// Formats returns the names of the formats that [Decode] and [Split] know. The
// dialects of OTLP stand beside it.
func Formats() []string {
	var names []string
	for _, d := range decoders() {
		if !slices.Contains(names, d.format) {
			names = append(names, d.format)
		}
		if d.format == FormatOTLP {
			for _, d := range dialects() {
				names = append(names, d.format)
			}
		}
	}
	return names
}

// Decode reads a trace in any format. It fails only when payload is not one JSON value;
// a value of an unknown shape becomes a trace of one opaque step. The trace shares the
// memory of payload, which must not be changed as long as the trace is used.
func Decode(payload []byte) (*Trace, error) {
	w := workspaces.Get().(*workspace)
	defer w.release()
	v, err := w.parseDocument(payload, true)
	if err != nil {
		return nil, fmt.Errorf("decode trace: %w", err)
	}
	t, _ := w.decode(v, payload)
	return t, nil
}

// decodeValue decodes v, whose text is source.
func decodeValue(v any, source []byte) *Trace {
	t, _ := decodeWithin(v, source)
	return t
}

// decodeWithin is decodeValue; within is the field of v in which the trace was found, if
// v itself is not of a known shape, else "".
func decodeWithin(v any, source []byte) (t *Trace, within string) {
	w := workspaces.Get().(*workspace)
	defer w.release()
	return w.decode(v, source)
}

// decode is decodeWithin in the memory of w.
func (w *workspace) decode(v any, source []byte) (t *Trace, within string) {
	doc := w.embedded(v)
	if m, ok := doc.(map[string]any); ok && m["trace_payload"] != nil {
		doc = w.embedded(m["trace_payload"])
		source = nil
	}
	doc = expand(doc)
	if t := w.understood(doc); t != nil {
		return t, ""
	}
	if key, inner := w.enveloped(doc, maxNested); inner != nil {
		inner.below(pointer("", key))
		return inner, key
	}
	b := newBuilder(w)
	b.t.Format = FormatOpaque
	decodeOpaque(b, doc)
	if s := &b.t.Steps[0]; source != nil {
		s.Input = strings.TrimSpace(string(source))
	} else {
		s.Input = text(doc)
	}
	w.settle(b.t)
	return b.t, ""
}

// understood decodes doc by the first decoder that recognises it and finds something in
// it, or returns nil.
func (w *workspace) understood(doc any) *Trace {
	for _, d := range decoders() {
		if d.format == FormatOpaque || !d.match(doc) {
			continue
		}
		b := newBuilder(w)
		b.t.Format = d.format
		if d.decode(b, doc); len(b.t.Steps) > 0 {
			w.settle(b.t)
			return b.t
		} // else the shape was right but nothing was in it
	}
	return nil
}

// below says that the document t was decoded from stands at the JSON pointer base.
func (t *Trace) below(base string) {
	for i := range t.Steps {
		t.Steps[i].Source = base + t.Steps[i].Source
	}
}

// maxEnvelope bounds the fields of a document that something else may stand in.
const maxEnvelope = 16

// enveloped decodes what doc, which no decoder recognises, has around it: {"data": …}, and
// the like. It returns the field in which a trace was found, the largest where there are
// several, or nil.
func (w *workspace) enveloped(doc any, depth int) (key string, t *Trace) {
	m, ok := doc.(map[string]any)
	if !ok || len(m) > maxEnvelope || depth == 0 {
		return "", nil
	}
	for _, k := range sortedKeys(m) {
		if found := w.contained(w.embedded(m[k]), depth); found != nil && (t == nil || len(found.Steps) > len(t.Steps)) {
			key, t = k, found
		}
	}
	return key, t
}

// contained decodes v, the value of a field: a trace, a list of traces, of which it decodes
// the first, or what has one around it. It returns nil for anything else.
func (w *workspace) contained(v any, depth int) *Trace {
	switch v.(type) {
	case map[string]any, []any:
	default:
		return nil
	}
	v = expand(v)
	if t := w.understood(v); t != nil {
		return t
	}
	if l, ok := v.([]any); ok && len(l) > 0 {
		t := w.understood(expand(object(l[0])))
		if t == nil {
			return nil
		}
		t.below("/0")
		if len(l) > 1 { // where Split did not take them apart
			t.Warnings = append(t.Warnings, fmt.Sprintf("the first of %d traces was decoded", len(l)))
		}
		return t
	}
	key, t := w.enveloped(v, depth-1)
	if t != nil {
		t.below(pointer("", key))
	}
	return t
}

// expand returns doc with the lists that it holds as JSON strings decoded, so that this
// is done once and not by every recogniser.
func expand(doc any) any {
	m, ok := doc.(map[string]any)
	if !ok {
		return doc
	}
	in, copied := lookupIn(m), false
	for _, k := range [...]string{
		"messages", "history", "spans", "observations", "runs", "data", "events", "trace", "trajectory",
		"resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "input_messages", "output_messages",
	} {
		if s, ok := in.get(k).(string); ok {
			if v := embedded(s); v != any(s) {
				if !copied {
					m, copied = maps.Clone(m), true
				}
				m[k] = v
			}
		}
	}
	return m
}

// decodeOpaque makes one step for what no decoder knows; decodeValue gives it its text.
func decodeOpaque(b *builder, doc any) {
	b.warn("unknown format: kept as one opaque step")
	b.t.Steps = []Step{{Kind: KindOpaque, Name: "payload", Tokens: unknownTokens}}
	if m, ok := doc.(map[string]any); ok {
		b.t.ID = traceID(m)
		b.t.Start = instant(first(m, "timestamp", "start_time", "startTime", "created_at"))
	}
}

// traceIDKeys are the fields in which a document has its id.
var traceIDKeys = [...]string{"trace_id", "traceId", "conversation_id", "thread_id"}

// traceID returns the id that a document gives itself, or "".
func traceID(m map[string]any) string { return firstText(m, traceIDKeys[:]...) }
