package signal

import (
	"strings"
	"unicode/utf8"
)

// Bounds on quotes, in characters: shorter ones prove nothing, longer ones nobody reads.
const (
	minQuote = 8
	maxQuote = 240
)

// judgeName matches names of steps and agents whose work is to judge others' work.
var judgeName = compile(`(?i)evaluat|validat|verif|critic|judge|grader|checker|audit|review|guardrail|moderat|quality_?assurance`)

// isExecution recognises the report of a code executor inside a conversation, in the
// form that AutoGen's executors write.
func isExecution(text string) bool { return strings.HasPrefix(text, "exitcode: ") }

// executionFailed reports whether text is the report of an execution that failed.
func executionFailed(text string) bool {
	return isExecution(text) && !strings.HasPrefix(text, "exitcode: 0")
}

// isTermination recognises texts that only end a conversation, such as TERMINATE.
func isTermination(text string) bool {
	t := strings.Trim(strings.TrimSpace(text), "*.!`#[]()\"' ")
	if t == "" || utf8.RuneCountInString(t) > 24 {
		return t == ""
	}
	return t == strings.ToUpper(t) && !strings.ContainsAny(t, "0123456789") && len(strings.Fields(t)) <= 2
}

// quote returns the part of text around text[start:end], verbatim: the whole match
// where it fits into maxQuote characters, with what surrounds it up to line or sentence
// boundaries. It returns "" when no quote of minQuote characters can be had.
func quote(text string, start, end int) string {
	if start < 0 || end > len(text) || start > end {
		return ""
	}
	lo, hi := start, end
	if i := strings.LastIndexAny(text[:start], "\n"); i >= 0 {
		lo = i + 1
	} else {
		lo = 0
	}
	if i := strings.IndexAny(text[end:], "\n"); i >= 0 {
		hi = end + i
	} else {
		hi = len(text)
	}
	if utf8.RuneCountInString(text[lo:hi]) < minQuote { // a short line: take its neighbours
		lo, hi = max(0, start-maxQuote/3), min(len(text), end+maxQuote/3)
	}
	lo, hi = window(text, lo, hi, start, end)
	q := strings.TrimSpace(text[lo:hi])
	if utf8.RuneCountInString(q) < minQuote || !utf8.ValidString(q) {
		return ""
	}
	return q
}

// window narrows text[lo:hi] to maxQuote characters around text[start:end].
func window(text string, lo, hi, start, end int) (int, int) {
	lo, hi = boundary(text, lo), boundary(text, hi)
	if utf8.RuneCountInString(text[lo:hi]) <= maxQuote {
		return lo, hi
	}
	const before = maxQuote / 3
	if n := utf8.RuneCountInString(text[lo:boundary(text, start)]); n > before {
		lo = boundary(text, start)
		for range before {
			_, size := utf8.DecodeLastRuneInString(text[:lo])
			lo -= size
		}
	}
	n := 0
	for i := range text[lo:hi] {
		if n == maxQuote {
			return lo, lo + i
		}
		n++
	}
	return lo, hi
}

// boundary moves i back to the start of a rune.
func boundary(text string, i int) int {
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// head quotes the beginning of text.
func head(text string) string {
	i := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	return quote(text, i, i)
}

// maxScan bounds, in bytes, how much of one text is searched for wording: patterns run
// at about 20 MB/s each, and there are dozens of them. What a longer text says
// about itself stands at its beginning.
const maxScan = 32 << 10

// scanned returns the part of text that is searched for wording: its beginning.
func scanned(text string) string {
	if len(text) <= maxScan {
		return text
	}
	return text[:boundary(text, maxScan)]
}

// match quotes the first match of re in text, and reports whether there is one.
func match(re *wording, text string) (string, bool) {
	text = scanned(text)
	m := re.FindStringIndex(text)
	if m == nil {
		return "", false
	}
	return quote(text, m[0], m[1]), true
}
