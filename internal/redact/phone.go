package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// phone looks at a phone number that starts at s[i], a digit, '+' or '('.
func (sc *scanner) phone(s string, i int) (span, bool) {
	if sc.info.has(spared) {
		return span{}, false
	}
	sp, ok := sc.plainPhone(s, i)
	if !ok && len(sc.regions) > 0 {
		return sc.regionalPhone(s, i)
	}
	return sp, ok
}

// plainPhone looks at a number that is recognised whatever the regions are.
func (sc *scanner) plainPhone(s string, i int) (span, bool) {
	before := at(s, i-1)
	switch {
	case isAlnum(before) && s[i] != '(' && !afterEscape(s, i), money(s, i), before == '/', before == '=' && s[i] != '+' && sc.info.treatment != phoneLike,
		(before == '.' || before == '-' || before == ':') && isDigit(at(s, i-2)),
		before == ',' && isDigit(at(s, i-2)) && s[i] != '+' && s[i] != '(' && at(s, i+3) != '-':
		return span{}, false
	}
	if isRow(s, i) {
		return span{}, false
	}
	p := parsePhone(s, i)
	if p.plus && p.ngroups > 1 && p.n == 6 && callingCode(p.digits[:p.n]) && !isAlnum(at(s, p.end)) && sc.valid(s[i:p.end], "ZZ") {
		return span{i, p.end, Phone}, true // few countries have numbers so short
	}
	if p.n < 7 || p.n > 15 || latinBefore(s, i) {
		return span{}, false
	}
	end := phoneExtension(s, p.end)
	next := at(s, end)
	if p.ngroups == 1 && (next == '_' || before == '_') {
		return span{}, false // bare digits in a word are an id
	}
	if isAlnum(next) || next == '_' && isDigit(at(s, end+1)) || next == '%' || next == '$' || next == '@' || next == '=' ||
		(next == '-' || next == '.' || next == '/' || next == ':' || next == ',') && isDigit(at(s, end+1)) {
		return span{}, false
	}
	ok := false
	switch {
	case p.plus:
		ok = p.n >= 8 && callingCode(p.digits[:p.n]) && !isDate(s[i+1:p.end]) &&
			(before != '=' || sc.info.treatment == phoneLike || sc.valid(s[i:p.end], "ZZ")) // x=+1 is arithmetic as a rule
	case p.ngroups == 1 && p.n == 10 && end > p.end:
		ok = p.digits[0] >= '2' && p.digits[3] >= '2'
	case p.ngroups == 4 && p.n >= 12 && p.groups[1] == 3 && p.groups[2] == 3 && p.groups[3] == 4 && p.seps[0] == '-' && p.seps[1] == '-' && p.seps[2] == '-':
		ok = callingCode(p.digits[:p.n]) // 91-415-555-0132
	case p.zeros():
		ok = callingCode(p.digits[2:p.n]) && before != ')' && !figure(s, i-1, -1) // 0044 20 7946 0958
	case p.northAmerican():
		ok = end > p.end || !p.spaced
	}
	if !ok && (p.n < 2*p.ngroups-1 || isDate(s[i:p.end])) {
		return span{}, false
	}
	if !ok && sc.info.treatment != phoneLike {
		h := sc.near(s, i, 4)
		switch {
		case h.has(hintPhone):
			ok = !sc.near(s, i, 2).has(hintIdentifier)
		case h.has(hintNumber) && !h.has(hintIdentifier|hintCard|hintSSN):
			// "My number is": only what is written as phone numbers are.
			ok = s[i] == '0' && p.ngroups > 1 || p.n == 11 && p.digits[0] == '1' && p.digits[1] >= '3'
		}
		if !ok {
			return span{}, false
		}
	}
	return span{i, end, Phone}, true
}

// zeros reports whether p is written with 00 for the '+': in groups of two digits or more,
// with one separator between them.
func (p *phoneNumber) zeros() bool {
	if p.ngroups < 2 || p.n < 11 || p.digits[0] != '0' || p.digits[1] != '0' {
		return false
	}
	for i, size := range p.groups[:p.ngroups] {
		if size < 2 || i > 0 && p.seps[i-1] != p.seps[0] {
			return false
		}
	}
	return true
}

// isRow reports whether digits one by one start at s[i], with spaces between: figures.
func isRow(s string, i int) bool {
	return isDigit(s[i]) && at(s, i+1) == ' ' && isDigit(at(s, i+2)) && at(s, i+3) == ' ' && isDigit(at(s, i+4)) && !isDigit(at(s, i+5))
}

// latinBefore reports whether a letter beyond ASCII, of a script that separates words
// by spaces, stands before s[i].
func latinBefore(s string, i int) bool {
	if i == 0 || s[i-1] < 0x80 {
		return false
	}
	r, _ := utf8.DecodeLastRuneInString(s[:i])
	return r < 0x2E80 && unicode.IsLetter(r)
}

// phoneNumber is a number as it is written: its digits and their groups.
type phoneNumber struct {
	digits  [16]byte
	n       int
	groups  [8]int // sizes
	ngroups int
	seps    [8]byte // between the groups; '(' and ')' are dropped, so that ") " is ' '
	plus    bool
	paren   bool
	spaced  bool // 415 555 0132: as columns of figures are written
	end     int
}

// parsePhone reads up to 16 digits from s[i], with at most two separators in a row.
func parsePhone(s string, i int) phoneNumber {
	var p phoneNumber
	k := i
	if s[k] == '+' {
		p.plus = true
		k++
		if at(s, k) == '+' {
			return p
		}
	}
	size, open := 0, false
	p.end = i
loop:
	for k < len(s) && p.n < len(p.digits) {
		c := s[k]
		switch {
		case isDigit(c):
			p.digits[p.n] = c
			p.n++
			size++
			k++
			p.end = k
			continue
		case c == '(' && isDigit(at(s, k+1)) && !open && !p.paren:
			open, p.paren = true, true
		case c == ')' && open:
			open = false
			p.end = k + 1
		case (c == ' ' || c == '-' || c == '.' || c == '/') && p.n > 0:
			next := at(s, k+1)
			if !isDigit(next) && !(next == '(' && isDigit(at(s, k+2)) && !p.paren) {
				break loop
			}
		default:
			break loop
		}
		if size > 0 {
			if p.ngroups == len(p.groups)-1 {
				break loop
			}
			p.groups[p.ngroups] = size
			p.ngroups++
			size = 0
			if c == ' ' && !p.plus && p.groups[p.ngroups-1] == 4 && p.northAmerican() {
				break loop // figures that follow are no part of it
			}
		}
		if p.ngroups > 0 {
			p.seps[p.ngroups-1] = c
		}
		k++
	}
	if size > 0 {
		p.groups[p.ngroups] = size
		p.ngroups++
	}
	if open {
		p.n = 0 // "(415 555" without an end is something else
	}
	return p
}

// northAmerican reports whether p is written as a number of the North American plan:
// 415-555-0132, (415) 555-0132, 415.555.0132, 1-415-555-0132.
func (p *phoneNumber) northAmerican() bool {
	groups, seps, digits := p.groups[:p.ngroups], p.seps[:], p.digits[:p.n]
	if len(groups) > 0 && groups[0] == 1 && digits[0] == '1' {
		groups, seps, digits = groups[1:], seps[1:], digits[1:]
	}
	if len(digits) != 10 || digits[0] < '2' || digits[3] < '2' && !p.paren {
		return false // (555) 123-4567 is nobody's, and yet what people write
	}
	switch {
	case len(groups) == 3 && groups[0] == 3 && groups[1] == 3 && groups[2] == 4:
		if p.paren {
			return true
		}
		// Columns of figures are separated by spaces: those need context.
		p.spaced = seps[0] == ' ' && seps[1] == ' '
		return p.spaced || seps[0] == seps[1] || seps[1] == '-' && (seps[0] == '/' || p.ngroups == 4)
	case len(groups) == 2 && groups[0] == 3 && groups[1] == 7:
		return p.paren || seps[0] == '-'
	}
	return false
}

// callingCode reports whether digits, of an international number, start with a country
// calling code of E.164 and have a length that exists there.
func callingCode(digits []byte) bool {
	switch digits[0] {
	case '0':
		return false
	case '1':
		return len(digits) == 11 && digits[1] >= '2' && digits[4] >= '2'
	case '7':
		return len(digits) == 11
	}
	two := string(digits[:2])
	if strings.Contains(" 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ", " "+two+" ") {
		return true
	}
	// The rest are codes of three digits: 21x-23x, 24x-26x, 29x, 35x, 37x, 38x, 42x,
	// 50x, 59x, 67x-69x, 80x, 85x, 87x, 88x, 96x, 97x, 99x.
	return strings.Contains(" 21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99 ", " "+two+" ")
}

// isDate reports whether s is a date like 2024-01-31 or 20240131, or starts with one.
func isDate(s string) bool {
	if len(s) >= 10 && isDigit(s[0]) && (s[4] == '-' || s[4] == '/' || s[4] == '.') && s[7] == s[4] {
		return allDigits(s[:4]) && allDigits(s[5:7]) && (s[0] == '1' || s[0] == '2')
	}
	if len(s) == 9 && s[4] == '-' && allDigits(s[:4]) && allDigits(s[5:]) {
		return s[:2] == "19" || s[:2] == "20" // a span of years
	}
	return len(s) == 8 && allDigits(s) && (s[:2] == "19" || s[:2] == "20") && s[4:6] <= "12"
}

// phoneExtension returns the end of the extension that follows a number, or end.
func phoneExtension(s string, end int) int {
	k := end
	for k < len(s) && k-end < 3 && (s[k] == ' ' || s[k] == ',') {
		k++
	}
	rest := s[k:]
	for _, word := range [...]string{"ext.", "ext:", "extension", "ext", "x"} {
		if !foldPrefix(rest, word) {
			continue
		}
		d := k + len(word)
		for d < len(s) && s[d] == ' ' && d-k < 12 {
			d++
		}
		first := d
		for d < len(s) && isDigit(s[d]) && d-first < 7 {
			d++
		}
		if d > first && !wordSet[at(s, d)] {
			return d
		}
	}
	return end
}
