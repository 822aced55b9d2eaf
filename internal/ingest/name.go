package ingest

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/evalforge/evalforge/internal/redact"
)

// An id or a file name glues its words together with signs that stand within values in
// text, so that redaction of the whole sees no value in "bad_536-22-1789.json". Names
// are therefore redacted word by word, too.

// glue is what separates the words of a name.
const glue = "_-.:/ #|=,;()"

// maxNameWords is how many words of a name are looked at together: an IPv6 address has
// 8, an email address or a phone number hardly more.
const maxNameWords = 10

// cleanName redacts name, and each sequence of its words for which keep is false.
func (r *run) cleanName(name string, keep func(words string) bool) string {
	name = r.redactWords(name, keep)
	for start := 0; start < len(name); {
		ends := wordEnds(name[start:])
		for i := len(ends) - 1; i >= 0; i-- { // the longest first: a part of a value says less
			words := name[start : start+ends[i]]
			if keep(words) {
				continue
			}
			if out := r.redactWords(words, keep); out != words {
				name = name[:start] + out + name[start+ends[i]:]
				ends = []int{len(out)} // go on behind it
				break
			}
		}
		start += ends[0] + 1
	}
	return name
}

// longWord is the length from which a word that keep excuses is looked at by itself:
// that of the shortest card number. Shorter ones may be groups of a longer value.
const longWord = 12

// redactWords redacts s, unless nothing but long words that keep excuses would go.
func (r *run) redactWords(s string, keep func(word string) bool) string {
	var rest strings.Builder
	for start := 0; start <= len(s); {
		end := len(s)
		if i := strings.IndexAny(s[start:], glue); i >= 0 {
			end = start + i
		}
		if word := s[start:end]; len(word) < longWord || !keep(word) {
			rest.WriteString(word)
		}
		if end < len(s) {
			rest.WriteByte(s[end])
		}
		start = end + 1
	}
	if r.redactName(rest.String()) == rest.String() {
		return s
	}
	return r.redactName(s)
}

// redactName redacts a name or a part of one. What looks only random is no secret
// there: ids and names of temporary files are random.
func (r *run) redactName(s string) string {
	out, counts := r.Redactor.Text(s)
	if counts.Total() == counts[redact.Opaque] {
		return s
	}
	return out
}

// wordEnds returns where the first words of s end, at most [maxNameWords].
func wordEnds(s string) []int {
	var ends []int
	for i := 0; i < len(s) && len(ends) < maxNameWords; i++ {
		if strings.IndexByte(glue, s[i]) >= 0 {
			ends = append(ends, i)
		}
	}
	if len(ends) < maxNameWords {
		ends = append(ends, len(s))
	}
	return ends
}

// cleanID returns id redacted; it is another one exactly when id is personal.
func (r *run) cleanID(id string) string {
	if r.isCountedID(id) {
		return id
	}
	return r.cleanName(id, r.isCountedID)
}

// isCountedID excuses a bare run of digits, or of hex digits with or without the dashes
// of a UUID, from looking like the number of a card or a telephone: it is an id by
// itself or as a word of one, and of the numbers that systems give out as ids, one in
// ten has the check digit of a card. Whatever else it may be (one of the service's own
// secrets, a German IBAN, which is all hex digits) it is not excused from.
func (r *run) isCountedID(s string) bool {
	if !isBareID(s) {
		return false
	}
	_, counts := r.Redactor.Text(s)
	return counts.Total() == counts[redact.Card]+counts[redact.Phone]+counts[redact.SSN]
}

// isBareID reports whether s is a run of digits or hex digits, or a UUID.
func isBareID(s string) bool {
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = strings.ReplaceAll(s, "-", "")
	}
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// withoutID returns the JSON document payload with the string id replaced by clean:
// what is under a key named as an id, redaction of a payload leaves alone.
func withoutID(payload json.RawMessage, id, clean string) json.RawMessage {
	if id == clean {
		return payload
	}
	old, err := json.Marshal(id)
	if err != nil {
		return payload // no string can fail
	}
	repl, err := json.Marshal(clean)
	if err != nil {
		return payload
	}
	return bytes.ReplaceAll(payload, old, repl)
}

// cleanPath returns the path of an input fit to be shown and stored.
func (r *run) cleanPath(path string) string {
	return r.plain(r.cleanName(path, func(string) bool { return false }))
}
