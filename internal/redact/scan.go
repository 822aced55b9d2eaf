package redact

import (
	"math/bits"
	"slices"
	"strings"
)

// minFindingBytes is the length of the shortest finding in running text: a@b.io, ::1:2.
const minFindingBytes = 6

// A scanner finds secrets and personal data in running text. It goes through a text
// once, from trigger to trigger: the start of a word, a digit, or one of a few signs.
// At each, at most a bounded number of bytes is looked at; where a run could be looked
// at again and again (repeated triggers in one run), its end is remembered.
type scanner struct {
	policy  *policy
	shapes  *shapeTable
	regions []string // whose national phone numbers are recognised
	phones  map[phoneCandidate]bool
	info    keyInfo // of the key that the text belongs to

	// context is the end of the text before the segment, without what was found in it.
	context  [contextBytes]byte
	ncontext int

	// queue are further findings that came with the last one, in the text of segment.
	queue []span
	base  int // where in that text the segment starts

	// rejected is what was last found to be no secret: where one name follows the other
	// without a space, the values overlap and look the same again and again.
	rejected struct {
		name, head string
		op, quote  byte
		query      bool
		vendor     string // the start of what was no vendor's key
	}

	// names is what is known of the names before operators.
	names map[string]*textName

	runs [nsets]memo // ends of runs, in the segment
	// late reports whether the time is over. It is asked at until, a position in the
	// segment; there the rest is dropped.
	late  func(n int) bool
	until int

	// digits remembers that from its start on there is no digit before its end.
	digits memo
	// long remembers that there is no long run of text between its start and its end.
	long memo
	// noAddress and noHash are positions up to which no address and no hash starts.
	noAddress, noHash int
	// noTable is a position up to which no header of a table starts, and encoded the end of
	// a percent-encoded value.
	noTable int
	encoded memo
	noEnd   int // position from which no "-----END" follows, or -1
}

// A memo remembers that the run which covers start ends at end.
type memo struct{ start, end int }

// contextBytes is how far before a value words count as its context.
const contextBytes = 48

// Classes of bytes, by what they can trigger.
type class uint8

const (
	plain  class = iota
	letter       // or '_'
	digit
	sign
)

var classes = func() (t [256]class) {
	for c := range 256 {
		switch b := byte(c); {
		case isAlpha(b) || b == '_':
			t[c] = letter
		case isDigit(b):
			t[c] = digit
		}
	}
	for _, c := range "@%:=>,+(-\\~$" {
		t[c] = sign
	}
	t[0xEF] = sign
	for _, w := range slices.Concat(foreignPasswords, foreignIDs) {
		t[w[0]] = sign
	}
	return t
}()

// begin starts a text that belongs to a key with info.
func (sc *scanner) begin(info keyInfo) {
	sc.info = info
	sc.ncontext = 0
	sc.until = clockBytes
}

// segment appends to spans what it finds in s[lo:hi], which is a text by itself.
func (sc *scanner) segment(spans []span, s string, lo, hi int) []span {
	for {
		if len(sc.queue) > 0 {
			sp := sc.queue[0]
			sc.queue = sc.queue[1:]
			sc.remember(s[lo:sp.start])
			spans = append(spans, sp)
			lo = sp.end
			continue
		}
		seg := s[lo:hi]
		sc.base = lo
		sc.runs = [nsets]memo{}
		sc.digits, sc.long = memo{-1, -1}, memo{-1, -1}
		sc.noAddress, sc.noHash, sc.noTable = 0, 0, 0
		sc.encoded = memo{-1, -1}
		sc.rejected.head, sc.rejected.vendor = "", ""
		sc.noEnd = -1
		sp, ok := sc.first(seg)
		if !ok {
			sc.remember(seg)
			sc.until -= len(seg)
			return spans
		}
		sc.remember(seg[:sp.start])
		spans = append(spans, span{lo + sp.start, lo + sp.end, sp.kind})
		lo += sp.end
		sc.until -= sp.end
	}
}

// remember makes text the context of what follows.
func (sc *scanner) remember(text string) {
	if len(text) >= contextBytes {
		sc.ncontext = copy(sc.context[:], text[len(text)-contextBytes:])
		return
	}
	if over := sc.ncontext + len(text) - contextBytes; over > 0 {
		sc.ncontext = copy(sc.context[:], sc.context[over:sc.ncontext])
	}
	sc.ncontext += copy(sc.context[sc.ncontext:], text)
}

// first returns the first finding in s.
func (sc *scanner) first(s string) (span, bool) {
	for i := 0; i < len(s); {
		if i >= sc.until {
			if sc.late(clockBytes) {
				return span{i, len(s), Dropped}, true
			}
			sc.until = i + clockBytes
		}
		switch classes[s[i]] {
		case plain:
			i++
		case letter:
			j, common := wordEnd(s, i)
			if common {
				if sc.mayBeTopic(s, i, j) {
					if sp, ok := sc.prose(s, i, j); ok {
						return sp, true
					}
				}
				i = j + 1
				continue
			}
			if sp, ok := sc.word(s, i, j); ok {
				return sp, true
			}
			if fieldEnds[at(s, j)] {
				if sp, ok := sc.wordInSigns(s, i, j); ok {
					return sp, true
				}
			}
			if isDigit(s[j-1]) {
				if sp, ok := sc.tail(s, i, j); ok {
					return sp, true
				}
			}
			if sc.mayBeTopic(s, i, j) {
				if sp, ok := sc.prose(s, i, j); ok {
					return sp, true
				}
			}
			i = j
		case digit:
			j := i + 1
			for j < len(s) && wordSet[s[j]] {
				j++
			}
			if sp, ok := sc.number(s, i, j); ok {
				return sp, true
			}
			if j-i == 2 && at(s, j) == ';' {
				if sp, ok := sc.spelledAt(s, i, j); ok {
					return sp, true
				}
			}
			if j-i == 1 && s[i] == '1' && strings.HasPrefix(s[j:], "//0") {
				if sp, ok := refreshToken(s, i); ok {
					return sp, true
				}
			}
			if j-i > 1 && !isDigit(s[j-1]) || at(s, j) == ':' || at(s, j) == '|' {
				if sp, ok := sc.word(s, i, j); ok {
					return sp, true
				}
			}
			i = j
		case sign:
			if s[i] == ',' && (i == 0 || !isQuote(s[i-1])) {
				i++ // as most do, it stands in a sentence
				continue
			}
			sp, next, ok := sc.sign(s, i)
			if ok {
				return sp, true
			}
			i = next
		}
	}
	return span{}, false
}

// wordEnd returns the end of the word at s[i], and whether it is plainly one of a language
// with a space behind it: too short for a vendor's key, no part of a number, and not the
// name of an authentication scheme. Most words are.
func wordEnd(s string, i int) (end int, common bool) {
	end, digits := wordRun(s, i+1)
	common = !digits && end-i < minVendorBytes && at(s, end) == ' ' && !isDigit(at(s, end+1)) &&
		(end-i <= 2 || s[i]|0x20 != 'b')
	return end, common
}

// digits8 returns the highest bits of those bytes of v that are digits.
func digits8(v uint64) uint64 {
	// With t less than 0x80 in each byte, the highest bit of a byte of t + (0x80 - c)… is set
	// where t >= c, and no sum carries into the next byte.
	t := v &^ highs
	return (t + (0x80-'0')*ones) &^ (t + (0x7f-'9')*ones) &^ v & highs
}

// wordRun returns the end of the run of wordSet at s[i], and whether there is a digit in it.
func wordRun(s string, i int) (end int, digits bool) {
	for ; i+8 <= len(s); i += 8 {
		v := load8(s, i)
		t := v &^ highs
		low := t | 0x20*ones
		letter := (low + (0x80-'a')*ones) &^ (low + (0x7f-'z')*ones)
		underscore := highs - (t ^ '_'*ones)
		digit := digits8(v)
		if other := ^((letter|underscore)&^v | digit) & highs; other != 0 {
			return i + bits.TrailingZeros64(other)/8, digits || digit&(other&-other-1) != 0
		}
		digits = digits || digit != 0
	}
	for ; i < len(s) && wordSet[s[i]]; i++ {
		digits = digits || isDigit(s[i])
	}
	return i, digits
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// wordInSigns looks at the word s[i:j], behind which a sign stands that ends a field of a row
// or brackets.
func (sc *scanner) wordInSigns(s string, i, j int) (span, bool) {
	switch j - i {
	case 2, 3, 6: // at, x40, commat
		if sp, ok := sc.spelledAt(s, i, j); ok {
			return sp, true
		}
	}
	if !mayNameColumn(s, i, j) {
		return span{}, false
	}
	return sc.header(s, i, j)
}

// tail looks at the digits that end the word s[i:j], if an underscore is before them.
func (sc *scanner) tail(s string, i, j int) (span, bool) {
	k := j
	for k > i && isDigit(s[k-1]) {
		k--
	}
	if k == i || s[k-1] != '_' {
		return span{}, false
	}
	return sc.number(s, k, j)
}

// sign looks at the sign s[i] and returns a finding, or where to go on.
func (sc *scanner) sign(s string, i int) (sp span, next int, ok bool) {
	next = i + 1
	switch s[i] {
	case '@':
		if sp, ok = sc.email(s, i, i+1); !ok {
			sp, ok = oracleUser(s, i)
		}
	case '$':
		sp, ok = sc.cryptHash(s, i)
	case '%':
		if at(s, i+1) == '4' && at(s, i+2) == '0' {
			sp, ok = sc.email(s, i, i+3)
		} else if sp, ok = sc.encodedAssignment(s, i); !ok {
			if c, end := escaped(s, i); end > i && c < 0x80 && !isAlnum(c) {
				next = end // a new word starts: %20ghp_…
			}
		}
	case ':':
		if at(s, i+1) == '/' && at(s, i+2) == '/' {
			sp, ok = urlUserinfo(s, i)
			return sp, i + 3, ok
		}
		if sp, ok = sc.colons(s, i); !ok {
			sp, ok = sc.assignment(s, i)
		}
	case '=', '>', ',':
		sp, ok = sc.assignment(s, i)
	case 0xEF:
		sp, ok = sc.fullWidth(s, i)
	case '~':
		sp, ok = sc.azure(s, i)
	case '+':
		sp, ok = sc.phone(s, i)
	case '(':
		if sp, ok = sc.phone(s, i); !ok {
			sp, ok = sc.callArgument(s, i)
		}
	case '-':
		if at(s, i+1) == '-' {
			if sp, ok = sc.pem(s, i); !ok {
				sp, ok = sc.flag(s, i)
			}
		} else if isAlpha(at(s, i+1)) {
			sp, ok = sc.shortFlag(s, i)
		}
	case '\\':
		// An escape that was not decoded, as in the text of a program or in JSON that was
		// cut: what follows is a new word. In strings in strings backslashes multiply.
		k := i + 1
		for at(s, k) == '\\' {
			k++
		}
		next = k
		switch c := at(s, k); {
		case c == 'n' || c == 't' || c == 'r' || c == '"' || c == '\'':
			next = k + 1
		case c == 'u' && k+5 <= len(s):
			r, hex := hex4(s, k+1)
			if !hex {
				break
			}
			if next = k + 5; r == '@' {
				sp, ok = sc.email(s, i, next)
			}
		}
	default:
		if s[i] >= 0x80 {
			sp, ok = sc.foreign(s, i)
		}
	}
	return sp, next, ok
}

// Sets of bytes whose runs are remembered.
const (
	tokenSet   = iota // letters, digits, '_', '-'
	dottedSet         // and '.'
	base64Set         // and '+', '/', '=', '.', '~'
	bareSet           // what an unquoted value is made of
	addressSet        // hex digits, ':' and '.'
	nsets
)

var (
	wordSet = *newCharset("_", isAlnum)
	sets    = [nsets]*charset{
		tokenSet:   newCharset("_-", isAlnum),
		dottedSet:  newCharset("_-.", isAlnum),
		base64Set:  newCharset("_-.+/=~", isAlnum),
		bareSet:    newCharset("", func(c byte) bool { return c > ' ' && c != 0x7f && !isValueEnd(c) }),
		addressSet: newCharset(":.", isHex),
	}
)

// runEnd returns the end of the run of the given set that covers i.
func (sc *scanner) runEnd(s string, i, set int) int {
	m := &sc.runs[set]
	if m.start <= i && i < m.end {
		return m.end
	}
	end := sets[set].run(s, i, len(s))
	*m = memo{i, end}
	return end
}

// afterEscape reports whether an escape of white space that was not decoded, such as \n,
// ends before s[i].
func afterEscape(s string, i int) bool {
	c := at(s, i-1)
	return (c == 'n' || c == 't' || c == 'r') && at(s, i-2) == '\\'
}
