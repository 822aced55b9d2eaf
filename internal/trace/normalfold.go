package trace

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// This file folds the normal form: entries of a list that are alike in all but values
// become one entry with lists of those values, which loses nothing. A run of n cycles of
// entries is
//
//	{"each": [one entry per step of the cycle], "times": n}
//
// where a value that differs from cycle to cycle is an array of n values, or for integers
// in equal steps {"by": b, "from": a}; an element of an array that differs is
// {"each": [n values]}.

const (
	foldEach, foldTimes = "each", "times"
	foldFrom, foldBy    = "from", "by"
	// minFold is how many cycles a fold has at least, and maxCycle how many entries one.
	minFold, maxCycle = 4, 8
	// maxFolded bounds the values that the folds of a document stand for: what outside
	// input can make of a few bytes.
	maxFolded = 1 << 19
)

// foldable are the lists whose entries are folded.
var foldable = [...]string{"calls", "labels", "messages", "steps", "tools"}

// isArray reports whether the value of a field is an array by itself: any other array is
// that of the values of a fold.
func isArray(field string) bool {
	switch field {
	case "in", "out", "declared", "warnings":
		return true
	}
	return slices.Contains(foldable[:], field)
}

// A folder folds one document.
type folder struct {
	values int // that folds stand for
	shapes map[string]int
	text   []byte
}

// foldNormal returns a document in normal form, folded.
func foldNormal(doc map[string]any) map[string]any {
	f := &folder{shapes: make(map[string]int)}
	out := maps.Clone(doc)
	if messages, ok := out["messages"].([]any); ok {
		out["messages"] = f.calls(messages)
	}
	for _, k := range foldable {
		if l, ok := out[k].([]any); ok {
			out[k] = f.list(l)
		}
	}
	return out
}

// calls returns messages with their long lists of calls folded.
func (f *folder) calls(messages []any) []any {
	out := slices.Clone(messages)
	for i, m := range messages {
		m, _ := m.(map[string]any)
		if l, ok := m["calls"].([]any); ok && len(l) >= 2*minFold {
			out[i] = with(m, "calls", f.list(l))
		}
	}
	return out
}

// list returns the entries of l with runs of cycles folded.
func (f *folder) list(l []any) []any {
	shapes := make([]int, len(l))
	sizes := make([]int, len(l))
	for i, e := range l {
		before := len(f.shapes)
		f.text = f.text[:0]
		sizes[i] = f.shape("", e)
		id, ok := f.shapes[string(f.text)]
		if !ok {
			id = before
			f.shapes[string(f.text)] = id
		}
		shapes[i] = id
	}
	var out []any
	for i := 0; i < len(l); {
		best, width := 0, 0
		for w := 1; w <= maxCycle && w < len(l); w++ {
			n := i + w
			for n < len(l) && shapes[n] == shapes[n-w] {
				n++
			}
			if cycles := (n - i) / w; cycles >= minFold && cycles*w > best {
				best, width = cycles*w, w
			}
		}
		if best == 0 {
			out = append(out, l[i])
			i++
			continue
		}
		size := 0
		for _, n := range sizes[i : i+best] {
			size += n
		}
		if f.values+size > maxFolded { // what is behind it is left as it is, or this would be tried at each entry
			return append(out, l[i:]...)
		}
		f.values += size
		out = append(out, foldRun(l[i:i+best], width))
		i += best
	}
	return out
}

// shape writes what entries that fold into one have in common, and returns how many
// values there are in v.
func (f *folder) shape(field string, v any) (values int) {
	switch v := v.(type) {
	case map[string]any:
		f.text = append(f.text, '{')
		var few [16]string // which most have, if they are steps
		keys := few[:0]
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			f.text = append(strconv.AppendQuote(f.text, k), ':')
			values += f.shape(k, v[k])
		}
		f.text = append(f.text, '}')
		if _, folded := v[foldTimes]; folded { // a fold does not fold again
			f.text = strconv.AppendInt(append(f.text, '#'), int64(len(f.shapes)), 10)
		}
	case []any:
		f.text = append(f.text, '[')
		for _, e := range v {
			values += f.shape(field, e)
			f.text = append(f.text, ',')
		}
		f.text = append(f.text, ']')
	}
	return values + 1
}

// foldRun returns the fold of cycles of width entries.
func foldRun(entries []any, width int) map[string]any {
	n := len(entries) / width
	each := make([]any, width)
	column := make([]any, n)
	for p := range each {
		for c := range column {
			column[c] = entries[c*width+p]
		}
		each[p] = foldColumn(column, false)
	}
	return map[string]any{foldEach: each, foldTimes: json.Number(strconv.Itoa(n))}
}

// foldColumn returns what stands for values of one shape.
func foldColumn(values []any, element bool) any {
	below := make([]any, len(values))
	switch first := values[0].(type) {
	case map[string]any:
		out := make(map[string]any, len(first))
		for k := range first {
			for c, v := range values {
				below[c] = v.(map[string]any)[k]
			}
			out[k] = foldColumn(below, false)
		}
		return out
	case []any:
		out := make([]any, len(first))
		for i := range first {
			for c, v := range values {
				below[c] = v.([]any)[i]
			}
			out[i] = foldColumn(below, true)
		}
		return out
	}
	if !slices.ContainsFunc(values, func(v any) bool { return v != values[0] }) {
		return values[0]
	}
	if from, by, ok := progression(values); ok {
		return map[string]any{foldFrom: from, foldBy: by}
	}
	if element {
		return map[string]any{foldEach: slices.Clone(values)}
	}
	return slices.Clone(values)
}

// progression reports whether values are integers in equal steps.
func progression(values []any) (from, by json.Number, ok bool) {
	first, ok0 := integer(values[0])
	second, ok1 := integer(values[1])
	if !ok0 || !ok1 {
		return "", "", false
	}
	for c, v := range values {
		if n, ok := integer(v); !ok || n != first+int64(c)*(second-first) {
			return "", "", false
		}
	}
	return json.Number(strconv.FormatInt(first, 10)), json.Number(strconv.FormatInt(second-first, 10)), true
}

// maxProgression bounds the integers of a progression, so that none overflows.
const maxProgression = 1 << 40

func integer(v any) (int64, bool) {
	s, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	return n, err == nil && n > -maxProgression && n < maxProgression
}

// An unfolder undoes the folds of a document.
type unfolder struct {
	left int // values that may still be made
	over bool
}

// unfold returns what the folded document stands for; whole is false when it stands for
// more than [maxFolded] values.
func unfold(doc map[string]any) (out map[string]any, whole bool) {
	u := &unfolder{left: maxFolded}
	out = maps.Clone(doc)
	for _, k := range foldable {
		if l, ok := out[k].([]any); ok {
			out[k] = u.list(l)
		}
	}
	if messages, ok := out["messages"].([]any); ok {
		for i, m := range messages {
			m, _ := m.(map[string]any)
			if l, ok := m["calls"].([]any); ok {
				messages[i] = with(m, "calls", u.list(l))
			}
		}
	}
	return out, !u.over
}

func (u *unfolder) list(l []any) []any {
	out := make([]any, 0, len(l))
	for _, e := range l {
		m, _ := e.(map[string]any)
		each, ok := m[foldEach].([]any)
		n, counted := integer(m[foldTimes])
		if !ok || !counted || len(each) == 0 {
			out = append(out, e)
			continue
		}
		for c := range n {
			for _, entry := range each {
				v := u.value("", entry, int(c))
				if u.over {
					return out
				}
				out = append(out, v)
			}
		}
	}
	return out
}

// value returns what v, the value of a field (or the entry itself, with field ""), is in
// cycle c.
func (u *unfolder) value(field string, v any, c int) any {
	if u.left--; u.left < 0 {
		u.over = true
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if at, ok := progressed(v, c); ok && field != "attributes" {
			return at
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			name := k
			if field != "" { // inside a value no field is an array
				name = field + "." + k
			}
			out[k] = u.value(name, e, c)
		}
		return out
	case []any:
		if !isArray(field) {
			if c < len(v) {
				return v[c]
			}
			return nil
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = u.element(e, c)
		}
		return out
	}
	return v
}

// element returns what an element of an array is in cycle c.
func (u *unfolder) element(v any, c int) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		if each, ok := m[foldEach].([]any); ok {
			if c < len(each) {
				return each[c]
			}
			return nil
		}
	}
	return u.value("", v, c)
}

func progressed(m map[string]any, c int) (json.Number, bool) {
	if len(m) != 2 {
		return "", false
	}
	from, ok := integer(m[foldFrom])
	by, ok2 := integer(m[foldBy])
	if !ok || !ok2 {
		return "", false
	}
	return json.Number(strconv.FormatInt(from+int64(c)*by, 10)), true
}
