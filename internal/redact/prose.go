package redact

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// In sentences no operator joins a value to its name: "the admin password is …", "use the
// token …", "Passwort lautet …". The scanner stops at the few words below and reads on to
// the value, a few words at most.

// A topic is what a word in a sentence may be about.
type topic uint8

const (
	noTopic       topic = iota
	passwordTopic       // what follows is a secret if it is no word
	tokenTopic          // what follows is a secret if it looks drawn at random
	codeTopic           // what follows is a secret if it is some digits
	variableTopic       // a name and a value follow: ENV DB_PASSWORD x
	quotedTopic         // IDENTIFIED BY 'x'
	phraseTopic         // words follow: a seed phrase
	nameTopic           // a person's name follows
	birthTopic          // a date follows
	addressTopic        // a postal address follows
	documentTopic       // a number of documentIDs follows
)

// topicWords are the words by topic, without what stands in other scripts. Of words with
// accents only the part up to the accent, or from it on, is listed: see accents.
var topicWords = map[topic]string{
	passwordTopic: `password passwords passwort passcode passphrase passwd pwd pw pass kennwort senha wachtwoord contrasena
		clave haslo parola heslo salasana adgangskode losenord passord masterauth credentials creds login requirepass mot contrase has senord ifre`,
	tokenTopic:    `key keys token secret apikey api bearer schl cl`,
	codeTopic:     `otp code pin tan`,
	variableTopic: `env set setx setenv`,
	quotedTopic:   `identified`,
	phraseTopic:   `mnemonic phrase`,
	nameTopic:     `name nombre nome appelle llamo chiamo passenger patient cardholder traveler`,
	birthTopic:    `dob birth birthdate birthday geburtsdatum naissance nacimiento nascita`,
	addressTopic:  `address adresse live lives reside resides ship shipped deliver delivered`,
}

// accents are the topic words whose letters beyond ASCII end the word: what must follow,
// or, with a "<", what must stand before.
var accents = map[string]string{
	"mot": " de passe", "contrase": "ña", "has": "ło", "senord": "<lö", "ifre": "<ş", "schl": "üssel", "cl": "é",
	"tunnus": "<henkilö", "dselsnummer": "<fø",
}

var (
	topics = func() map[string]topic {
		m := make(map[string]topic)
		for t, list := range topicWords {
			for w := range words(list) {
				m[w] = t
			}
		}
		for w := range documentIDs {
			m[w] = documentTopic
		}
		return m
	}()
	// topicStarts has, for the first two letters, the lengths of topic words as bits, and
	// from bit 16 on those of them that count without a digit behind them: most words of a
	// text end here.
	topicStarts = func() (t [32][32]uint32) {
		for w, topic := range topics {
			bit := uint32(1) << len(w)
			switch topic {
			case passwordTopic, variableTopic, quotedTopic, phraseTopic, nameTopic:
				bit |= bit << 16
			}
			t[w[0]&31][w[1]&31] |= bit
		}
		return t
	}()
	// linkWords stand between a name and its value, and fillWords between a link and the value.
	linkWords = words(`is are was be should as equals set changed reset updated ist lautet war es est era sono jest je ar er to becomes`)
	fillWords = words(`now currently still just only the a your my our this new temporarily to following provided`)
	// otherTopics are words after which the sentence is about something else than the value.
	otherTopics = words(`policy policies length hash hashes hashed strength field fields manager requirement requirements algorithm
		encryption protection complexity expiry expires expired rules type types format protected based must cannot can
		and or if when where that which who file files error count limit usage pair value values`)
)

const (
	// maxSaidWords and maxSaidBytes bound how far behind its name a value is looked for.
	maxSaidWords = 8
	maxSaidBytes = 96
)

// maxTopicBytes is more than any topic word has.
const maxTopicBytes = 16

// mayBeTopic reports whether the word s[i:j] may be one that prose knows.
func (sc *scanner) mayBeTopic(s string, i, j int) bool {
	n := j - i
	if n >= maxTopicBytes || n < 2 {
		return false
	}
	bits := topicStarts[s[i]&31][s[i+1]&31] >> n
	return bits&1 != 0 && (bits>>16&1 != 0 || sc.digitAfter(s, j)-j <= maxSaidBytes)
}

// prose looks at what a sentence says behind the word s[i:j].
func (sc *scanner) prose(s string, i, j int) (span, bool) {
	var buf [maxTopicBytes]byte
	word := view(lower(buf[:0], s[i:j]))
	t := topics[word]
	if t == noTopic {
		return span{}, false
	}
	after := j
	if accent, ok := accents[word]; ok {
		if before, ok := strings.CutPrefix(accent, "<"); ok {
			if !strings.HasSuffix(s[:i], before) {
				return span{}, false
			}
		} else if !strings.HasPrefix(s[j:], accent) {
			return span{}, false
		} else {
			after += len(accent)
		}
	}
	switch t {
	case quotedTopic:
		return sc.identifiedBy(s, after)
	case phraseTopic:
		return sc.seedPhrase(s, i, after)
	case nameTopic:
		return sc.saidName(s, i, after)
	case variableTopic:
		return sc.variable(s, after)
	}
	if before := at(s, i-1); !isSpace(before) && strings.IndexByte("\"'(`*,>", before) < 0 && !afterEscape(s, i) && accents[word] == "" {
		return span{}, false // a part of a path, of base64 or of a name
	}
	if c := at(s, after); c != ' ' && c != '|' && c != '*' && c != '`' && c != ':' && c != '=' && c != '\t' && !(word == "api" && strings.HasPrefix(s[after:], "-Schl")) && c < 0x80 {
		return span{}, false
	}
	// All others have a digit.
	if sc.digitAfter(s, after)-after > maxSaidBytes {
		if t == passwordTopic {
			return sc.saidBefore(s, i)
		}
		return span{}, false
	}
	switch t {
	case codeTopic:
		return sc.saidCode(s, i, after, word)
	case birthTopic:
		return sc.saidBirth(s, i, after, word)
	case documentTopic:
		return sc.saidDocument(s, i, after, word)
	case addressTopic:
		return sc.saidAddress(s, i, after, word)
	}
	if t == tokenTopic && (notSecret[sc.wordBefore(s, i)] || opaqueNeighbours[sc.wordBefore(s, i)]) {
		return span{}, false
	}
	if t == tokenTopic && sc.longAfter(s, after)-after > maxSaidBytes {
		return span{}, false
	}
	sp, ok := sc.said(s, after, t, classify(word) != noKey, false)
	if !ok && t == passwordTopic {
		sp, ok = sc.saidBefore(s, i)
	}
	return sp, ok
}

// digitAfter returns the position of the first digit of s from i on, or len(s).
func (sc *scanner) digitAfter(s string, i int) int {
	if m := &sc.digits; i < m.start || i > m.end {
		*m = memo{i, i}
		for m.end < len(s) && !isDigit(s[m.end]) {
			m.end++
		}
	}
	return sc.digits.end
}

// longAfter returns the start of the first run of at least minTokenBytes without a space
// in s from i on, or len(s).
func (sc *scanner) longAfter(s string, i int) int {
	if m := &sc.long; i < m.start || i > m.end {
		*m = memo{i, len(s)}
		run := i
		for k := i; k < len(s); k++ {
			if s[k] <= ' ' {
				run = k + 1
			} else if k-run+1 >= minTokenBytes {
				m.end = run
				break
			}
		}
	}
	return sc.long.end
}

// wordBefore returns the word before s[i] in lower case, or "".
func (sc *scanner) wordBefore(s string, i int) string {
	end := i
	for end > 0 && i-end < 3 && (s[end-1] == ' ' || s[end-1] == '-' || s[end-1] == '_') {
		end--
	}
	start := end
	for start > 0 && end-start < 16 && isAlpha(s[start-1]) {
		start--
	}
	var buf [16]byte
	return string(lower(buf[:0], s[start:end]))
}

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
		if c := s[k]; c == ':' || c == '=' || c == '|' || c == '-' && at(s, k+1) == ' ' {
			if first && known && c != '|' && c != '-' && at(s, k+1) != '*' {
				return span{}, false
			}
			linked, first = true, false
			k++
			continue
		}
		if k == space && n > 0 && strings.IndexByte(":=|-*", s[k-1]) < 0 {
			return span{}, false // the sentence has ended
		}
		if q := quoteLen(s[k:]); q > 0 {
			start := k + q
			end := start
			for end < limit+maxValueBytes && end < len(s) && s[end] != '\n' && quoteLen(s[end:]) == 0 {
				end++
			}
			if (linked || first) && end < len(s) && quoteLen(s[end:]) > 0 && isSaid(s[start:end], t, true) {
				return span{start, end, Secret}, true
			}
			return span{}, false
		}
		end := k
		for end < len(s) && end-k < maxValueBytes && s[end] > ' ' && (s[end] < 0x80 || end < k+4 && t == passwordTopic) && s[end] != '"' && s[end] != '`' && s[end] != '<' && s[end] != '>' && s[end] != '\\' {
			end++
		}
		token := s[k:end]
		if strings.HasPrefix(s[k:], placeholderOpen) {
			return span{}, false
		}
		trimmed := strings.TrimRight(token, ".,:;?)]}'")
		var buf [16]byte
		var low string
		if len(trimmed) <= len(buf) {
			low = string(lower(buf[:0], trimmed))
		}
		switch {
		case linkWords[low] || low == "é" || low == "è" || low == "är":
			linked = linked || !(low == "to" || low == "as") || !first
			if low == "to" && first {
				linked = sc.isSetting(s, i) // not "the password to the vault"
			}
		case linked && fillWords[low]:
		case otherTopics[low]:
			return span{}, false
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

// isSetting reports whether the words before s[i] say that something is set: "I changed
// the root password".
func (sc *scanner) isSetting(s string, i int) bool {
	head := s[max(0, i-40):i]
	for _, verb := range [...]string{"set ", "reset ", "changed ", "change ", "update ", "updated "} {
		if strings.Contains(head, verb) || strings.Contains(head, strings.ToUpper(verb[:1])+verb[1:]) {
			return true
		}
	}
	return false
}

// quoteLen returns the length of the quotation mark that s starts with, or 0.
func quoteLen(s string) int {
	switch at(s, 0) {
	case '"', '\'', '`':
		return 1
	case 0xE2:
		if len(s) >= 3 && s[1] == 0x80 && s[2] >= 0x98 && s[2] <= 0x9F {
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
	if isAlgorithm(s) || hyphens > 0 && classes < 4 && signs == 0 && !(uppers > 0 && lowers > 0 && changes >= 2) {
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

// codeKinds are the words that make a code one that proves who somebody is.
var codeKinds = words(`verification security factor fa mfa time auth authentication authorization login access sms
	passcode reset recovery backup signin otp totp`)

// saidCode looks at a one-time code or a PIN, of 4 to 8 digits.
func (sc *scanner) saidCode(s string, i, j int, word string) (span, bool) {
	if word == "code" && !codeKinds[sc.wordBefore(s, i)] {
		return span{}, false
	}
	if sp, ok := codeBefore(s, i); ok {
		return sp, true
	}
	k, linked := skipLink(s, j)
	if !linked && word == "pin" || word == "tan" && !linked {
		return span{}, false
	}
	end := k
	for end < len(s) && end-k < 9 && (isDigit(s[end]) || end-k == 3 && (s[end] == '-' || s[end] == ' ') && isDigit(at(s, end+1))) {
		end++
	}
	next := at(s, end)
	if n, _ := countDigits(s[k:end]); n < 4 || n > 8 || isAlnum(next) || next == '_' || (next == '-' || next == '.' || next == ',' || next == ':') && isDigit(at(s, end+1)) {
		return span{}, false
	}
	return span{k, end, Secret}, true
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
			if w := strings.ToLower(s[k:end]); (at(s, end) == ' ' || at(s, end) == ':' && w[0] == 'n') && (w == "is" || w == "was" || w == "ist" || w == "est" || w == "es" || w == "on" || w == "at" || w == "number" || w == "no") {
				k, linked = end, linked || w[0] != 'n'
				continue
			}
		}
		break
	}
	return k, linked
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

// foreignPasswords are the words for a password in scripts without an ASCII part, and
// foreignLinks what is glued to them.
var (
	foreignPasswords = []string{"пароль", "Пароль", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호",
		"κωδικός", "รหัสผ่าน", "كلمة المرور", "סיסמה"}
	foreignLinks = []string{"是", "为", "為", "は", "が", "를", "는", "은", "이", "가", "："}
)

// foreignWords are the words by their first byte.
var foreignWords = func() (t [256][]string) {
	for _, w := range slices.Concat(foreignPasswords, foreignIDs) {
		t[w[0]] = append(t[w[0]], w)
	}
	return t
}()

// foreign looks at a password, or the number of a citizen, behind a word of another script that starts at s[i].
func (sc *scanner) foreign(s string, i int) (span, bool) {
	for _, w := range foreignWords[s[i]] {
		if !strings.HasPrefix(s[i:], w) {
			continue
		}
		if slices.Contains(foreignIDs, w) {
			return sc.foreignID(s, i+len(w))
		}
		k, linked := i+len(w), false
		for n := 0; n < 4; n++ {
			for _, link := range foreignLinks {
				if strings.HasPrefix(s[k:], link) {
					k, linked = k+len(link), true
				}
			}
			for at(s, k) == ' ' && k < len(s) || at(s, k) == ':' || at(s, k) == '=' {
				linked = linked || s[k] != ' '
				k++
			}
		}
		return sc.said(s, k, passwordTopic, false, linked)
	}
	return span{}, false
}

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
	k, _ := skipLink(s, j)
	if word == "birthday" && strings.HasPrefix(s[j:], " on ") {
		return span{}, false // the day of a party
	}
	digits, end, years := 0, k, 0
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
	return span{k, end, BirthDate}, true
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

// isStreetDot reports whether the '.' at s[i] ends a word such as St. or Ave.
func isStreetDot(s string, i int) bool {
	n := 0
	for n < 4 && isAlpha(at(s, i-1-n)) {
		n++
	}
	return n < 4 && n > 1 && isUpper(at(s, i-n)) && isLower(s[i-1])
}
