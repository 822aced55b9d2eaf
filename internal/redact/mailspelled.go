package redact

import "strings"

// Addresses are written so that programs do not find them: ann (at) example.com,
// ann[at]example[dot]com, ann at example dot com, ann&#64;example.com.

// spelledSet is what is read of the parts of a spelled address.
var spelledSet = newCharset("._%+-", isAlnum)

// spelledAt looks at an address whose '@' is written as the word s[i:j] between brackets or
// as a character reference of HTML.
func (sc *scanner) spelledAt(s string, i, j int) (span, bool) {
	switch open := at(s, i-1); at(s, j) {
	case ';':
		switch {
		case s[i:j] == "commat" && open == '&':
			return sc.email(s, i-1, j+1)
		case (s[i:j] == "x40" || s[i:j] == "64" || s[i:j] == "X40") && open == '#' && at(s, i-2) == '&':
			return sc.email(s, i-2, j+1)
		}
	case ')', ']', '}':
		if strings.EqualFold(s[i:j], "at") && (open == '(' || open == '[' || open == '{') {
			return spelledMail(s, i-1, j+1)
		}
	}
	return span{}, false
}

// notHosts are words behind "at" that no address goes on with: at the dot com boom.
var notHosts = words(`the a an this that these our every each its his her their my your`)

// spelledDot looks at an address whose last '.' is the word at s[i], and its '@' the word
// "at" before: ann at example dot com.
func spelledDot(s string, i int) (span, bool) {
	if at(s, i-1) != ' ' || i < 2 {
		return span{}, false
	}
	label := spelledSet.before(s, i-1, maxNameBytes)
	head := s[:label]
	if label == i-1 || notHosts[s[label:i-1]] || !strings.HasSuffix(head, " at ") && !strings.HasSuffix(head, " AT ") {
		return span{}, false
	}
	return spelledMail(s, label-len(" at "), label)
}

// spelledMail looks at an address whose '@' is spelled as s[lo:hi].
func spelledMail(s string, lo, hi int) (span, bool) {
	for n := 0; lo > 0 && s[lo-1] == ' ' && n < 2; n++ {
		lo--
	}
	start := spelledSet.before(s, lo, maxNameBytes)
	for start < lo && !isAlnum(s[start]) {
		start++
	}
	end, dots := hi, 0
	for n := 0; at(s, end) == ' ' && end < len(s) && n < 2; n++ {
		end++
	}
	for dots < 6 {
		label := end
		for end < len(s) && end-label < maxNameBytes && (isAlnum(s[end]) || s[end] == '-') {
			end++
		}
		next := afterDot(s, end)
		if next >= 0 && end > label {
			end = next
			dots++
			continue
		}
		var buf [maxNameBytes]byte
		ok := start < lo && dots > 0 && usualTopLevel[view(lower(buf[:0], s[label:end]))]
		return span{start, end, Email}, ok
	}
	return span{}, false
}

// afterDot returns the end of the '.' at s[i], spelled or not, or -1.
func afterDot(s string, i int) int {
	if at(s, i) == '.' && isAlnum(at(s, i+1)) {
		return i + 1
	}
	for _, dot := range [...]string{" dot ", "[dot]", "(dot)", "{dot}", " [dot] ", " (dot) ", " {dot} ", "[.]", "(.)"} {
		if foldPrefix(s[i:], dot) {
			return i + len(dot)
		}
	}
	return -1
}
