package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
)

// Merge returns the payload that holds the parts a and b of one trace, of which b is the
// newer: OTLP exports (spans, log records or both), or the lists of spans, runs,
// observations, events or entries of a format that has them. A span that both have is taken
// from b, each of several of one id on its own; an equal log record is kept once, and an
// entry as a has it; nothing else is dropped. Merging a payload with itself, or with a part
// of itself if no id stands in it twice, changes nothing but white space and the order of
// keys.
func Merge(a, b json.RawMessage) (json.RawMessage, error) {
	va, err := parseJSON(a)
	if err != nil {
		return nil, fmt.Errorf("merge: the older part: %w", err)
	}
	vb, err := parseJSON(b)
	if err != nil {
		return nil, fmt.Errorf("merge: the newer part: %w", err)
	}
	if canonical(va) == canonical(vb) {
		return a, nil
	}
	ma, mb := object(va), object(vb)
	switch {
	case ma == nil || mb == nil:
		return nil, errors.New("merge: both parts must be JSON objects")
	case isOTLP(ma) && isOTLP(mb):
		return json.RawMessage(canonical(mergeOTLP(ma, mb))), nil
	}
	if lists := listsOf(ma, mb); lists != nil {
		whole := mergeLists(ma, mb, lists)
		if listsOf(whole, mb) != nil { // else too little of the two together is of their format
			return json.RawMessage(canonical(whole)), nil
		}
	}
	return nil, errors.New("merge: only OTLP exports and lists of spans, runs, observations, events or entries come in parts")
}

// MayBePart reports whether a document with these fields, other than an OTLP export, may
// hold a part of a trace that goes on in other documents: whether it does, [Merge] finds out.
func MayBePart(fields map[string]json.RawMessage) bool {
	for _, d := range decoders() {
		for _, k := range d.lists {
			// Entries come in parts only where they say of what session they are.
			if fields[k] != nil && (k != messageList || fields[sessionField] != nil) {
				return true
			}
		}
	}
	return false
}

// listsOf returns the lists in which documents like a and b hold their trace, or nil when
// they are not of one format that does. Documents of parts may have different ones: what
// began is in one, what ended in the other.
func listsOf(a, b map[string]any) []string {
	for _, d := range decoders() {
		if d.lists == nil || !d.match(a) || !d.match(b) {
			continue
		}
		for _, k := range d.lists {
			if list(a[k]) != nil && list(b[k]) != nil {
				return d.lists
			}
		}
		if d.parts != nil && holdsParts(d, a) && holdsParts(d, b) {
			return d.lists
		}
	}
	return nil
}

func holdsParts(d decoder, m map[string]any) bool {
	parts, _ := d.parts(m)
	return parts != nil
}

func mergeOTLP(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+2)
	for k, v := range a {
		out[k] = v
	}
	for i, signal := range otlpSignals {
		ra, keyA := listUnder(a, signal.resources...)
		rb, _ := listUnder(b, signal.resources...)
		if rb == nil {
			continue
		}
		identity := numbered
		if i == 1 {
			identity = func() func(any) string { return canonical }
		}
		out[keyA] = mergeResources(ra, rb, signal, identity)
	}
	return out
}

// spanIdentity is what tells spans apart: their id, else everything.
func spanIdentity(v any) string {
	if id := normalID(firstText(object(v), "spanId", "span_id", "spanID", "id", "uuid"), 8); id != "" {
		return "id " + id
	}
	return canonical(v)
}

// numbered returns a function that tells the spans of one document apart, which is asked
// for each of them in turn: also those of the same id, which are as many spans.
func numbered() func(any) string {
	seen := make(map[string]int)
	return func(v any) string {
		id := spanIdentity(v)
		n := seen[id]
		if seen[id]++; n == 0 {
			return id
		}
		return id + " again " + strconv.Itoa(n)
	}
}

// mergeResources replaces items of a by their newer versions in b, in place, and appends
// the rest of b with its resources and scopes. identities returns what tells the items of
// one document apart.
func mergeResources(a, b []any, signal otlpSignal, identities func() func(any) string) []any {
	newer := make(map[string]any)
	identity := identities()
	eachItem(b, signal, func(item any) { newer[identity(item)] = item })
	known := make(map[string]bool)
	out := make([]any, 0, len(a)+len(b))
	identity = identities()
	for _, r := range a {
		out = append(out, mapItems(object(r), signal, func(item any) (any, bool) {
			id := identity(item)
			known[id] = true
			if n, ok := newer[id]; ok {
				return n, true
			}
			return item, true
		}))
	}
	identity = identities()
	for _, r := range b {
		fresh := 0
		rest := mapItems(object(r), signal, func(item any) (any, bool) {
			id := identity(item)
			if known[id] {
				return nil, false
			}
			known[id] = true
			fresh++
			return item, true
		})
		if fresh > 0 {
			out = append(out, rest)
		}
	}
	return out
}

func eachItem(resources []any, signal otlpSignal, do func(any)) {
	for _, r := range resources {
		scopes, _ := listUnder(object(r), signal.scopes...)
		for _, sc := range scopes {
			items, _ := listUnder(object(sc), signal.items...)
			for _, it := range items {
				do(it)
			}
		}
	}
}

// mapItems returns resource with each item replaced, or left out; scopes that become
// empty are left out.
func mapItems(resource map[string]any, signal otlpSignal, do func(any) (any, bool)) map[string]any {
	scopes, scopeKey := listUnder(resource, signal.scopes...)
	var kept []any
	for _, sc := range scopes {
		sc := object(sc)
		items, itemKey := listUnder(sc, signal.items...)
		var mapped []any
		for _, it := range items {
			if v, ok := do(it); ok {
				mapped = append(mapped, v)
			}
		}
		if mapped != nil {
			kept = append(kept, with(sc, itemKey, mapped))
		}
	}
	return with(resource, scopeKey, kept)
}

// mergeLists returns a with the items under lists replaced by their newer versions in b,
// the others of b appended, and what else b has and a has not.
func mergeLists(a, b map[string]any, lists []string) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	for _, k := range lists {
		if la, lb := list(a[k]), list(b[k]); la != nil && lb != nil {
			out[k] = mergeItems(la, lb, k != messageList) // what was said stands
		}
	}
	return out
}

// mergeItems returns the items of a, and those that only b has. Of what both have b's
// version is taken if replace is set.
func mergeItems(a, b []any, replace bool) []any {
	newer := make(map[itemID]any)
	ids := identities(b)
	for i, id := range ids {
		newer[id] = b[i]
	}
	known := make(map[itemID]bool)
	out := make([]any, 0, len(a)+len(b))
	for i, id := range identities(a) {
		known[id] = true
		if n, ok := newer[id]; ok && replace {
			out = append(out, n)
		} else {
			out = append(out, a[i])
		}
	}
	for i, id := range ids {
		if !known[id] {
			out = append(out, b[i])
		}
	}
	return out
}

// An itemID tells the items of a list apart, also those of the same id.
type itemID struct {
	id string
	n  int // how many of that id come before
}

func identities(l []any) []itemID {
	seen := make(map[string]int)
	out := make([]itemID, len(l))
	for i, item := range l {
		id := spanIdentity(item)
		out[i] = itemID{id, seen[id]}
		seen[id]++
	}
	return out
}
