package signal

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A wording is a regular expression that is only run on text which has one of the
// literals that every match needs. Dozens of expressions look at every text of a
// trace, at about 20 MB/s each; almost all texts hold none of their words, and that is
// found out a hundred times faster.
//
// It is compiled when it is first used: compiling them all takes longer than anything
// else that the program does when it starts.
type wording struct{ load func() *loaded }

// A loaded is a wording that is compiled.
type loaded struct {
	*regexp.Regexp
	// needs are lower-case literals of at least minNeed bytes, one of which is in every
	// match; nil when the expression has no such set.
	needs []string
}

// minNeed is the length from which a literal is rare enough to be worth looking for,
// and maxNeeds how many of them are looked for at most.
const (
	minNeed  = 3
	maxNeeds = 160
)

// compile returns an expression of this package. One that is malformed panics when it is
// used, which every detection does.
func compile(expr string) *wording {
	return &wording{sync.OnceValue(func() *loaded {
		l := &loaded{Regexp: regexp.MustCompile(expr)}
		if re, err := syntax.Parse(expr, syntax.Perl); err == nil {
			if needs := irredundant(literalsOf(re.Simplify()).needs); len(needs) <= maxNeeds {
				l.needs = needs
			}
		}
		return l
	})}
}

// may reports whether text can have a match.
func (l *loaded) may(text string) bool {
	if l.needs == nil {
		return true
	}
	low := lower(text)
	for _, n := range l.needs {
		if strings.Contains(low, n) {
			return true
		}
	}
	return false
}

// MatchString is [regexp.Regexp.MatchString].
func (w *wording) MatchString(text string) bool {
	if l := w.load(); l.may(text) {
		return l.Regexp.MatchString(text)
	}
	return false
}

// FindStringIndex is [regexp.Regexp.FindStringIndex].
func (w *wording) FindStringIndex(text string) []int {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindStringIndex(text)
	}
	return nil
}

// FindStringSubmatch is [regexp.Regexp.FindStringSubmatch].
func (w *wording) FindStringSubmatch(text string) []string {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindStringSubmatch(text)
	}
	return nil
}

// FindStringSubmatchIndex is [regexp.Regexp.FindStringSubmatchIndex].
func (w *wording) FindStringSubmatchIndex(text string) []int {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindStringSubmatchIndex(text)
	}
	return nil
}

// FindAllString is [regexp.Regexp.FindAllString].
func (w *wording) FindAllString(text string, n int) []string {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindAllString(text, n)
	}
	return nil
}

// FindAllStringIndex is [regexp.Regexp.FindAllStringIndex].
func (w *wording) FindAllStringIndex(text string, n int) [][]int {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindAllStringIndex(text, n)
	}
	return nil
}

// FindAllStringSubmatchIndex is [regexp.Regexp.FindAllStringSubmatchIndex].
func (w *wording) FindAllStringSubmatchIndex(text string, n int) [][]int {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindAllStringSubmatchIndex(text, n)
	}
	return nil
}

// FindString is [regexp.Regexp.FindString].
func (w *wording) FindString(text string) string {
	if l := w.load(); l.may(text) {
		return l.Regexp.FindString(text)
	}
	return ""
}

// ReplaceAllString is [regexp.Regexp.ReplaceAllString].
func (w *wording) ReplaceAllString(text, with string) string {
	if l := w.load(); l.may(text) {
		return l.Regexp.ReplaceAllString(text, with)
	}
	return text
}

// ReplaceAllStringFunc is [regexp.Regexp.ReplaceAllStringFunc].
func (w *wording) ReplaceAllStringFunc(text string, with func(string) string) string {
	if l := w.load(); l.may(text) {
		return l.Regexp.ReplaceAllStringFunc(text, with)
	}
	return text
}

// String returns the expression.
func (w *wording) String() string { return w.load().String() }

// lower returns text in lower case, folded as case-insensitive expressions fold: the
// two letters outside ASCII that equal an ASCII letter there become it.
func lower(text string) string {
	clean := true
	for i := 0; i < len(text) && clean; i++ {
		c := text[i]
		clean = c < utf8.RuneSelf && (c < 'A' || c > 'Z')
	}
	if clean {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c < utf8.RuneSelf:
			b = append(b, c)
		case strings.HasPrefix(text[i:], "\u017f"): // the long s
			b = append(b, 's')
			i++
		case strings.HasPrefix(text[i:], "\u212a"): // the Kelvin sign
			b = append(b, 'k')
			i += 2
		default:
			b = append(b, c)
		}
		i++
	}
	return string(b)
}

// A literals says what is in every match of an expression.
type literals struct {
	exact []string // every text that can match, in lower case; nil when there are too many
	needs []string // literals one of which is in every match; nil when there is no such set
}

// maxExact bounds the texts of an exact set while it is put together.
const maxExact = 64

// literalsOf follows the syntax tree of an expression.
func literalsOf(re *syntax.Regexp) literals {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return literals{exact: []string{""}}
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r >= utf8.RuneSelf && unicode.SimpleFold(r) != r {
				return literals{} // folds in ways that lower does not follow
			}
		}
		return exactly(strings.ToLower(string(re.Rune)))
	case syntax.OpCharClass:
		return classLiterals(re.Rune)
	case syntax.OpCapture:
		return literalsOf(re.Sub[0])
	case syntax.OpPlus:
		return literals{needs: literalsOf(re.Sub[0]).needs}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals{needs: literalsOf(re.Sub[0]).needs}
		}
	case syntax.OpQuest:
		if sub := literalsOf(re.Sub[0]); sub.exact != nil {
			return exactly(append([]string{""}, sub.exact...)...)
		}
	case syntax.OpConcat:
		return sequence(re.Sub)
	case syntax.OpAlternate:
		return choice(re.Sub)
	}
	return literals{}
}

// exactly returns the literals of an expression that matches just the given texts.
func exactly(texts ...string) literals {
	if len(texts) > maxExact {
		return literals{needs: usable(texts)}
	}
	return literals{exact: texts, needs: usable(texts)}
}

// usable returns the texts if all of them are long enough to be looked for, or nil.
func usable(texts []string) []string {
	for _, s := range texts {
		if len(s) < minNeed {
			return nil
		}
	}
	return texts
}

// classLiterals are those of a class of few characters.
func classLiterals(ranges []rune) literals {
	var texts []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(texts) == 8 || r >= utf8.RuneSelf && r != 'ſ' && r != '\u212A' {
				return literals{}
			}
			if s := lower(string(r)); !slices.Contains(texts, s) {
				texts = append(texts, s)
			}
		}
	}
	return exactly(texts...)
}

// choice returns the literals of an expression that matches one of parts.
func choice(parts []*syntax.Regexp) literals {
	var both literals
	finite, known := true, true
	for _, sub := range parts {
		l := literalsOf(sub)
		both.exact, both.needs = append(both.exact, l.exact...), append(both.needs, l.needs...)
		finite = finite && l.exact != nil && len(both.exact) <= maxExact
		known = known && l.needs != nil
	}
	if !finite {
		both.exact = nil
	}
	if !known {
		both.needs = nil
	}
	return both
}

// sequence returns the literals of an expression that matches all of parts in turn.
// Exact neighbours are joined; the most telling set wins.
func sequence(parts []*syntax.Regexp) literals {
	run, all := []string{""}, true
	var best []string
	for _, sub := range parts {
		l := literalsOf(sub)
		if l.exact != nil && len(run)*len(l.exact) <= maxExact {
			var joined []string
			for _, a := range run {
				for _, b := range l.exact {
					joined = append(joined, a+b)
				}
			}
			run = joined
			continue
		}
		all = false
		best = rarer(best, usable(run))
		best = rarer(best, l.needs)
		run = []string{""}
		if l.exact != nil {
			run = l.exact
		}
	}
	best = rarer(best, usable(run))
	if all {
		return literals{exact: run, needs: best}
	}
	return literals{needs: best}
}

// common are words that half of all English texts hold.
var common = []string{"that", "this", "with", "your", "you ", "have", "from", "the ", " the", "not ", "what", "and ", "for ", "are ", "was ", "is "}

// rarer returns the more telling of two sets: the one whose least telling literal is
// longer, and of those the smaller.
func rarer(a, b []string) []string {
	score := func(set []string) int {
		least := 1 << 20
		for _, s := range set {
			n := len(s)
			if slices.Contains(common, s) || slices.Contains(common, strings.TrimSpace(s)) {
				n = 0
			}
			least = min(least, n)
		}
		return least
	}
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	if x, y := score(a), score(b); x != y {
		if x > y {
			return a
		}
		return b
	}
	if len(b) < len(a) {
		return b
	}
	return a
}

// irredundant returns list without literals that contain another one of it.
func irredundant(list []string) []string {
	var out []string
	for i, s := range list {
		redundant := false
		for j, other := range list {
			if i != j && strings.Contains(s, other) && (s != other || j < i) {
				redundant = true
				break
			}
		}
		if !redundant {
			out = append(out, s)
		}
	}
	return out
}
