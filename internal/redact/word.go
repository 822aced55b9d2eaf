package redact

import (
	"encoding/base64"
	"strings"
)

// word looks at the word s[i:j] as the start of something.
func (sc *scanner) word(s string, i, j int) (span, bool) {
	if i+minFindingBytes > len(s) {
		return span{}, false
	}
	c, next := s[i], at(s, j)
	if j-i < minVendorBytes && !joins(s, j) {
		// A word of a language, as most are: too short for what follows.
		if isSpace(next) && (j-i == 6 || j-i == 5 || j-i == 3) {
			return sc.scheme(s, i, j)
		}
		return sc.shortWord(s, i)
	}
	if sp, ok := sc.vendorKey(s, i); ok {
		return sp, true
	}
	if isDigit(c) && isAlpha(at(s, i+1)) {
		if sp, ok := sc.vendorKey(s, i+1); ok {
			return sp, true
		}
	}
	if next == '.' && j-i > 2 && s[j-1] == 'G' && s[j-2] == 'S' {
		if sp, ok := sc.vendorKey(s, j-2); ok {
			return sp, true
		}
	}
	if sp, ok := sc.token(s, i, j); ok {
		return sp, true
	}
	if sp, ok := sc.shortWord(s, i); ok {
		return sp, true
	}
	if j-i >= 12 || next == '-' {
		if sp, ok := sc.afterUnderscore(s, i, j); ok {
			return sp, true
		}
	}
	return sc.opaque(s, i)
}

// afterUnderscore looks for a key or a number behind an underscore of the word s[i:j]:
// MY_ghp_….
func (sc *scanner) afterUnderscore(s string, i, j int) (span, bool) {
	for k := i; k < j-1 && k-i < 128; k++ {
		if s[k] != '_' {
			continue
		}
		if sp, ok := sc.vendorKey(s, k+1); ok {
			return sp, true
		}
		if isDigit(s[k+1]) {
			if sp, ok := sc.number(s, k+1, j); ok {
				return sp, true
			}
		}
	}
	return span{}, false
}

// token looks at what has a form of its own that begins with the word s[i:j]: a JSON Web
// Token, the key of a vendor whose parts are joined by a sign, a scheme with credentials.
func (sc *scanner) token(s string, i, j int) (span, bool) {
	c, next := s[i], at(s, j)
	switch n := j - i; {
	case n >= 8 && c == 'e' && strings.HasPrefix(s[i:], "eyJ") && next == '.':
		return jwt(s, i, j)
	case n == 2 && next == '-' || n == 4 && next == '.':
		return sc.hardware(s, i, j)
	case n == 32 && next == '-' && foldPrefix(s[j+1:], "us") && isDigit(at(s, j+3)):
		// Mailchimp
		end := wordSet.run(s, j+1, 5)
		return span{i, end, APIKey}, hexOnly.open(s[i:j]) && strings.ToLower(s[i:j]) == s[i:j]
	case n >= 23 && n <= 28 && next == '.' && (c == 'M' || c == 'N' || c == 'O'):
		return discord(s, i, j)
	case n == 14 && strings.HasPrefix(s[j:], ".atlasv1."):
		// Terraform
		end := sc.runEnd(s, i, dottedSet)
		return span{i, end, APIKey}, end-j >= 60 && random.open(s[j+len(".atlasv1."):end])
	case next == ':' && n >= 5 && n <= 16 && isDigit(c) && allDigits(s[i:j]):
		// Telegram: a bot's number and 35 characters.
		end := sets[tokenSet].run(s, j+1, 40)
		return span{i, end, APIKey}, end-j-1 >= 34 && end-j-1 <= 36 && random.open(s[j+1:end])
	case next == '|' && n >= 15 && n <= 16 && isDigit(c) && allDigits(s[i:j]):
		// Facebook: an app's number and 27 to 40 characters.
		end := sets[tokenSet].run(s, j+1, 48)
		return span{i, end, APIKey}, end-j-1 >= 25 && random.open(s[j+1:end])
	case isSpace(next) && (n == 6 || n == 5 || n == 3):
		return sc.scheme(s, i, j)
	case next == '.' && (c == 'h' || c == 'd' || c == 'w' || c == 'a'):
		return webhook(s, i)
	}
	return span{}, false
}

// minVendorBytes is the length of the shortest key of a vendor that is one word.
const minVendorBytes = 14

// joins reports whether a key can go on behind a word that ends before s[i].
func joins(s string, i int) bool {
	if i >= len(s) {
		return false
	}
	switch s[i] {
	case '.', ':':
		return i+1 < len(s) && wordSet[s[i+1]]
	case '-', '~', '+', '/', '=', '|', '%':
		return true
	}
	return false
}

// shortWord looks at what can start with a short word: an IBAN in groups, or a national
// id with letters.
func (sc *scanner) shortWord(s string, i int) (span, bool) {
	if isAlpha(s[i]) && (isDigit(at(s, i+1)) || isDigit(at(s, i+2)) || isDigit(at(s, i+6))) && !wordSet[at(s, i-1)] {
		if sp, ok := sc.national(s, i); ok {
			return sp, true
		}
	}
	if isAlpha(s[i]) && isDigit(at(s, i+2)) && isDigit(at(s, i+3)) && isAlpha(s[i+1]) {
		return iban(s, i)
	}
	return span{}, false
}

// azure looks at a secret of Azure whose '~' is s[i]: three characters, a digit, "Q~" and
// 31 to 34 more.
func (sc *scanner) azure(s string, i int) (span, bool) {
	start := i - 5
	if start < 0 || s[i-1] != 'Q' || !isDigit(s[i-2]) {
		return span{}, false
	}
	for k := start; k < i-2; k++ {
		if !isAlnum(s[k]) && s[k] != '_' && s[k] != '~' && s[k] != '.' {
			return span{}, false
		}
	}
	if end := trimValue(s, i, sc.runEnd(s, i, base64Set)); end-i-1 >= 31 && end-i-1 <= 34 && isDistinct(s[i+1:end]) {
		return span{start, end, APIKey}, true
	}
	return span{}, false
}

// refreshToken looks at a refresh token of Google's OAuth that starts at s[i] with "1//0".
func refreshToken(s string, i int) (span, bool) {
	end := sets[tokenSet].run(s, i+3, 256)
	if end-i < 40 || !random.open(s[i+4:end]) {
		return span{}, false
	}
	return span{i, end, APIKey}, true
}

// isDistinct reports whether s has at least five different characters.
func isDistinct(s string) bool { return distinct.open(s) }

// jwt looks at a JSON web token or an encrypted one whose header is s[i:j].
func jwt(s string, i, j int) (span, bool) {
	head := sets[tokenSet].run(s, i, len(s))
	if head-i < 12 || at(s, head) != '.' {
		return span{}, false
	}
	end, parts := head, 1
	for at(s, end) == '.' && parts < 5 {
		e := sets[tokenSet].run(s, end+1, len(s))
		if parts == 1 && e-end-1 < 8 {
			return span{}, false
		}
		parts++
		if e == end+1 && parts > 2 && at(s, e) != '.' {
			if parts == 3 {
				end = e // an empty signature
			}
			break
		}
		end = e
	}
	if parts < 3 {
		// Two parts are a token that was cut, if the first is a header at all.
		header, err := base64.RawURLEncoding.DecodeString(s[i:head])
		if err != nil || !strings.Contains(string(header), `"alg"`) {
			return span{}, false
		}
	}
	return span{i, end, JWT}, true
}

// discord looks at a bot's token: three parts with dots between.
func discord(s string, i, j int) (span, bool) {
	second := sets[tokenSet].run(s, j+1, 8)
	if n := second - j - 1; n < 6 || n > 7 || at(s, second) != '.' {
		return span{}, false
	}
	end := sets[tokenSet].run(s, second+1, 64)
	if end-second-1 < 27 || !random.open(s[i:end]) {
		return span{}, false
	}
	return span{i, end, APIKey}, true
}

// scheme looks at credentials behind the name of an authentication scheme, s[i:j].
func (sc *scanner) scheme(s string, i, j int) (span, bool) {
	k := j
	for k < len(s) && s[k] == ' ' && k-j < 4 {
		k++
	}
	if k == j || k == len(s) || !sets[base64Set][s[k]] {
		return span{}, false
	}
	switch name := s[i:j]; {
	case strings.EqualFold(name, "bearer"):
		end := trimValue(s, k, sc.runEnd(s, k, base64Set))
		if v := s[k:end]; len(v) >= 8 && !isStandIn(v) && (distinctDigits(v) || len(v) >= 20 && random.open(v)) {
			return span{k, end, Bearer}, true
		}
	case strings.EqualFold(name, "basic"):
		end := trimValue(s, k, sc.runEnd(s, k, base64Set))
		v := strings.TrimRight(s[k:end], "=")
		if len(v) < 6 || len(v) > 1024 {
			return span{}, false
		}
		plain, err := base64.RawStdEncoding.DecodeString(v)
		if err == nil && strings.IndexByte(string(plain), ':') > 0 {
			for end < len(s) && s[end] == '=' {
				end++
			}
			return span{k, end, Bearer}, true
		}
	}
	return span{}, false
}

// distinctDigits reports whether s has a digit and at least five different characters.
func distinctDigits(s string) bool {
	return distinct.open(s) && strings.ContainsAny(s, "0123456789")
}

// webhooks are the parts of URLs behind which everything is secret.
var webhooks = []string{
	"hooks.slack.com/services/",
	"hooks.slack.com/workflows/",
	"hooks.slack.com/triggers/",
	"hooks.zapier.com/hooks/catch/",
	"discord.com/api/webhooks/",
	"discordapp.com/api/webhooks/",
	"webhook.office.com/webhookb2/",
	"api.telegram.org/bot",
	"webhook.site/",
}

var pathSet = newCharset("_-./~%@:+", isAlnum)

// webhook looks at a webhook's URL whose host starts at s[i].
func webhook(s string, i int) (span, bool) {
	for _, w := range webhooks {
		if strings.HasPrefix(s[i:], w) {
			start := i + len(w)
			end := trimValue(s, start, pathSet.run(s, start, 512))
			if end-start >= 16 && distinctDigits(s[start:end]) {
				return span{start, end, Webhook}, true
			}
		}
	}
	return span{}, false
}

// pem looks at a PEM block of a private key that starts at s[i].
func (sc *scanner) pem(s string, i int) (span, bool) {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"
	if !strings.HasPrefix(s[i:], begin) {
		return span{}, false
	}
	label := s[i+len(begin) : min(i+len(begin)+64, len(s))]
	stop := strings.Index(label, dashes)
	if stop < 0 || !strings.Contains(label[:stop], "PRIVATE KEY") {
		return span{}, false
	}
	body := i + len(begin) + stop + len(dashes)
	if sc.noEnd < 0 {
		if e := strings.Index(s[body:], end); e >= 0 {
			e += body + len(end)
			tail := s[e:min(e+64, len(s))]
			if d := strings.Index(tail, dashes); d >= 0 {
				e += d + len(dashes)
			}
			return span{i, e, PrivateKey}, true
		}
		sc.noEnd = i
	}
	// The block was cut: the rest of what can be its body goes.
	return span{i, pemSet.run(s, body, len(s)), PrivateKey}, true
}

var pemSet = newCharset("+/= \t\r\n\\:,-", isAlnum)

// ibanLengths are the lengths of IBANs by country (SWIFT's registry).
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
	"BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
	"ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
	"LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
	"MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
	"PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
	"SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
	"YE": 30,
}

// iban looks at an IBAN that starts at s[i], bare or in groups.
func iban(s string, i int) (span, bool) {
	country := [2]byte{s[i] &^ 0x20, s[i+1] &^ 0x20}
	want := ibanLengths[string(country[:])]
	if want == 0 {
		return span{}, false
	}
	// mod 97 of the number that the characters make, the first four moved to the end.
	mod := func(r int, c byte) int {
		if isDigit(c) {
			return (r*10 + int(c-'0')) % 97
		}
		return (r*100 + int(c&^0x20-'A') + 10) % 97
	}
	n, r, k := 0, 0, i
	for ; k < len(s) && n < want; k++ {
		c := s[k]
		if !isAlnum(c) {
			if (c == ' ' || c == '-') && n > 0 && isAlnum(at(s, k+1)) {
				continue
			}
			return span{}, false
		}
		if n >= 4 {
			r = mod(r, c)
		}
		n++
	}
	if n < want || wordSet[at(s, k)] {
		return span{}, false
	}
	for _, c := range [4]byte{country[0], country[1], s[i+2], s[i+3]} {
		r = mod(r, c)
	}
	if r != 1 {
		return span{}, false
	}
	return span{i, k, IBAN}, true
}
