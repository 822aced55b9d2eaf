package extract

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is a part of a text that may differ between copies of one failure without
// changing what it says: the digest of a redaction placeholder, an opaque id, a time, or a
// duration. Words are never part of one, not even beside digits: worker.py:1234:KeyError has
// none, and of order-4711 it is the number. Neither are versions, dates, amounts and other
// numbers that can be compared with one another. What is wrongly left out costs a call; the
// other mistake, a wrong answer.
type value struct {
	from, to int
	kind     valueKind
	at       time.Time // of a point in time that has a date; else zero
}

// A valueKind is what a value is. Values of two kinds that are written alike are not equal.
type valueKind byte

const (
	digestValue valueKind = 'x' // of what is redacted
	idValue     valueKind = 'i'
	timeValue   valueKind = 't'
	waitValue   valueKind = 'd' // a duration
)

// nearInTime is how far a time may be from the usual one of its text. One that is further
// off, such as the date of stale data, says something.
const nearInTime = 24 * time.Hour

// valuesIn returns the values in a JSON text, in order. With stringsOnly, those outside of
// strings are left out. codes are tokens that are none.
func valuesIn(text []byte, stringsOnly bool, codes map[string]bool) []value {
	f := finder{text: text}
	for t := range tokens(text) {
		token := string(text[t.from:t.to])
		switch {
		case t.from < f.done: // the second half of a time
		case !hasDigit(text[t.from:t.to]) && !strings.HasPrefix(token, redacted):
			f.word(t.to, token)
			continue
		case !codes[token] && (t.inString || !stringsOnly):
			f.near = f.holds(t.from)
			f.token(t.from, token)
		}
		f.near = nothing
	}
	return f.values
}

// dropFar removes the times that are far from the usual one, their median.
func dropFar(values []value) []value {
	var times []time.Time
	for _, v := range values {
		if !v.at.IsZero() {
			times = append(times, v.at)
		}
	}
	if len(times) < 2 {
		return values
	}
	slices.SortFunc(times, time.Time.Compare)
	usual := times[len(times)/2]
	return slices.DeleteFunc(values, func(v value) bool {
		return !v.at.IsZero() && v.at.Sub(usual).Abs() > nearInTime
	})
}

// What the word before a token says that the token is.
type meaning int

const (
	nothing meaning = iota
	anID
	aPort
	aDuration
)

// idWords stand before ids, as the last word of a name such as requestId, or within them:
// order-4711. Words that stand before amounts as well are not among them.
var idWords = wordSet(`id ids uuid guid uid cid rid sid pid tid req request trace span ticket session sess user customer
	account acct tenant job msg conversation conv thread chat chatcmpl call toolu resp txn correlation corr invocation
	execution conn connection order shipment parcel tracking booking reference nonce`)

// durationWords end the names of durations.
var durationWords = wordSet(`ms millis milliseconds millisecond seconds second secs sec duration latency elapsed delay backoff`)

// unitWords stand behind durations, after a space.
var unitWords = wordSet(`ns us ms s sec secs second seconds millisecond milliseconds millis microseconds nanoseconds minute minutes`)

// meaningOf returns what a name says about what stands behind it.
func meaningOf(name string) meaning {
	last := lastWord(name)
	switch {
	case idWords[last]:
		return anID
	case last == "port":
		return aPort
	case durationWords[last], strings.HasSuffix(strings.ToLower(name), "retry-after"), strings.HasSuffix(strings.ToLower(name), "retry_after"):
		return aDuration
	}
	return nothing
}

// lastWord returns the last word of a name in lower case: of requestId, id.
func lastWord(name string) string {
	i := len(name)
	for i > 0 && isLetter(name[i-1]) {
		i--
		if i > 0 && isUpper(name[i]) && isLetter(name[i-1]) && !isUpper(name[i-1]) {
			break
		}
	}
	return strings.ToLower(name[i:])
}

// redacted is how the text of a redaction placeholder begins. Its digest comes last.
const redacted = "REDACTED:"

// A finder finds the values of a text, token by token.
type finder struct {
	text   []byte
	near   meaning // of the word before
	after  int     // where that ends
	done   int     // up to where the text is part of a value
	values []value
}

// holds returns what the word before says of a token, or nothing if more than a link word and
// what joins a name and its value stands between them: a duration follows only on a name.
func (f *finder) holds(from int) meaning {
	if f.near == nothing || from-f.after > 16 {
		return nothing
	}
	between := string(f.text[f.after:from])
	switch joint := strings.TrimLeft(between, `"'\ :=`); {
	case strings.ContainsAny(between, ",;.)]}!?"):
	case f.near == aDuration && (joint != "" || !strings.ContainsAny(between, ":=")):
	default:
		return f.near
	}
	return nothing
}

// word notes what a token without a digit says of the next one.
func (f *finder) word(to int, token string) {
	if m := meaningOf(token); m != nothing {
		f.near, f.after = m, to
	} else if !linkWords[strings.ToLower(token)] {
		f.near = nothing
	}
}

func (f *finder) add(from, to int, kind valueKind) {
	f.values = append(f.values, value{from: from, to: to, kind: kind})
	f.done = max(f.done, to)
}

func (f *finder) addTime(from, to int, at time.Time) {
	f.add(from, to, timeValue)
	f.values[len(f.values)-1].at = at
}

// token adds the values of a token with a digit that stands at a place of the text.
func (f *finder) token(from int, token string) {
	to := from + len(token)
	if strings.HasPrefix(token, redacted) { // its kind is the same in all copies
		f.add(from+strings.LastIndexByte(token, ':')+1, to, digestValue)
		return
	}
	end, at, ok := f.moment(from, token)
	switch {
	case ok:
		f.addTime(from, end, at)
	case isClock(token):
		f.add(from, to, timeValue)
	case isDuration(token):
		f.add(from, to, waitValue)
	case isNumber(token):
		f.number(from, token)
	default:
		f.segments(from, token)
	}
}

// number adds a token of digits with at most one point, if it is a value.
func (f *finder) number(from int, token string) {
	to := from + len(token)
	whole, _, decimal := strings.Cut(token, ".")
	if at, ok := epoch(whole); ok {
		f.addTime(from, to, at)
		return
	}
	port := from > 1 && f.text[from-1] == ':' && f.text[from-2] == ']' // of an address that is redacted
	switch {
	case f.near == aDuration, f.unitFollows(to):
		f.add(from, to, waitValue)
	case !decimal && len(token) >= longNumber,
		!decimal && f.near == anID && len(token) >= 5,
		(port || f.near == aPort) && isPassingPort(token):
		f.add(from, to, idValue)
	}
}

// longNumber is how many digits a number has that nobody compares with another.
const longNumber = 12

// unitFollows reports whether a unit of time stands after a space.
func (f *finder) unitFollows(to int) bool {
	rest := f.text[to:min(len(f.text), to+16)]
	if len(rest) < 2 || rest[0] != ' ' {
		return false
	}
	n := 1
	for n < len(rest) && isLetter(rest[n]) {
		n++
	}
	return unitWords[string(rest[1:n])]
}

// segments adds the values among the parts of a name: ids, and ports of addresses.
func (f *finder) segments(from int, token string) {
	id := f.near == anID
	for i := 0; i < len(token); {
		n := strings.IndexAny(token[i:], tokenPunctuation)
		switch {
		case n == 0:
			i++
			continue
		case n < 0:
			n = len(token) - i
		}
		part := token[i : i+n]
		if hasForm(token[i:], uuidForm) {
			n = len(uuidForm)
			f.add(from+i, from+i+n, idValue)
		} else if isOpaque(part, id) || i > 0 && isAddress(token[:i]) && i+n == len(token) && isPassingPort(part) {
			f.add(from+i, from+i+n, idValue)
		}
		id = id || idWords[lastWord(part)]
		i += n
	}
}

// moment reads a date with a time, in one token or two. A date alone is none.
func (f *finder) moment(from int, token string) (end int, at time.Time, ok bool) {
	const date = len("2006-01-02")
	if !hasForm(token, "dddd-dd-dd") {
		return 0, at, false
	}
	end = from + len(token)
	clock := strings.TrimPrefix(token[date:], "T")
	if len(token) == date && end < len(f.text) && f.text[end] == ' ' {
		second := end + 1
		for end++; end < len(f.text) && tokenByte(f.text[end]); end++ {
		}
		clock = strings.TrimRight(string(f.text[second:end]), tokenPunctuation)
		end = second + len(clock)
	} else if len(clock) == len(token)-date {
		return 0, at, false
	}
	if !isClock(clock) {
		return 0, at, false
	}
	const seconds = len("15:04:05")
	at, err := time.Parse("2006-01-02 15:04:05", token[:date]+" "+clock[:seconds])
	if err != nil {
		return 0, at, false
	}
	if zone, err := time.Parse("Z07:00", strings.TrimLeft(clock[seconds:], ".0123456789")); err == nil {
		_, offset := zone.Zone()
		at = at.Add(-time.Duration(offset) * time.Second)
	}
	return end, at, true
}

// isClock reports a time of day with seconds, and maybe a fraction and a zone.
func isClock(s string) bool {
	if !hasForm(s, "dd:dd:dd") {
		return false
	}
	rest := s[len("dd:dd:dd"):]
	if strings.HasPrefix(rest, ".") {
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	return rest == "" || rest == "Z" || len(rest) == 6 && (hasForm(rest, "+dd:dd") || hasForm(rest, "-dd:dd"))
}

// uuidForm is the form of a UUID: see hasForm.
const uuidForm = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"

// hasForm reports whether s begins with a form, in which d is a digit and h a hex digit, and
// the next character of s does not go on with it.
func hasForm(s, form string) bool {
	if len(s) < len(form) || len(s) > len(form) && isHex(s[len(form)]) {
		return false
	}
	for i := range len(form) {
		c := s[i]
		switch form[i] {
		case 'd':
			if !isDigit(c) {
				return false
			}
		case 'h':
			if !isHex(c) {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

// epoch reads a number as seconds since 1970, or as a thousandth, millionth or billionth
// part of them, where that is between 2014 and 2033: two numbers below and above are limits
// of memory.
func epoch(digits string) (time.Time, bool) {
	if len(digits) < 10 || len(digits) > 19 || (len(digits)-10)%3 != 0 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(digits[:10], 10, 64)
	if err != nil || n < 1_400_000_000 || n >= 2_000_000_000 {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// isDuration reports numbers with units of time: 250ms, 1.5s, 1h2m3s. Minutes and hours alone
// are rather a rule than a measurement.
func isDuration(token string) bool {
	units := 0
	for rest := token; rest != ""; units++ {
		unit := strings.TrimLeft(rest, "0123456789.")
		n := 0
		for n < len(unit) && isLetter(unit[n]) {
			n++
		}
		if len(unit) == len(rest) || !slices.Contains([]string{"ns", "us", "ms", "s", "sec", "m", "min", "h"}, unit[:n]) {
			return false
		}
		if len(token) == len(rest) && n == len(unit) && strings.Contains("m min h", unit) {
			return false
		}
		rest = unit[n:]
	}
	return units > 0
}

// isNumber reports digits with at most one point among them.
func isNumber(token string) bool {
	return strings.Count(token, ".") <= 1 && strings.Trim(token, "0123456789.") == ""
}

// isPassingPort reports a port that a system gives to a connection for its time; those below
// say which service is asked.
func isPassingPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 32768 && n <= 65535
}

// isAddress reports what stands before a port: an address in numbers, or this machine's name.
func isAddress(s string) bool {
	s, ok := strings.CutSuffix(s, ":")
	if !ok {
		return false
	}
	return s == "localhost" || strings.Count(s, ".") == 3 && strings.Trim(s, "0123456789.") == ""
}

// isOpaque reports a part of a name that is an id and has no word in it. Behind a word that
// says so, less is enough to be one.
func isOpaque(s string, id bool) bool {
	digits, groups, hex := 0, 0, true
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
			if i == 0 || !isDigit(s[i-1]) {
				groups++
			}
		}
		hex = hex && isHex(s[i])
	}
	switch {
	case digits == len(s):
		return len(s) >= longNumber || id && len(s) >= 4
	case hex && len(s) >= 16, hex && id && len(s) >= 8:
		return digits > 0 || id
	case hex && len(s) >= 8:
		return groups >= 2
	case len(s) < 8 || digits < 2 || !id && len(s) < 16 && groups < 3:
		return false
	}
	return 2*lettersOfWords(s) < len(s)-digits
}

// lettersOfWords counts the letters of s that stand in what looks like words: four letters
// or more of one case, the first of which may be a capital, some of them vowels. Random
// letters are so by chance, but not the half of them.
func lettersOfWords(s string) int {
	n := 0
	for i := 0; i < len(s); {
		start, vowels := i, 0
		for ; i < len(s) && isLetter(s[i]); i++ {
			if i > start+1 && isUpper(s[i]) != isUpper(s[i-1]) || i == start+1 && isUpper(s[i]) && !isUpper(s[start]) {
				break
			}
			if strings.IndexByte("aeiouyAEIOUY", s[i]) >= 0 {
				vowels++
			}
		}
		if l := i - start; l >= 4 && 5*vowels >= l {
			n += l
		}
		if i == start {
			i++
		}
	}
	return n
}
