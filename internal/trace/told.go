package trace

import (
	"math/bits"
	"strings"
)

// This file recognises errors that nobody marked: chats and logs without a status have
// them only as what a tool answered. It decides what a cut spares, not what is an error:
// a text that is none may keep its place for it, and signals look closer. So it asks
// for words near the beginning of a text, which is fast enough to ask all texts of a trace.

// Bounds of what is read of a text, in bytes: the whole of a short one, which is all about
// what failed, and the beginning of a longer one.
const (
	toldWhole = 300
	toldHead  = 120
)

// traceback begins Python's stack traces, which stand anywhere in what a command printed.
const traceback = "Traceback (most recent call last)"

// errorWords are in texts that report errors, in lower case.
var errorWords = []string{
	"error", "exception", "fail", "fatal", "panic:", "fault", "denied", "forbidden", "unauthori", "refused", "timeout", "timed out",
	"not found", "no such", "unavailable", "invalid", "missing", "exceeded", "too many", "aborted", "killed", "crashed", "overloaded",
	`success":false`, `success": false`, `ok":false`, `ok": false`,
}

// noErrors are what says that there is none, with words that say that there is one.
var noErrors = []string{
	`error":null`, `error": null`, `error":""`, `error": ""`, `error":false`, `error": false`, `errors":[]`, `errors": []`,
	`errors":null`, `errors": null`, `errors":0`, `errors": 0`, `failed":0`, `failed": 0`, "no error", "0 error", "0 fail", "without error",
}

// tellsError reports whether what a tool answered, or somebody said, reads as an error.
func tellsError(text string) bool {
	if strings.Contains(text, traceback) {
		return true
	}
	if code, ok := strings.CutPrefix(text, "exitcode: "); ok { // of AutoGen's executors
		return !strings.HasPrefix(code, "0")
	}
	if len(text) > toldWhole {
		text = headOf(text, toldHead)
	}
	if !errorStarts.in(text) {
		return false
	}
	if !noErrorStarts.in(text) {
		return true
	}
	return errorStarts.in(without(strings.ToLower(text), noErrors, &noErrorStarts))
}

// without returns text, in lower case, without the words, one word after the other: what is
// left around one may be a later one. Only those that are there take a pass over the text.
func without(text string, words []string, starts *wordStarts) string {
	for left := starts.found(text); left != 0; {
		word := bits.TrailingZeros64(left)
		text = strings.ReplaceAll(text, words[word], "")
		left = starts.found(text) &^ (2<<word - 1)
	}
	return text
}

// wordStarts are up to 64 words by their first two letters. All of them are looked for at
// once, because most texts have none: one after the other took a quarter of a chat's time.
type wordStarts struct {
	any   [1 << 10]bool // that is as much as is looked at of most texts: it stays in the fastest memory
	words [1 << 10][]numberedWord
}

type numberedWord struct {
	word   string
	number int
}

var (
	errorStarts   = startsOf(errorWords)
	noErrorStarts = startsOf(noErrors)
)

func startsOf(words []string) (w wordStarts) {
	for n, word := range words {
		at := startOf(word[0], word[1])
		w.any[at] = true
		w.words[at] = append(w.words[at], numberedWord{word, n})
	}
	return w
}

// startOf is the same for letters of either case.
func startOf(a, b byte) int { return int(a&31)<<5 | int(b&31) }

// in reports whether one of the words is in s, in whatever case.
func (w *wordStarts) in(s string) bool {
	for i := range len(s) - 1 {
		at := startOf(s[i], s[i+1])
		if !w.any[at] {
			continue
		}
		for _, word := range w.words[at] {
			if n := len(word.word); n <= len(s)-i && strings.EqualFold(s[i:i+n], word.word) {
				return true
			}
		}
	}
	return false
}

// found returns which of the words are in s, which is in lower case, a bit for each.
func (w *wordStarts) found(s string) (found uint64) {
	for i := range len(s) - 1 {
		at := startOf(s[i], s[i+1])
		if !w.any[at] {
			continue
		}
		for _, word := range w.words[at] {
			if strings.HasPrefix(s[i:], word.word) {
				found |= 1 << word.number
			}
		}
	}
	return found
}

// startsAsError reports whether text begins as errors do, or has a stack trace: what
// people and models say is full of errors that are none of theirs.
func startsAsError(text string) bool {
	const start = 16
	return strings.Contains(text, traceback) || tellsError(headOf(text, start))
}

// listen finds the errors that nobody marked, once. Their texts weigh more from then on.
func (p *plan) listen() {
	if len(p.told) == len(p.t.Steps) {
		return
	}
	p.told = sized(p.told, len(p.t.Steps))
	for i := range p.t.Steps {
		if p.failed(i) {
			continue
		}
		tells, text := startsAsError, p.said(i)
		if s := &p.t.Steps[i]; s.Tool != nil {
			tells, text = tellsError, s.Tool.Result
		}
		if p.told[i] = text != "" && tells(text); p.told[i] {
			p.weight[text] = max(p.weight[text], toldWeight)
		}
	}
}
