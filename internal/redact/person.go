package redact

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names of persons have no pattern. What can be had is this: a name that stands under a
// key such as user.name or first_name is hidden in the rest of the same document, too.

const (
	minNameBytes   = 4  // Kim, Li and Bo are words and syllables of other languages as well
	maxPersonBytes = 64 // of a name that is looked for
	maxNames       = 64 // that are looked for in one document
)

// ambiguous are names that are words, places or colours more often.
var ambiguous = words(`will mark grace hope rose bill drew chase grant dean frank jack price young long short brown green
	white black gray grey king page rich best love paris london jordan chelsea austin dallas houston lincoln
	washington jackson church hill wood woods stone field banks brooks rivers park parks street summer autumn april
	june july august friday sunday monday christian bishop baker cook hunter fisher miller mason taylor smith potter
	major minor angel faith joy dawn violet olive iris ivy lily daisy ruby pearl amber crystal gene pat rob sue guy
	earl duke prince miles cliff glen dale heath lane house home name names person contact admin`)

// learn remembers a name that stood under a key.
func (st *state) learn(value string) {
	value = strings.TrimSpace(value)
	if len(value) < minNameBytes || len(value) > maxPersonBytes || len(st.table.names) >= maxNames || isStandIn(value) || strings.Contains(value, placeholderOpen) {
		return
	}
	first, _ := utf8.DecodeRuneInString(value)
	several := strings.IndexByte(value, ' ') > 0
	distinctive := unicode.IsUpper(first) || strings.ContainsAny(value, "0123456789") && strings.IndexFunc(value, unicode.IsLetter) >= 0
	if !distinctive || !several && ambiguous[strings.ToLower(value)] || slices.Contains(st.table.names, value) {
		return
	}
	st.names = append(st.names, strings.Clone(value))
	st.table.add(value)
	st.learned = true
}

// A nameTable is the names that are looked for, by how they begin.
type nameTable struct {
	first   [256]uint8     // not 0 for first bytes
	starts  [256][4]uint64 // pairs of first bytes
	names   []string
	unicode bool // there is one that JSON may write with escapes
}

func (t *nameTable) reset() { *t = nameTable{names: t.names[:0]} }

func (t *nameTable) add(name string) {
	t.first[name[0]] = 1
	t.starts[name[0]][name[1]/64] |= 1 << (name[1] % 64)
	t.names = append(t.names, strings.Clone(name))
	for i := 0; i < len(name); i++ {
		t.unicode = t.unicode || name[i] >= 0x80
	}
}

// next returns the first occurrence of a name in s from i on, the longest there, or
// (len(s), 0). Names inside of words do not count.
func (t *nameTable) next(s string, i int) (start, n int) {
	for ; i+1 < len(s); i++ {
		for ; i+8 <= len(s); i += 8 { // most bytes begin no name
			b := s[i : i+8]
			if t.first[b[0]]|t.first[b[1]]|t.first[b[2]]|t.first[b[3]]|t.first[b[4]]|t.first[b[5]]|t.first[b[6]]|t.first[b[7]] != 0 {
				break
			}
		}
		for i+1 < len(s) && t.first[s[i]] == 0 {
			i++
		}
		if i+1 >= len(s) {
			break
		}
		if c := s[i+1]; t.starts[s[i]][c/64]>>(c%64)&1 == 0 {
			continue
		}
		if i > 0 && isAlnum(s[i-1]) && at(s, i-2) != '\\' {
			continue // inside a word, and not behind an escape
		}
		for _, name := range t.names {
			if len(name) > n && strings.HasPrefix(s[i:], name) && !isAlnum(at(s, i+len(name))) {
				n = len(name)
			}
		}
		if n > 0 {
			return i, n
		}
	}
	return len(s), 0
}

// namesIn reports whether one of the names may occur in s, a part of a text or a document.
func (st *state) namesIn(s string) bool {
	return len(st.names) > 0 && st.mayHaveNames(s)
}

// secondPass goes through the strings of a document inside depth strings that the first
// pass has settled, and hides the names in them, as far as limit: behind it, all names
// were known to the first pass. It returns nil when there are none.
func (st *state) secondPass(in string, limit, depth int) ([]byte, error) {
	w := walk{st: st, in: in, depth: depth, level: &st.levels[depth]}
	w.out = w.level.out[:0]
	hit, _ := st.table.next(in[:limit], 0)
	for w.pos < limit {
		if hit == limit && !st.table.unicode {
			break
		}
		open := strings.IndexByte(in[w.pos:limit], '"')
		if open < 0 {
			break
		}
		w.pos += open
		end := stringEnd(in, w.pos+1)
		if hit < w.pos {
			hit, _ = st.table.next(in[:limit], w.pos)
		}
		if hit >= end && !(st.table.unicode && strings.Contains(in[w.pos:end], `\u`)) {
			w.pos = min(end+1, len(in))
			continue
		}
		start := w.pos
		s, err := w.quoted()
		if err != nil {
			return nil, err
		}
		after := w.pos
		for after < len(in) && isSpace(in[after]) {
			after++
		}
		if at(in, after) == ':' {
			continue // the name of a member
		}
		if clean, changed := st.value(s, keyInfo{}, depth+1); changed {
			w.replace(start, clean)
		}
	}
	if w.copied == 0 {
		return nil, nil
	}
	w.out = append(w.out, in[w.copied:]...)
	w.level.out = w.out
	return w.out, nil
}

// mayHaveNames is namesIn for the names that the table has.
func (st *state) mayHaveNames(s string) bool {
	if _, n := st.table.next(s, 0); n > 0 {
		return true
	}
	return st.table.unicode && strings.Contains(s, `\u`)
}

// hideNames replaces the names in s, outside placeholders and as whole words.
func (st *state) hideNames(s string, buf *[]byte) (string, bool) {
	spans := st.spans[:0]
	for pos := 0; pos < len(s); {
		open, shut := nextPlaceholder(s, pos)
		for pos < open {
			start, n := st.table.next(s[:open], pos)
			if pos = start + n; n > 0 && !inWord(s, start, pos) {
				spans = append(spans, span{start, pos, Name})
			}
		}
		pos = shut
	}
	st.spans = spans
	if len(spans) == 0 {
		return s, false
	}
	return st.cut(s, spans, buf), true
}

// inWord reports whether s[start:end] is a part of a longer word.
func inWord(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	inside := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	return inside(before) || inside(after)
}

// entities adds what the installation's own finder finds outside spans and
// placeholders. It reports false when the finder failed.
func (st *state) entities(s string, spans []span) ([]span, bool) {
	taken := slices.Clone(spans)
	for pos := 0; pos < len(s); {
		start, end := nextPlaceholder(s, pos)
		if start > pos && end > start {
			taken = append(taken, span{start, end, ""})
		}
		pos = end
	}
	found, err := st.r.find(s)
	if err != nil {
		return nil, false
	}
	for _, e := range found {
		if e.Start < 0 || e.End > len(s) || e.Start >= e.End || !validKind(e.Kind) {
			return nil, false
		}
		sp := span{e.Start, e.End, e.Kind}
		if !slices.ContainsFunc(taken, func(t span) bool { return t.start < sp.end && sp.start < t.end }) {
			spans = append(spans, sp)
			taken = append(taken, sp)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	return spans, true
}

// allPlaceholders reports whether s is nothing but placeholders and white space.
func allPlaceholders(s string) bool {
	for pos := 0; pos < len(s); {
		start, end := nextPlaceholder(s, pos)
		if strings.TrimSpace(s[pos:start]) != "" {
			return false
		}
		pos = end
	}
	return true
}
