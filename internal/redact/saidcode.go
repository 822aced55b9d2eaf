package redact

import (
	"strings"
)

// codeKinds are the words that make a code one that proves who somebody is.
var codeKinds = words(`verification security factor fa mfa time auth authentication authorization login access sms
	passcode reset recovery backup signin otp totp pin door gate unlock`)

// saidCode looks at a one-time code or a PIN, of 4 to 8 digits.
func (sc *scanner) saidCode(s string, i, j int, word string) (span, bool) {
	if (word == "code" || word == "codes") && !codeKinds[sc.wordBefore(s, i)] {
		return span{}, false
	}
	if sp, ok := codeBefore(s, i); ok {
		return sp, true
	}
	k, linked := skipLink(s, j)
	if linked && word == "codes" {
		if sp, ok := sc.recoveryCodes(s, k, sc.wordBefore(s, i)); ok {
			return sp, true
		}
	}
	if rest := s[j:min(len(s), j+maxForBytes)]; !linked && strings.HasPrefix(rest, " for ") {
		if is := strings.Index(rest, " is "); is > 0 && !strings.ContainsAny(rest[:is], ".,;:?!\n") {
			k, linked = j+is+len(" is "), true // for my card is
		}
	}
	if !linked && (word == "pin" || word == "tan" || word == "passcode") {
		return span{}, false
	}
	if word == "cvv" || word == "cvc" {
		return cardCode(s, k)
	}
	end := k
	for end < len(s) && end-k < 9 && (isDigit(s[end]) || end-k == 3 && (s[end] == '-' || s[end] == ' ') && isDigit(at(s, end+1))) {
		end++
	}
	next := at(s, end)
	if n, _ := countDigits(s[k:end]); n < 4 || n > 8 || isAlnum(next) || next == '_' || (next == '-' || next == '.' || next == ',' || next == ':') && isDigit(at(s, end+1)) {
		return span{}, false
	}
	if word == "codes" {
		sc.queueCodes(s, end)
	}
	return span{k, end, Secret}, true
}

// maxForBytes bounds what a code is for, in "the PIN for my card is".
const maxForBytes = 40

// cardCode looks at the three or four digits from the back of a card at s[i].
func cardCode(s string, i int) (span, bool) {
	end := i
	for end < len(s) && end-i < 5 && isDigit(s[end]) {
		end++
	}
	ok := (end-i == 3 || end-i == 4) && !isAlnum(at(s, end)) && !(at(s, end) == '.' && isDigit(at(s, end+1)))
	return span{i, end, Secret}, ok
}

// queueCodes adds the codes that follow the first of a list, which ends at s[i].
func (sc *scanner) queueCodes(s string, i int) {
	for n := 0; n < 16; n++ {
		k := i
		for k < len(s) && k-i < 4 && (s[k] == ' ' || s[k] == ',' || s[k] == '\n' || s[k] == ';') {
			k++
		}
		end := k
		for end < len(s) && end-k < 12 && (isDigit(s[end]) || s[end] == '-') {
			end++
		}
		if n, _ := countDigits(s[k:end]); k == i || n < 4 || n > 10 || isAlnum(at(s, end)) {
			return
		}
		sc.queue = append(sc.queue, span{sc.base + k, sc.base + end, Secret})
		i = end
	}
}

// recoveryCodes looks at a list of codes of letters and digits at s[i], as services give out for
// the case that a phone is lost: 0a78e-24583 e01c3-6d6f8. The first is returned, the others are
// queued.
func (sc *scanner) recoveryCodes(s string, i int, owner string) (span, bool) {
	if owner != "recovery" && owner != "backup" {
		return span{}, false
	}
	var found []span
	for n := 0; n < 16; n++ {
		end := sets[tokenSet].run(s, i, 32)
		if v := s[i:end]; len(v) < 8 || len(v) > 24 || !digits2.open(v) || !isAlnum(v[len(v)-1]) || isDated(v) || strings.IndexByte("./:@=", at(s, end)) >= 0 && isAlnum(at(s, end+1)) {
			break
		}
		found = append(found, span{sc.base + i, sc.base + end, Secret})
		for i = end; i < len(s) && i-end < 4 && strings.IndexByte(" ,\n;", s[i]) >= 0; i++ {
		}
	}
	if len(found) == 0 {
		return span{}, false
	}
	sc.queue = append(sc.queue, found[1:]...)
	return span{found[0].start - sc.base, found[0].end - sc.base, Secret}, true
}

// codeBefore looks at a code before its name, which starts at s[i]: "420567 is your
// verification code".
func codeBefore(s string, i int) (span, bool) {
	head := s[max(0, i-40):i]
	k := strings.LastIndex(head, " is your ")
	if k < 0 {
		return span{}, false
	}
	end := i - len(head) + k
	start := end
	for start > 0 && end-start < 9 && isDigit(s[start-1]) {
		start--
	}
	return span{start, end, Secret}, end-start >= 4 && end-start <= 8 && !isAlnum(at(s, start-1))
}

// identifiedBy looks at IDENTIFIED BY 'x' and its variants.
func (sc *scanner) identifiedBy(s string, i int) (span, bool) {
	if head := s[max(0, i-80):i]; !strings.HasSuffix(head, "IDENTIFIED") && !strings.Contains(head, "user ") {
		return span{}, false // prose
	}
	if !foldPrefix(s[i:], " by ") && !foldPrefix(s[i:], " with ") {
		return span{}, false
	}
	k := i
	for k < len(s) && k-i < 64 && (isAlnum(s[k]) || s[k] == ' ' || s[k] == '_') {
		k++
	}
	between := strings.ToLower(s[i:k])
	if q := at(s, k); q != '\'' && q != '"' || between != " by " && between != " by password " && !strings.HasSuffix(between, " by ") && !strings.HasSuffix(between, " as ") {
		return span{}, false
	}
	end := k + 1
	for end < len(s) && end-k < 256 && s[end] != s[k] && s[end] != '\n' {
		end++
	}
	if v := s[k+1 : end]; at(s, end) != s[k] || len(v) < 3 || isTemplate(v) || isStandIn(v) {
		return span{}, false
	}
	return span{k + 1, end, Secret}, true
}

// setPassword looks at SET PASSWORD FOR 'user'@'host' = 'x', behind the words before FOR.
func setPassword(s string, i int) (span, bool) {
	line := s[i:min(len(s), i+commandBytes)]
	if end := strings.IndexAny(line, "\n;"); end >= 0 {
		line = line[:end]
	}
	sign := strings.IndexByte(line, '=')
	if sign < 0 {
		return span{}, false
	}
	k := i + sign + 1
	for k < len(s) && (s[k] == ' ' || s[k] == '(' || isAlpha(s[k])) && k-i < commandBytes {
		k++ // = PASSWORD('x')
	}
	q := at(s, k)
	if q != '\'' && q != '"' {
		return span{}, false
	}
	n := strings.IndexByte(s[k+1:min(len(s), k+1+maxSaidBytes)], q)
	if n < 3 {
		return span{}, false
	}
	v := s[k+1 : k+1+n]
	return span{k + 1, k + 1 + n, Secret}, strings.IndexByte(v, '\n') < 0 && !strings.Contains(v, placeholderOpen) && !isTemplate(v) && !isStandIn(v)
}

// variable looks at a variable and its value, which a space separates.
func (sc *scanner) variable(s string, i int) (span, bool) {
	if at(s, i) != ' ' {
		return span{}, false
	}
	end := nameSet.run(s, i+1, maxNameBytes)
	if at(s, end) != ' ' || end >= len(s) {
		return span{}, false
	}
	name := s[i+1 : end]
	class := classify(name)
	if class != passwordKey && class != secretKey {
		return span{}, false
	}
	v := sc.readValue(s, end, false)
	if v.start == v.end || !acceptable(s, class, name, v, '=', false) {
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

// seedPhrase looks at the words from which a wallet's keys are made: 12 to 24 of them,
// three by three.
func (sc *scanner) seedPhrase(s string, i, j int) (span, bool) {
	if before := sc.wordBefore(s, i); s[i]|0x20 == 'p' && before != "seed" && before != "recovery" && before != "secret" && before != "backup" && before != "mnemonic" {
		return span{}, false
	}
	k, _ := skipLink(s, j)
	n, end := 0, k
	for p := k; n < 24; n++ {
		w := p
		for p < len(s) && p-w <= 8 && isLower(s[p]) {
			p++
		}
		if p-w < 3 || p-w > 8 {
			break
		}
		end = p
		if at(s, p) != ' ' || p >= len(s) {
			n++
			break
		}
		p++
	}
	if n < 12 || n%3 != 0 {
		return span{}, false
	}
	return span{k, end, Secret}, true
}
