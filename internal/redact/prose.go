package redact

import (
	"math/bits"
	"strings"
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
	mailTopic           // "dot", in an address that is spelled
	serverTopic         // AUTH x
	answerTopic         // to a security question
	commandTopic        // takes a password without a flag
)

// topicWords are the words by topic, without what stands in other scripts. Of words with
// accents only the part up to the accent, or from it on, is listed: see accents.
var topicWords = map[topic]string{
	passwordTopic: `password passwords passwort passcode passphrase passwd pwd pw pass kennwort senha wachtwoord contrasena
		clave haslo parola heslo salasana adgangskode losenord passord masterauth credentials creds login requirepass mot contrase has senord senordet
		ifre ifrem ifresi mdp lozinka kata sandi kodeord kodeordet passordet adgangskoden palavra wachtwoorden jelsz jelszavam parolam`,
	tokenTopic:    `key keys token secret apikey api bearer schl cl`,
	codeTopic:     `otp code codes pin tan cvv cvc tigungscode einmalcode zugangscode sicherheitscode`,
	variableTopic: `env set setx setenv`,
	quotedTopic:   `identified`,
	phraseTopic:   `mnemonic phrase`,
	nameTopic:     `name nombre nome appelle llamo chiamo passenger patient cardholder traveler`,
	birthTopic:    `dob born geboren nacido nacida nascido nascida birth birthdate birthday geburtsdatum naissance nacimiento nascita`,
	mailTopic:     `dot`,
	serverTopic:   `auth`,
	answerTopic:   `answer`,
	commandTopic:  `htpasswd rabbitmqctl chpasswd`,
	addressTopic:  `address adresse live lives living reside resides ship shipped deliver delivered`,
}

// topicLinks are the words that say "is" behind some of the topic words, and something else
// behind others.
var topicLinks = map[string]string{"has": " to ", "haslo": " to ", "salasana": " on "}

// accents are the topic words whose letters beyond ASCII end the word: what must follow,
// or, with a "<", what must stand before.
var accents = map[string]string{
	"mot": " de passe", "contrase": "ña", "has": "ło", "senord": "<lö", "senordet": "<lö", "ifre": "<ş",
	"ifrem": "<ş", "ifresi": "<ş", "jelsz": "ó", "kata": " sandi", "palavra": "-passe", "schl": "üssel", "cl": "é",
	"tunnus": "<henkilö", "dselsnummer": "<fø", "tigungscode": "<estä",
}

var (
	topics = func() map[string]topicWord {
		m := make(map[string]topicWord)
		for t, list := range topicWords {
			for w := range words(list) {
				m[w] = topicWord{t, accents[w], topicLinks[w]}
			}
		}
		for w := range documentIDs {
			m[w] = topicWord{documentTopic, accents[w], ""}
		}
		return m
	}()
	// topicStarts has, for the first two letters, the lengths of topic words as bits, and
	// from bit 16 on those of them that count without a digit behind them: most words of a
	// text end here. topicEnds has the lengths for the last two letters.
	topicStarts, topicEnds = func() (t, ends [32][32]uint32) {
		for w, known := range topics {
			ends[w[len(w)-2]&31][w[len(w)-1]&31] |= 1 << len(w)
			bit := uint32(1) << len(w)
			switch known.topic {
			case passwordTopic, variableTopic, quotedTopic, phraseTopic, nameTopic, mailTopic, serverTopic, answerTopic, commandTopic:
				bit |= bit << 16
			}
			t[w[0]&31][w[1]&31] |= bit
		}
		return t, ends
	}()
)

// A topicWord is what is known of a word that is in topics.
type topicWord struct {
	topic  topic
	accent string // of accents
	link   string // of topicLinks
}

// maxTopicBytes is more than any topic word has.
const maxTopicBytes = 16

// mayBeTopic reports whether the word s[i:j] may be one that prose knows.
func (sc *scanner) mayBeTopic(s string, i, j int) bool {
	n := j - i
	if n >= maxTopicBytes || n < 2 {
		return false
	}
	bits := topicStarts[s[i]&31][s[i+1]&31] >> n
	return bits&1 != 0 && topicEnds[s[j-2]&31][s[j-1]&31]>>n&1 != 0 && (bits>>16&1 != 0 || sc.digitSoon(s, j))
}

// digitSoon reports whether a digit, or the end of the text, is at most maxSaidBytes behind
// s[i].
func (sc *scanner) digitSoon(s string, i int) bool {
	if m := &sc.digits; m.start <= i && i <= m.end {
		return m.end-i <= maxSaidBytes
	}
	return sc.digitAfter(s, i)-i <= maxSaidBytes
}

// prose looks at what a sentence says behind the word s[i:j].
func (sc *scanner) prose(s string, i, j int) (span, bool) {
	var buf [maxTopicBytes]byte
	word := view(lower(buf[:0], s[i:j]))
	known := topics[word]
	t := known.topic
	if t == noTopic {
		return span{}, false
	}
	if endsField(s, j) {
		if sp, ok := sc.header(s, i, j); ok {
			return sp, true
		}
	}
	after, ok := afterAccent(s, i, j, known.accent)
	if !ok {
		return span{}, false
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
	case mailTopic:
		return spelledDot(s, i)
	case serverTopic:
		return serverAuth(s, i, after)
	case answerTopic:
		return sc.saidAnswer(s, i, after)
	case commandTopic:
		return argumentsOf(s, i, after, word)
	}
	linked := strings.HasPrefix(s[after:], "'s ")
	if linked {
		after += len("'s")
	}
	if link := known.link; link != "" && strings.HasPrefix(s[after:], link) {
		after, linked = after+len(link)-1, true
	}
	if !beginsWord(s, i, known) || !endsWord(s, after, word) {
		return span{}, false // a part of a path, of base64 or of a name
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
	case tokenTopic:
		before := sc.wordBefore(s, i)
		if notSecret[before] || opaqueNeighbours[before] || sc.longAfter(s, after)-after > maxSaidBytes {
			return span{}, false
		}
	}
	if word == "password" && foldPrefix(s[after:], " for ") && i >= len("set ") && strings.EqualFold(s[i-len("set "):i], "set ") {
		if sp, ok := setPassword(s, after); ok {
			return sp, true
		}
	}
	if t == passwordTopic && !linked && !soft[word] && plainMixed(s, after) {
		linked = true
	}
	sp, ok := sc.said(s, after, t, classify(word) != noKey && !linked, linked)
	if !ok && t == passwordTopic {
		if sp, ok = sc.saidBefore(s, i); !ok {
			sp, ok = netrc(s, i, after)
		}
		if !ok && word == "passcode" {
			sp, ok = sc.saidCode(s, i, after, word)
		}
	}
	return sp, ok
}

// netrc looks at the password behind its name, s[i:j], in a file of logins:
//
//	machine api.example.com login ann password …
func netrc(s string, i, j int) (span, bool) {
	user := i
	for user > 0 && i-user < 4 && isSpace(s[user-1]) {
		user--
	}
	for user > 0 && i-user < maxNameBytes && !isSpace(s[user-1]) {
		user--
	}
	if at(s, j) != ' ' || !strings.HasSuffix(s[:user], "login ") || !strings.Contains(s[max(0, user-commandBytes):user], "machine ") {
		return span{}, false
	}
	end := j + 1
	for end < len(s) && end-j < maxValueBytes && s[end] > ' ' {
		end++
	}
	v := s[min(j+1, end):end]
	ok := len(v) >= 4 && !strings.Contains(v, placeholderOpen) && !isTemplate(v) && !isStandIn(v) && isCredential(v)
	return span{j + 1, end, Secret}, ok
}

// plainMixed reports whether " abcd1234" stands at s[i]: a word of letters and then three
// digits or more, of eight characters or more.
func plainMixed(s string, i int) bool {
	k := i + 1
	for k < len(s) && k-i < maxNameBytes && isAlpha(s[k]) {
		k++
	}
	letters := k - i - 1
	for k < len(s) && k-i < maxNameBytes && isDigit(s[k]) {
		k++
	}
	digits := k - i - 1 - letters
	return at(s, i) == ' ' && letters >= 4 && digits >= 3 && letters+digits >= 8 && !isAlnum(at(s, k)) && strings.IndexByte("_-./:@", at(s, k)) < 0
}

// soft are topic words behind which users, tests and other things are named as well.
var soft = words(`pass login creds credentials clave has mot`)

// afterAccent returns the end of the word s[i:j] with the letters beyond ASCII that belong
// to it, and whether those that must be there are.
func afterAccent(s string, i, j int, accent string) (end int, ok bool) {
	if accent == "" {
		return j, true
	}
	if before, ok := strings.CutPrefix(accent, "<"); ok {
		return j, strings.HasSuffix(s[:i], before)
	}
	return j + len(accent), strings.HasPrefix(s[j:], accent)
}

// beginsWord reports whether a word of a sentence begins at s[i].
func beginsWord(s string, i int, w topicWord) bool {
	before := at(s, i-1)
	if before == '-' && w.topic == passwordTopic && isAlpha(at(s, i-2)) {
		return true // WLAN-Passwort
	}
	return isSpace(before) || strings.IndexByte("\"'(`*,>", before) >= 0 || afterEscape(s, i) || w.accent != ""
}

// endsWord reports whether a word of a sentence ends at s[i].
func endsWord(s string, i int, word string) bool {
	switch c := at(s, i); c {
	case ' ', '|', '*', '`', ':', '=', '\t':
		return true
	default:
		return c >= 0x80 || word == "api" && strings.HasPrefix(s[i:], "-Schl")
	}
}

// digitAfter returns the position of the first digit of s from i on, or len(s).
func (sc *scanner) digitAfter(s string, i int) int {
	if m := &sc.digits; i < m.start || i > m.end {
		*m = memo{i, nextDigit(s, i)}
	}
	return sc.digits.end
}

// nextDigit returns the position of the first digit of s from i on, or len(s).
func nextDigit(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if found := digits8(load8(s, i)); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s) && !isDigit(s[i]) {
		i++
	}
	return i
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
