package redact

import "strings"

// This file reads what a sentence says behind the name of a password or a token.

const (
	// maxSaidWords and maxSaidBytes bound how far behind its name a value is looked for.
	maxSaidWords = 8
	maxSaidBytes = 96
)

// The words of a sentence between a name and its value.
var (
	// linkWords stand between a name and its value, and fillWords between a link and the value.
	linkWords = words(`is are was be should as equals set changed reset updated ist lautet war es est era sono jest je ar er to becomes
		é è är és là है είναι este adalah ialah luidt sera será heißt heisst`)
	fillWords = words(`now currently still just only the a your my our this new temporarily to from following provided`)
	// otherTopics are words after which the sentence is about something else than the value.
	otherTopics = words(`policy policies length hash hashes hashed strength field fields manager requirement requirements algorithm
		encryption protection complexity expiry expires expired rules type types format protected based must cannot can
		and or if when where that which who file files error count limit usage pair value values`)
)

// said looks for the value of a password or token behind s[i]. An operator directly
// behind a word that assignment knows is left to it. Linked says that a link was read.
func (sc *scanner) said(s string, i int, t topic, known, linked bool) (span, bool) {
	limit := min(len(s), i+maxSaidBytes)
	first := !linked
	for k, n := i, 0; n < maxSaidWords; n++ {
		space := k
		for k < limit && (s[k] == ' ' || s[k] == '\t' || s[k] == '*') {
			k++
		}
		if k >= limit {
			return span{}, false
		}
		if n := arrowLen(s[k:]); n > 0 {
			linked, first = true, false
			k += n
			continue
		}
		if c := s[k]; c == ':' || c == '=' || c == '|' || c == '-' && at(s, k+1) == ' ' {
			if first && known && c != '|' && c != '-' && at(s, k+1) != '*' && strings.IndexByte(s[i:k], '*') < 0 {
				return span{}, false
			}
			linked, first = true, false
			k++
			continue
		}
		if k == space && n > 0 && strings.IndexByte(":=|-*>", s[k-1]) < 0 && s[k-1] < 0x80 {
			return span{}, false // the sentence has ended
		}
		if q := quoteLen(s[k:]); q > 0 {
			if !linked && !first {
				return span{}, false
			}
			return saidQuoted(s, k+q, limit+maxValueBytes, t)
		}
		if strings.HasPrefix(s[k:], placeholderOpen) {
			return span{}, false
		}
		end := saidEnd(s, k)
		token := s[k:end]
		trimmed := strings.TrimRight(token, ".,:;?)]}'")
		var buf [16]byte
		var low string
		if len(trimmed) <= len(buf) {
			low = string(lower(buf[:0], trimmed))
		}
		switch {
		case linkWords[low]:
			linked = linked || !(low == "to" || low == "as") || !first
			if low == "to" && first {
				linked = isSetting(s, i) // not "the password to the vault"
			}
		case linked && fillWords[low]:
		case otherTopics[low] || topics[low].topic == passwordTopic:
			return span{}, false // the other password is read for itself
		case (linked || first) && t == passwordTopic && isSaidPair(trimmed, linked):
			sign := strings.IndexAny(trimmed, "/:")
			return span{k + sign + 1, k + len(trimmed), Secret}, true
		case (linked || first) && isSaid(trimmed, t, linked):
			if sp, ok := sc.vendorKey(s, k); ok {
				return sp, true
			}
			return span{k, k + len(trimmed), Secret}, true
		default:
			linked = false
		}
		first = false
		k = end
		switch rest := token[len(trimmed):]; {
		case strings.HasSuffix(rest, ":"):
			linked = true
		case rest != "" && rest != "," && rest != "'" && rest != ")":
			return span{}, false // the end of the sentence
		}
	}
	return span{}, false
}

// saidQuoted returns the value that starts at s[start], behind a quotation mark, and ends
// at another one before s[limit].
func saidQuoted(s string, start, limit int, t topic) (span, bool) {
	end := start
	for end < limit && end < len(s) && s[end] != '\n' && quoteLen(s[end:]) == 0 {
		end++
	}
	if end < len(s) && quoteLen(s[end:]) > 0 && isSaid(s[start:end], t, true) {
		return span{start, end, Secret}, true
	}
	return span{}, false
}

// saidEnd returns the end of the word at s[k]. One that begins in another script than
// Latin goes on in it, for a few letters.
func saidEnd(s string, k int) int {
	end := k
	for end < len(s) && end-k < maxValueBytes && s[end] > ' ' && strings.IndexByte("\"`<>\\", s[end]) < 0 &&
		(s[end] < 0x80 || s[k] >= 0x80 && end-k < 32 || s[end] >= 0xC3 && s[end] <= 0xC5 || at(s, end-1) >= 0xC3 && at(s, end-1) <= 0xC5) {
		end++
	}
	return end
}

// isSetting reports whether the words before s[i] say that something is set: "I changed
// the root password".
func isSetting(s string, i int) bool {
	head := s[max(0, i-40):i]
	for _, verb := range [...]string{"set ", "reset ", "changed ", "change ", "update ", "updated "} {
		if strings.Contains(head, verb) || strings.Contains(head, strings.ToUpper(verb[:1])+verb[1:]) {
			return true
		}
	}
	return false
}

// arrowLen returns the length of the arrow that s starts with, or 0.
func arrowLen(s string) int {
	switch {
	case strings.HasPrefix(s, "->"):
		return 2
	case strings.HasPrefix(s, "→"):
		return len("→")
	}
	return 0
}

// quoteLen returns the length of the quotation mark that s starts with, or 0.
func quoteLen(s string) int {
	switch at(s, 0) {
	case '"', '\'', '`':
		return 1
	case 0xC2: // « »
		if len(s) >= 2 && (s[1] == 0xAB || s[1] == 0xBB) {
			return 2
		}
	case 0xE2: // ‘ ’ ‚ “ ” „
		if len(s) >= 3 && s[1] == 0x80 && s[2] >= 0x98 && s[2] <= 0x9F {
			return 3
		}
	case 0xE3: // 「 」 『 』 【 】
		if len(s) >= 3 && s[1] == 0x80 && s[2] >= 0x8C && s[2] <= 0x91 {
			return 3
		}
	}
	return 0
}

// isSaid reports whether s, which a sentence calls a password or a token, is one and not
// a word of the sentence. Linked says that the sentence says that it is.
func isSaid(s string, t topic, linked bool) bool {
	if len(s) < 6 || len(s) > maxValueBytes || isTemplate(s) || isStandIn(s) || isFiller(s) || isUUID(s) {
		return false
	}
	if t == tokenTopic {
		if linked {
			return isOpaque(s, minTokenBytes) && !isDated(s)
		}
		return isOpaque(s, 20) && random.open(s) && !hexOnly.open(s) && !isDated(s) && !hasIDPrefix(s)
	}
	lowers, uppers, digits, signs, changes, hyphens := 0, 0, 0, 0, 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isDigit(c):
			digits++
		case isLower(c):
			lowers++
		case isUpper(c):
			uppers++
		case c == '-' || c == '_' || c == '.' || c == '/' || c == ':' || c == ',' || c == '\'' || c == '(' || c == ')':
			hyphens++
		case c >= 0x80:
			return false
		default:
			signs++
		}
		if i > 0 && isDigit(c) != isDigit(s[i-1]) {
			changes++
		}
	}
	letters := lowers + uppers
	if digits == 0 || letters == 0 || hyphens > 2 || strings.Contains(s, "://") || s[0] == '/' || strings.IndexByte(s, '@') > 0 && strings.IndexByte(s, '.') > strings.IndexByte(s, '@') {
		return false
	}
	classes := 0
	for _, n := range [...]int{lowers, uppers, digits, signs} {
		if n > 0 {
			classes++
		}
	}
	if isAlgorithm(s) || hyphens > 0 && classes < 4 && signs == 0 && !(uppers > 0 && lowers > 0 && changes >= 2) &&
		!(linked && digits >= 3 && letters >= 4 && lowers > 0 && isAlpha(s[0]) && !isDated(s) && !strings.ContainsAny(s, "/.:,()")) {
		return false // sha256, Base64-encoded, 8-character
	}
	if linked {
		return classes >= 3 || changes >= 2 || letters >= 4 && isAlpha(s[0])
	}
	return len(s) >= 8 && (classes >= 3 && (signs > 0 || changes >= 2) || isOpaque(s, 12))
}

// isAlgorithm reports whether s begins with the name of something technical that has a
// number: SHA256, base64, OAuth2, UTF-8, PBKDF2.
func isAlgorithm(s string) bool {
	for _, name := range [...]string{"sha", "md", "base", "oauth", "utf", "aes", "rsa", "pbkdf", "bcrypt", "scrypt", "argon", "iso", "rfc", "hs", "rs", "es", "tls", "x509", "ntlm", "http", "ipv", "win", "python", "ec2", "s3", "k8s"} {
		if foldPrefix(s, name) && len(s) <= len(name)+8 {
			return true
		}
	}
	return false
}

// isDated reports whether s holds a date or is made of numbers with hyphens.
func isDated(s string) bool {
	for i := 0; i+4 <= len(s); i++ {
		if (s[i:i+2] == "20" || s[i:i+2] == "19") && (at(s, i+4) == '-' || at(s, i+4) == '_') && allDigits(s[i:i+4]) {
			return true
		}
	}
	return false
}

func hasIDPrefix(s string) bool {
	for _, p := range idPrefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// isSaidPair reports whether s is a user and a password: admin/hunter22.
func isSaidPair(s string, linked bool) bool {
	i := strings.IndexAny(s, "/:")
	return i > 1 && isCodeName(s[:i]) && isSaid(s[i+1:], passwordTopic, linked)
}

// saidBefore looks at a value before the password that s[i] starts: "use … as the
// password".
func (sc *scanner) saidBefore(s string, i int) (span, bool) {
	const back = 24
	head := strings.TrimRight(s[max(0, i-back):i], " ")
	for _, article := range [...]string{" the", " a", " your", " my", " new", " its"} {
		head = strings.TrimSuffix(head, article)
	}
	head, ok := strings.CutSuffix(head, " as")
	if !ok {
		return span{}, false
	}
	end := max(0, i-back) + len(head)
	for end > 0 && quoteLen(s[end-1:]) > 0 {
		end--
	}
	start := end
	for start > 0 && end-start < 64 && s[start-1] > ' ' && quoteLen(s[start-1:]) == 0 {
		start--
	}
	if start == end || strings.Contains(s[start:end], placeholderOpen) || !isSaid(s[start:end], passwordTopic, true) {
		return span{}, false
	}
	return span{start, end, Secret}, true
}

// skipLink returns where a value can start behind a name that ends at s[i], and whether
// something says that it is the value: "is", ':' or '='.
func skipLink(s string, i int) (k int, linked bool) {
	k = i
	for n := 0; n < 4; n++ {
		for at(s, k) == ' ' && k < len(s) {
			k++
		}
		switch c := at(s, k); {
		case c == ':' || c == '=' || c == '-' && n == 0 || c == '#':
			k, linked = k+1, linked || c != '#'
			continue
		case c == '(' || c == '*' || quoteLen(s[k:]) == 1:
			k++
			continue
		case isAlpha(c):
			end := k
			for end < len(s) && end-k < 8 && isAlpha(s[end]) {
				end++
			}
			if c := at(s, end); c != ' ' && c != ':' && c != '.' || end-k < 2 {
				break
			}
			var buf [8]byte
			switch view(lower(buf[:0], s[k:end])) {
			case "number", "no", "nr", "num", "nummer", "numero":
				if k = end; at(s, k) == '.' {
					k++
				}
				continue
			case "is", "was", "ist", "est", "es", "on", "at", "lautet":
				if at(s, end) == ' ' {
					k, linked = end, true
					continue
				}
			}
		}
		break
	}
	return k, linked
}
