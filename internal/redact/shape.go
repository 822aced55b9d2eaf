package redact

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp/syntax"
	"strings"
	"sync"
)

// The shapes of vendors' keys that are data: the rules of gitleaks (MIT licence), which
// "go run ./gitleaksgen" refreshes. Each is a regular expression without anything that
// needs backtracking, and is matched as a sequence of bounded runs, 10 to 100 times
// faster than an engine for regular expressions is started on so short a text.
//
//go:embed gitleaks.json
var gitleaksData []byte

// A shape is a key's form.
type shape struct {
	id        string
	kind      Kind
	sequences []sequence
	entropy   float64 // bits per character that a value has at least
	least     int     // bytes of the shortest value
	custom    bool    // made by the operator, who is taken at his word
}

// A sequence is one form of a shape: runs of characters, one after the other.
type sequence []run

// A run is at least min and at most max characters of a set.
type run struct {
	set      *charset
	min, max int
}

// shapeTable is the shapes, by what makes a scanner look for them.
type shapeTable struct {
	// prefixed are shapes that begin with fixed characters, by the first two.
	prefixed startTable[*shape]
	// named are shapes of values behind a name that has one of the words.
	named startTable[namedShapes]
	// starts has the first two bytes of the words of named.
	starts [256][4]uint64
	// firsts is the same for prefixed.
	firsts [256][4]uint64
	// least is the length of the shortest value of named.
	least int
}

type namedShapes struct {
	word   string
	shapes []*shape
}

// vendorShapes is made at first use: a few milliseconds that the program need not spend
// when nothing is redacted.
var vendorShapes = sync.OnceValues(func() (*shapeTable, error) {
	var file struct {
		Rules []struct {
			ID      string
			Names   []string
			Shape   string
			Entropy float64
		}
	}
	if err := json.Unmarshal(gitleaksData, &file); err != nil {
		return nil, fmt.Errorf("gitleaks.json: %w", err)
	}
	t := newShapeTable()
	for _, r := range file.Rules {
		sh, err := newShape(r.ID, APIKey, r.Shape)
		if err != nil {
			return nil, fmt.Errorf("gitleaks.json: %w", err)
		}
		sh.entropy = r.Entropy
		if err := t.add(sh, r.Names); err != nil {
			return nil, fmt.Errorf("gitleaks.json: %w", err)
		}
	}
	for _, r := range ownShapes {
		sh, err := newShape(r.id, APIKey, r.shape)
		if err != nil {
			return nil, err
		}
		if err := t.add(sh, r.names); err != nil {
			return nil, err
		}
	}
	return t, nil
})

// ownShapes are shapes that gitleaks does not have.
var ownShapes = []struct {
	id    string
	names []string
	shape string
}{
	{"azure-application", []string{"azure_client_id", "azure_tenant_id", "azureclientid", "azuretenantid", "ad_tenant_id", "ad_client_id"},
		`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`},
}

func newShapeTable() *shapeTable {
	return &shapeTable{least: math.MaxInt}
}

// clone returns a copy of t to which shapes can be added.
func (t *shapeTable) clone() *shapeTable {
	c := *t
	c.prefixed, c.named = t.prefixed.clone(), t.named.clone()
	return &c
}

// add adds a shape, which counts only behind one of names, if there are any.
func (t *shapeTable) add(sh *shape, names []string) error {
	for _, name := range names {
		name = strings.ToLower(name)
		if len(name) < 3 {
			return fmt.Errorf("rule %s: the name %q is too short", sh.id, name)
		}
		start := [2]byte{name[0], name[1]}
		t.starts[start[0]][start[1]/64] |= 1 << (start[1] % 64)
		t.least = min(t.least, sh.least)
		list := t.named.get(start[0], start[1])
		found := false
		for i := range list {
			if list[i].word == name {
				list[i].shapes = append(list[i].shapes[:len(list[i].shapes):len(list[i].shapes)], sh)
				found = true
			}
		}
		if !found {
			t.named.add(start[0], start[1], namedShapes{name, []*shape{sh}})
		}
	}
	if len(names) > 0 {
		return nil
	}
	added := make(map[[2]byte]bool)
	for _, seq := range sh.sequences {
		a, b, ok := seq.firstTwo()
		if !ok {
			return fmt.Errorf("rule %s: a shape without names must begin with at least two fixed characters", sh.id)
		}
		for _, x := range a {
			for _, y := range b {
				k := [2]byte{x, y}
				if !added[k] {
					added[k] = true
					t.prefixed.add(x, y, sh)
					t.firsts[x][y/64] |= 1 << (y % 64)
				}
			}
		}
	}
	return nil
}

// firstTwo returns the characters that seq can begin with, if these are few: a letter
// in both cases at most.
func (seq sequence) firstTwo() (a, b []byte, ok bool) {
	if len(seq) < 2 || seq[0].min != 1 || seq[0].max != 1 || seq[1].min != 1 || seq[1].max != 1 {
		return nil, nil, false
	}
	a, b = seq[0].set.members(), seq[1].set.members()
	return a, b, len(a) <= 2 && len(b) <= 2
}

func (cs *charset) members() (list []byte) {
	for c, in := range cs {
		if in {
			list = append(list, byte(c))
		}
	}
	return list
}

const (
	maxSequences = 64  // of a shape, after writing alternatives out
	maxShapeRun  = 512 // what {n,} and + stand for at most
)

// newShape compiles a regular expression of bounded runs: literals, classes,
// repetitions of one of these, groups and alternatives. A run of varying length must
// not be followed by characters that it could contain, because nothing backtracks.
func newShape(id string, kind Kind, re string) (*shape, error) {
	parsed, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", id, err)
	}
	sequences, err := expand(parsed)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", id, err)
	}
	sh := &shape{id: id, kind: kind, sequences: sequences, least: math.MaxInt}
	for _, seq := range sequences {
		least := 0
		for i, r := range seq {
			least += r.min
			if r.min == r.max {
				continue
			}
			// What can follow: all runs up to the first that cannot be empty.
			for j := i + 1; j < len(seq); j++ {
				if seq[j].min > 0 && r.set.meets(seq[j].set) {
					return nil, fmt.Errorf("rule %s: a run of varying length is followed by characters that it can contain; give it a fixed length", id)
				}
				if seq[j].min > 0 {
					break
				}
			}
		}
		if least < minShapeBytes {
			return nil, fmt.Errorf("rule %s: the shortest match has %d characters; at least %d are needed to tell it from words", id, least, minShapeBytes)
		}
		sh.least = min(sh.least, least)
	}
	return sh, nil
}

// minShapeBytes is the length of the shortest value that a shape may have.
const minShapeBytes = 8

func (cs *charset) meets(other *charset) bool {
	for i := range cs {
		if cs[i] && other[i] {
			return true
		}
	}
	return false
}

var errShape = errors.New("only literals, classes, bounded repetitions of these, groups and alternatives are possible")

// expand writes re out as sequences.
func expand(re *syntax.Regexp) ([]sequence, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []sequence{{}}, nil
	case syntax.OpLiteral:
		var seq sequence
		for _, c := range re.Rune {
			if c >= 0x80 {
				return nil, errShape
			}
			var set charset
			set[c] = true
			if b := byte(c); re.Flags&syntax.FoldCase != 0 && isAlpha(b) {
				set[b^0x20] = true
			}
			seq = append(seq, run{&set, 1, 1})
		}
		return []sequence{seq}, nil
	case syntax.OpCharClass:
		var set charset
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1] && c < 0x80; c++ {
				set[c] = true
			}
		}
		return []sequence{{{&set, 1, 1}}}, nil
	case syntax.OpAnyCharNotNL:
		return []sequence{{{newCharset("", func(c byte) bool { return c > ' ' && c < 0x7f }), 1, 1}}}, nil
	case syntax.OpCapture:
		return expand(re.Sub[0])
	case syntax.OpQuest:
		list, err := expand(re.Sub[0])
		return append(list, sequence{}), err
	case syntax.OpStar:
		return repeat(re.Sub[0], 0, maxShapeRun)
	case syntax.OpPlus:
		return repeat(re.Sub[0], 1, maxShapeRun)
	case syntax.OpRepeat:
		if re.Max < 0 {
			return repeat(re.Sub[0], re.Min, max(maxShapeRun, re.Min))
		}
		return repeat(re.Sub[0], re.Min, re.Max)
	case syntax.OpConcat:
		all := []sequence{{}}
		for _, sub := range re.Sub {
			list, err := expand(sub)
			if err != nil {
				return nil, err
			}
			var next []sequence
			for _, head := range all {
				for _, tail := range list {
					next = append(next, append(head[:len(head):len(head)], tail...))
				}
			}
			if all = next; len(all) > maxSequences {
				return nil, fmt.Errorf("more than %d alternatives", maxSequences)
			}
		}
		return all, nil
	case syntax.OpAlternate:
		var all []sequence
		for _, sub := range re.Sub {
			list, err := expand(sub)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
		if len(all) > maxSequences {
			return nil, fmt.Errorf("more than %d alternatives", maxSequences)
		}
		return all, nil
	}
	return nil, errShape
}

// repeat writes out least to most repetitions of re.
func repeat(re *syntax.Regexp, least, most int) ([]sequence, error) {
	list, err := expand(re)
	if err != nil {
		return nil, err
	}
	if len(list) == 1 && len(list[0]) == 1 && list[0][0].min == 1 && list[0][0].max == 1 {
		return []sequence{{{list[0][0].set, least, most}}}, nil
	}
	if len(list) != 1 || least != most || least*len(list[0]) > maxShapeRun {
		return nil, errShape
	}
	var seq sequence
	for range least {
		seq = append(seq, list[0]...)
	}
	return []sequence{seq}, nil
}

// match returns the end of the value of shape sh that starts at s[i], or -1.
func (sh *shape) match(s string, i int) int {
	best := -1
sequences:
	for _, seq := range sh.sequences {
		k := i
		for _, r := range seq {
			end := r.set.run(s, k, r.max)
			if end-k < r.min {
				continue sequences
			}
			k = end
		}
		best = max(best, k)
	}
	if best < 0 || sh.entropy > 0 && entropy(s[i:best]) < sh.entropy {
		return -1
	}
	return best
}

// entropy is the Shannon entropy of s in bits per character.
func entropy(s string) float64 {
	var counts [256]int
	for i := 0; i < len(s); i++ {
		counts[s[i]]++
	}
	bits, n := 0.0, float64(len(s))
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// prefixedShape looks at a key that starts at s[i] with the fixed characters of a shape.
func (sc *scanner) prefixedShape(s string, i int) (span, bool) {
	t := sc.shapes
	if i+1 >= len(s) || t.firsts[s[i]][s[i+1]/64]>>(s[i+1]%64)&1 == 0 {
		return span{}, false
	}
	for _, sh := range t.prefixed.get(s[i], s[i+1]) {
		if end := sh.match(s, i); end > 0 && endsValue(s, end) && (sh.custom || looksDrawn(s[i:end], sh)) {
			return span{i, end, sh.kind}, true
		}
	}
	return span{}, false
}

// looksDrawn reports whether the value of a shape that begins with fixed characters looks
// random, where the form is no proof.
func looksDrawn(value string, sh *shape) bool {
	switch {
	case sh.least >= 60:
		return true
	case value[1] == '.': // s.thatIsCode
		return digits2.open(value[2:])
	}
	return random.open(value[2:]) && !isWordy(value)
}

// nameWords is the length from which a name is so special that its value needs not look
// random.
const nameWords = 16

// nameWindow is how far before an operator the name of a vendor is looked for.
const nameWindow = 72

// namedShape looks at a value behind the operator at s[i], whose name ends at s[end] and
// may name a vendor: "cloudflare_key = …".
func (sc *scanner) namedShape(s string, i, end int) (span, bool) {
	t := sc.shapes
	start := i
	for start < len(s) && start-i < 4 && strings.IndexByte(":=>|?", s[start]) >= 0 {
		start++
	}
	for n := 0; start < len(s) && n < 5 && strings.IndexByte("`'\" \t=", s[start]) >= 0; n++ {
		start++
	}
	if start >= len(s) || !bareSetHas(s[start]) || sc.runEnd(s, start, bareSet)-start < t.least {
		return span{}, false
	}
	first := end
	for first > 0 && end-first < nameWindow && nameWindowSet[s[first-1]] {
		first--
	}
	var buf [nameWindow]byte
	window := lower(buf[:0], s[first:end])
	for k := 0; k+2 < len(window); k++ {
		a, b := window[k], window[k+1]
		if t.starts[a][b/64]>>(b%64)&1 == 0 {
			continue
		}
		for _, n := range t.named.get(a, b) {
			if len(window)-k < len(n.word) || string(window[k:k+len(n.word)]) != n.word || len(window)-k-len(n.word) > maxNameTail {
				continue
			}
			if at := end - len(window) + k; at > 0 && isAlpha(s[at-1]) && isUpper(s[at-1]) == isUpper(s[at]) {
				continue // inside a word: CameraKit is not about Meraki
			}
			for _, sh := range n.shapes {
				stop := sh.match(s, start)
				if stop < 0 || !endsValue(s, stop) {
					continue
				}
				value := s[start:stop]
				switch {
				case sh.custom || len(n.word) > nameWords:
				case allDigits(value) && !strings.Contains(string(window), "client"), !strings.ContainsAny(value, "0123456789"), isStandIn(value):
					continue
				}
				return span{start, stop, sh.kind}, true
			}
		}
	}
	return span{}, false
}

// namesVendor reports whether a key holds the name of a vendor that has shapes.
func (t *shapeTable) namesVendor(key string) bool {
	if len(key) > nameWindow {
		return false
	}
	var buf [nameWindow]byte
	low := lower(buf[:0], key)
	for k := 0; k+2 < len(low); k++ {
		if a, b := low[k], low[k+1]; t.starts[a][b/64]>>(b%64)&1 != 0 {
			for _, n := range t.named.get(a, b) {
				if strings.HasPrefix(view(low[k:]), n.word) {
					return true
				}
			}
		}
	}
	return false
}

// vendorValue looks at the value of a member whose key names a vendor.
func (sc *scanner) vendorValue(key, value string) (Kind, bool) {
	if len(value) > maxVendorBytes {
		return "", false
	}
	text := key + "=" + value
	sc.runs = [nsets]memo{}
	sp, ok := sc.namedShape(text, len(key), len(key))
	return sp.kind, ok && sp.end == len(text)
}

// nameWindowSet is what can stand between a vendor's name and the operator, maxNameTail
// how much of it.
var nameWindowSet = newCharset("_-. \t\"',", isAlnum)

const maxNameTail = 24

// endsValue reports whether a value can end before s[i].
func endsValue(s string, i int) bool {
	c := at(s, i)
	return isSpace(c) || strings.IndexByte("`'\";,)}]&<\\", c) >= 0 ||
		(c == '.' || c == '!' || c == '?' || c == ':') && !isAlnum(at(s, i+1))
}
