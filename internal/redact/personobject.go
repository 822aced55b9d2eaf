package redact

import "strings"

// "name" is a tool, a file or a shop more often than a person. Beside a date of birth, or an
// address of mail that is made of it, it is a person: {"name": "Mia Lund", "email":
// "m.lund@…"}, Mia Lund <m.lund@…>.

// maxSiblings is how many members behind a name are looked at for what proves it.
const maxSiblings = 8

// noteSibling remembers of the member key, with what the policy says about it and its value
// at w.pos, what can prove that another member is the name of a person.
func (w *walk) noteSibling(seen *members, member keyInfo, key string) {
	switch {
	case member.treatment == always && isPersonal(member.kind):
		seen.personal = true
	case strings.EqualFold(key, "email") && at(w.in, w.pos) == '"':
		seen.mail = w.in[w.pos+1 : stringEnd(w.in, w.pos+1)]
	}
}

// isPersonal reports whether only persons have what k is.
func isPersonal(k Kind) bool { return k == BirthDate || k == SSN || k == NationalID }

// namesPerson reports whether the string at w.pos, the "name" of an object, is a person's by
// the members around it.
func (w *walk) namesPerson(seen *members) bool {
	end := stringEnd(w.in, w.pos+1)
	name := w.in[w.pos+1 : min(end, len(w.in))]
	if !isPersonName(name) {
		return false
	}
	if seen.personal || isMailOf(seen.mail, name) {
		return true
	}
	k := skipSpace(w.in, min(end+1, len(w.in)))
	for n := 0; n < maxSiblings && at(w.in, k) == ','; n++ {
		if k = skipSpace(w.in, k+1); at(w.in, k) != '"' {
			return false
		}
		shut := stringEnd(w.in, k+1)
		if shut >= len(w.in) {
			return false
		}
		key := w.in[k+1 : shut]
		if k = skipSpace(w.in, shut+1); at(w.in, k) != ':' {
			return false
		}
		k = skipSpace(w.in, k+1)
		if n := len(key); n == len("dob") || n >= len("birthday") && n <= len("date_of_birth") {
			if isPersonal(w.st.r.policy.exact[fold(key)].kind) {
				return true
			}
		}
		switch at(w.in, k) {
		case '"':
			shut := min(stringEnd(w.in, k+1), len(w.in))
			if isMailOf(w.in[k+1:shut], name) {
				return true
			}
			k = min(shut+1, len(w.in))
		case '{', '[':
			return false
		default:
			for k < len(w.in) && w.in[k] != ',' && w.in[k] != '}' {
				k++
			}
		}
		k = skipSpace(w.in, k)
	}
	return false
}

// isPersonName reports whether s is written as names of persons are: up to five words of
// letters, the first of them with a capital.
func isPersonName(s string) bool {
	if len(s) < minNameBytes || len(s) > maxPersonBytes || !isUpper(s[0]) && s[0] < 0xC3 {
		return false
	}
	spaces := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			spaces++
		case !isAlpha(c) && c < 0x80 && c != '-' && c != '\'' && c != '.':
			return false
		}
	}
	return spaces > 0 && spaces < 5
}

// notMailOf are words that are in names and addresses of no person.
var notMailOf = words(`support info sales team contact help admin service services news office billing accounts marketing
	hello mail noreply reply notifications security press careers jobs the and for group company`)

// isMailOf reports whether the mail address has a part of name before its '@', of at least
// three letters.
func isMailOf(mail, name string) bool {
	end := strings.IndexByte(mail, '@')
	if end < 3 || end > maxLocalBytes {
		return false
	}
	var localBuf, wordBuf [maxLocalBytes]byte
	local := view(lower(localBuf[:0], mail[:end]))
	for len(name) > 0 {
		n := 0
		for n < len(name) && isAlpha(name[n]) {
			n++
		}
		if n >= 3 && n <= maxPersonBytes {
			if word := view(lower(wordBuf[:0], name[:n])); !notMailOf[word] && strings.Contains(local, word) {
				return true
			}
		}
		name = name[max(n, 1):]
	}
	return false
}

// displayName looks at the name before the address s[start:end] in angle brackets, if the
// address is made of it.
func displayName(s string, start, end int) (span, bool) {
	if at(s, start-1) != '<' {
		return span{}, false
	}
	hi := start - 1
	for hi > 0 && start-hi < 4 && (s[hi-1] == ' ' || s[hi-1] == '"' || s[hi-1] == '\'') {
		hi--
	}
	lo := hi
	for lo > 0 && hi-lo < maxPersonBytes && (isAlpha(s[lo-1]) || s[lo-1] >= 0x80 || strings.IndexByte(" -'.", s[lo-1]) >= 0) {
		lo--
	}
	for lo < hi && !isUpper(s[lo]) && s[lo] < 0xC3 {
		lo++ // by Mia Lund
	}
	if lo > 0 && isAlnum(s[lo-1]) || !isPersonName(s[lo:hi]) || !isMailOf(s[start:end], s[lo:hi]) {
		return span{}, false
	}
	return span{lo, hi, Name}, true
}
