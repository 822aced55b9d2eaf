package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// nameOwners are words before "name" that make it a person's.
var nameOwners = words(`my his her full first last middle maiden family given legal real customer passenger patient guest
	contact cardholder employee recipient sender applicant client traveler traveller emergency spouse holder buyer seller mein mi mio mon meu`)

// saidName looks at the name of a person behind "my name is" and its like.
func (sc *scanner) saidName(s string, i, j int) (span, bool) {
	own, label, owner := false, false, ""
	switch s[i] | 0x20 {
	case 'n':
		if owner = sc.wordBefore(s, i); !nameOwners[owner] {
			return span{}, false
		}
	case 'p', 't':
		label = true // Passenger: …
	case 'c':
		label = s[i+1]|0x20 == 'a'
		own = !label
	default:
		own = true // je m'appelle, me llamo, mi chiamo
	}
	k, linked := skipLink(s, j)
	if !own && !linked || label && at(s, j) != ':' || k >= len(s) {
		return span{}, false
	}
	end, n := k, 0
	for p := k; n < 4; n++ {
		r, size := utf8.DecodeRuneInString(s[p:])
		if !unicode.IsUpper(r) {
			break
		}
		w := p
		for p += size; p < len(s); p += size {
			if r, size = utf8.DecodeRuneInString(s[p:]); !unicode.IsLetter(r) && r != '-' && r != '\'' && r != '’' {
				break
			}
		}
		if p-w < 2 && at(s, p) != '.' || p-w > 24 {
			break
		}
		end = p
		if at(s, p) == '.' && p-w == 1 {
			p++ // an initial
		}
		if at(s, p) != ' ' || p >= len(s) {
			n++
			break
		}
		p++
	}
	// One capital is the start of anything: "My name is Admin".
	if n == 0 || n == 1 && !own && owner != "my" && owner != "mein" && owner != "mi" && owner != "first" && owner != "last" && owner != "family" && owner != "maiden" ||
		isStandIn(s[k:end]) || isAlnum(at(s, end)) || at(s, end) == '_' {
		return span{}, false
	}
	return span{k, end, Name}, true
}

// saidBirth looks at a date of birth.
func (sc *scanner) saidBirth(s string, i, j int, word string) (span, bool) {
	if word == "birth" && sc.wordBefore(s, i) != "of" {
		return span{}, false
	}
	living := false
	switch word {
	case "born":
		if !isBornSomebody(s, i) {
			return span{}, false
		}
		living = true
	case "geboren", "nacido", "nacida", "nascido", "nascida":
		if living = true; strings.HasPrefix(s[j:], " am ") || strings.HasPrefix(s[j:], " el ") || strings.HasPrefix(s[j:], " em ") {
			j += len(" am")
		}
	}
	k, _ := skipLink(s, j)
	if word == "birthday" && strings.HasPrefix(s[j:], " on ") {
		return span{}, false // the day of a party
	}
	digits, end, years, year := 0, k, 0, ""
	for p := k; p < len(s) && p-k < 20; {
		switch c := s[p]; {
		case isDigit(c):
			w := p
			for p < len(s) && isDigit(s[p]) {
				p++
			}
			if p-w > 4 || p-w == 3 {
				return span{}, false
			}
			if p-w == 4 {
				years++
				year = s[w:p]
			}
			digits += p - w
			end = p
		case c == '-' || c == '/' || c == '.' || c == ' ' || c == ',':
			p++
		case isAlpha(c):
			w := p
			for p < len(s) && isAlpha(s[p]) {
				p++
			}
			var buf [16]byte
			if p-w < 3 || p-w > 9 || !months[string(lower(buf[:0], s[w:w+3]))] {
				p = len(s)
			}
		default:
			p = len(s)
		}
	}
	if years != 1 || digits < 5 || digits > 8 || isAlnum(at(s, end)) {
		return span{}, false
	}
	if living && year < firstLivingYear {
		return span{}, false
	}
	return span{k, end, BirthDate}, true
}

// firstLivingYear is the year from which a date of birth in a story counts: who was born
// before is history.
const firstLivingYear = "1920"

// isBornSomebody reports whether "I was", "she was" or "the patient was" ends before s[i].
func isBornSomebody(s string, i int) bool {
	head, ok := strings.CutSuffix(strings.ToLower(s[max(0, i-20):i]), " was ")
	if !ok {
		return false
	}
	switch head[strings.LastIndexAny(head, " \n\t\"'(.,*")+1:] {
	case "i", "she", "he", "patient", "client", "customer", "applicant", "employee", "who", "user", "son", "daughter", "wife", "husband":
		return true
	}
	return false
}

var months = words(`jan feb mar apr may jun jul aug sep oct nov dec mai okt dez fev avr jui aou ene abr ago dic`)

// addressOwners are words before "address" that make it a postal one.
var addressOwners = words(`my his her home street mailing shipping billing delivery postal residential`)

// saidAddress looks at a postal address behind "lives at", "shipping address:" and their
// like: a number and a name, or a name and a number, up to the end of the sentence.
func (sc *scanner) saidAddress(s string, i, j int, word string) (span, bool) {
	bare := false
	switch word {
	case "address", "adresse":
		before := sc.wordBefore(s, i)
		if !addressOwners[before] {
			return span{}, false // of a shop, a host, a contract
		}
	case "ship", "shipped", "deliver", "delivered":
		bare = true
		rest := strings.TrimPrefix(s[j:min(len(s), j+8)], " it")
		if !strings.HasPrefix(rest, " to") || len(rest) < 4 || rest[3] != ' ' && rest[3] != ':' {
			return span{}, false
		}
		j = strings.Index(s[j:], "to") + j + len("to")
	default:
		if !strings.HasPrefix(s[j:], " at ") {
			return span{}, false
		}
	}
	k, linked := skipLink(s, j)
	linked = linked || bare
	if !linked || k >= len(s) {
		return span{}, false
	}
	const most = 100
	if k < sc.noAddress {
		return span{}, false // looked at before
	}
	sc.noAddress = k + most/2
	end, capitals, commas, numbers := k, 0, 0, 0
	for p := k; p < len(s) && p-k < most && numbers <= 4; p++ {
		c := s[p]
		if inAddress[c] {
			end = p + 1
			continue
		}
		if c == '\n' || c == ';' || c == '"' || c == '<' || c == '[' || c == '{' || c == '|' || (c == '.' || c == '?' || c == '!') && isSpace(at(s, p+1)) && !isDigit(at(s, p+2)) && !isStreetDot(s, p) {
			break
		}
		switch {
		case isUpper(c) && !isAlpha(at(s, p-1)):
			capitals++
		case isDigit(c) && !isAlnum(at(s, p-1)):
			numbers++
		case c == ',':
			commas++
		case c == ' ' && isLower(at(s, p+1)) && commas > 0 && numbers > 1:
			// The address has ended: "…, 75004 Paris and …".
			p = len(s)
			continue
		}
		if isAlnum(c) || c >= 0x80 {
			end = p + 1
		}
	}
	starts := isDigit(s[k]) && (at(s, k+1) == ' ' || isDigit(at(s, k+1)) || isAlpha(at(s, k+1))) || isUpper(s[k])
	if !starts || capitals == 0 || numbers == 0 || numbers > 4 || bare && (commas == 0 || !isDigit(s[k]) && numbers < 2) || at(s, k) == '0' {
		return span{}, false
	}
	return span{k, end, Address}, true
}

// inAddress are the bytes of an address that neither end it nor count.
var inAddress = *newCharset("", func(c byte) bool { return isLower(c) || c >= 0x80 })

// isStreetDot reports whether the '.' at s[i] ends a word such as St. or Ave.
func isStreetDot(s string, i int) bool {
	n := 0
	for n < 4 && isAlpha(at(s, i-1-n)) {
		n++
	}
	return n < 4 && n > 1 && isUpper(at(s, i-n)) && isLower(s[i-1])
}
