package redact

import "strings"

// URLs stand in the queries of other URLs, percent-encoded: next=%2Fcb%3Faccess_token%3Dx%26y.
// What is encoded twice (%253D) is read alike.

// escaped returns the byte that the percent escape at s[i] stands for, and its end; 0 when
// there is none.
func escaped(s string, i int) (c byte, end int) {
	k := i + 1
	for n := 0; n < 4 && k+4 <= len(s) && s[k] == '2' && s[k+1] == '5' && isHex(s[k+2]); n++ {
		k += 2
	}
	if at(s, i) != '%' || k+2 > len(s) || !isHex(s[k]) || !isHex(s[k+1]) {
		return 0, i
	}
	return unhex(s[k])<<4 | unhex(s[k+1]), k + 2
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// escapeBefore returns the start of the percent escape that ends at s[i], and the byte that
// it stands for; i and 0 when there is none.
func escapeBefore(s string, i int) (start int, c byte) {
	for k := i - 3; k >= 0 && k >= i-11; k -= 2 {
		if s[k] != '%' {
			continue
		}
		if c, end := escaped(s, k); end == i {
			return k, c
		}
		break
	}
	return i, 0
}

// encodedAssignment looks at a value behind a percent-encoded '=' or ':' at s[i].
func (sc *scanner) encodedAssignment(s string, i int) (span, bool) {
	op, k := escaped(s, i)
	if op != '=' && op != ':' {
		return span{}, false
	}
	end := i
	if quote, c := escapeBefore(s, end); isQuote(c) {
		end = quote
	}
	start := nameSet.before(s, end, maxNameBytes)
	if at(s, start-1) == '%' {
		if _, after := escaped(s, start-1); after > start && after <= end {
			start = after
		}
	}
	name := s[start:end]
	if len(name) < 2 {
		return span{}, false
	}
	class := sc.textName(name).class
	if class == noKey {
		return span{}, false
	}
	for n := 0; n < 3; n++ {
		switch c, next := escaped(s, k); {
		case isQuote(c) || c == ' ':
			k = next
		case foldPrefix(s[k:], "bearer%20") || foldPrefix(s[k:], "bearer+"):
			k += len("bearer+")
			for at(s, k) == '2' || at(s, k) == '0' {
				k++
			}
		}
	}
	v := value{start: k, end: sc.encodedEnd(s, k)}
	r := &sc.rejected
	if c, _ := escaped(s, k); c == '{' || c == '<' || c == '$' || c == '[' {
		return span{}, false // filled in elsewhere, or a document
	}
	if v.start == v.end || len(v.head(s)) == headBytes && r.head == v.head(s) && r.name == name && r.op == '%' {
		return span{}, false
	}
	if class == authorizationKey || class == cookieKey {
		class = secretKey
	}
	if acceptable(s, class, name, v, op, op == '=') {
		return span{v.start, v.end, Secret}, true
	}
	r.name, r.head, r.op = name, v.head(s), '%'
	return span{}, false
}

// encodedEnd returns where the percent-encoded value at s[i] ends: where an unquoted one
// does, or at a sign in an escape that ends one.
func (sc *scanner) encodedEnd(s string, i int) int {
	m := &sc.encoded
	if m.start <= i && i < m.end {
		return m.end
	}
	end := sc.runEnd(s, i, bareSet)
	for k := i; k < end; k++ {
		if s[k] != '%' {
			continue
		}
		if c, _ := escaped(s, k); c != 0 && (c <= ' ' || strings.IndexByte("\"'&,;#<>)}]", c) >= 0) {
			end = k
		}
	}
	*m = memo{i, end}
	return end
}
