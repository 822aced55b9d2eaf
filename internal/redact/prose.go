package redact

import (
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
	after, ok := afterAccent(s, i, j, word)
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
	}
	linked := strings.HasPrefix(s[after:], "'s ")
	if linked {
		after += len("'s")
	}
	if !beginsWord(s, i, t, word) || !endsWord(s, after, word) {
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
	sp, ok := sc.said(s, after, t, classify(word) != noKey && !linked, linked)
	if !ok && t == passwordTopic {
		sp, ok = sc.saidBefore(s, i)
	}
	return sp, ok
}

// afterAccent returns the end of the word s[i:j] with the letters beyond ASCII that belong
// to it, and whether those that must be there are.
func afterAccent(s string, i, j int, word string) (end int, ok bool) {
	accent, has := accents[word]
	if !has {
		return j, true
	}
	if before, ok := strings.CutPrefix(accent, "<"); ok {
		return j, strings.HasSuffix(s[:i], before)
	}
	return j + len(accent), strings.HasPrefix(s[j:], accent)
}

// beginsWord reports whether a word of a sentence begins at s[i].
func beginsWord(s string, i int, t topic, word string) bool {
	before := at(s, i-1)
	if before == '-' && t == passwordTopic && isAlpha(at(s, i-2)) {
		return true // WLAN-Passwort
	}
	return isSpace(before) || strings.IndexByte("\"'(`*,>", before) >= 0 || afterEscape(s, i) || accents[word] != ""
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
