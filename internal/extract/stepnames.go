package extract

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A saidStep is a step, or a message, turn or span, that a text names.
type saidStep struct {
	noun string // "step", or what else is numbered in a trace
	text string // the number as it was written
	n    int    // -1 for what no step can have as its number
	// counted says that it may be the nth one, from 1, and not the one with index n.
	counted bool
	// ordinal says that it is a word such as "second", which proposals count themselves by.
	ordinal bool
}

// A text names steps by a noun and a number, in that order ("step 3", as the prompt asks
// for it, "Step: **3**", "step no. 3", "steps 3, 4 and 7", "step 3–7", "step ninety-nine"),
// or by an ordinal ("the 3rd failing step"). Readers take all of them for facts about the
// trace, so all are looked for; what is only counted ("3 steps", "in this step 12 retries")
// names nothing.
var (
	// stepNouns are "step" in the languages that answers in the wrong language are in.
	stepNouns = `steps?|schritte?n?|étapes?|etapes?|pasos?|passos?|etapas?|stappen|stap|шаг[аеуи]?`
	// placeNouns are other things that are numbered; they are common words, so that only
	// the plainest form counts.
	placeNouns = `messages?|turn|span`

	named = regexp.MustCompile(`(` + stepNouns + `|` + placeNouns + `)` +
		`([\s_]*(?:numbers?|num|nos?|nr|index|indices|idx|ids?|i)\b\.?)?` +
		`([\s#=:(_–—-]{0,6})` + `(` + number + `)`)
	ordinalStep     = regexp.MustCompile(`(` + ordinal + `)[\s-]+(?:([a-z]+)\s)?(` + stepNouns + `|` + placeNouns + `)`)
	indexInBrackets = regexp.MustCompile(`\(\s*i\s*=\s*(-?\d+)\s*\)`)

	// What may lead from one number to the next: behind the noun in the plural, and behind
	// one in the singular, where a number is more often something else ("step 3, 429 was
	// returned").
	nextOfMany = regexp.MustCompile(`^(?:(\s*,?\s*(?:and|or|&)\s+)|\s*,\s*|\s+(?:to|through|thru|until)\s+|\s*(?:->|→|/|~|\.\.+|[–—-])\s*)` +
		`(?:(?:even|also|then|finally|later|possibly)\s+)?#?(` + number + `)`)
	nextOfOne = regexp.MustCompile(`^(?:\s+(?:through|thru)\s+|\s*(?:->|→|~)\s*|/|\.\.+|[–—-]|(\s+(?:to|and)\s+))#?(` + number + `)`)
	plainTag  = regexp.MustCompile(`</?[a-zA-Z][a-zA-Z0-9]*\s*/?>`)
	thousands = regexp.MustCompile(`^\d{1,3}(?:,\d{3})+\b`)

	// plainly is what stands between a noun and its number without any doubt; a colon or a
	// bracket may as well begin something else ("the lookup step (503)").
	plainly     = regexp.MustCompile(`^(?:\s*[#=]?\s*|[_-]|\s+[_-]?)$`)
	justSpace   = regexp.MustCompile(`^(?:\s+|\s*#\s*)$`)
	closingWord = regexp.MustCompile(`([\pL\pN]+)[^\pL\pN]*$`)
	nextWord    = regexp.MustCompile(`^[\s-]*([a-z]+)`)

	// leading are the words behind which "step: 3" and "step (3)" name a step.
	leading = wordSet("at in on from after before since until to of by and or between during with is was the see failing failed erring faulty wrong first trace")
	// general are the words behind which "step" is any step.
	general = wordSet("this that each every any a an which same next last previous final another per single")
	// noPlural are words that end like a plural and are none.
	noPlural = wordSet("was is has does as its this thus always perhaps fails ends breaks returns raises throws crashes shows")
	// codes are the words behind which a message's number is the code of an error.
	codes = wordSet("error status http exception warning log sms response code")
)

// stepsIn returns the steps, messages, turns and spans that a text names.
func stepsIn(text string) []saidStep {
	text = plainText(text)
	if !strings.ContainsFunc(text, unicode.IsLetter) {
		return nil
	}
	var list []saidStep
	used := 0 // text up to here names steps: a number in it counts nothing
	for from := 0; from < len(text); {
		m := named.FindStringSubmatchIndex(text[from:])
		if m == nil {
			break
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += from
			}
		}
		r := reference{text: text, noun: text[m[2]:m[3]], start: m[2], labelled: m[4] >= 0, sep: text[m[6]:m[7]], number: m[8], end: m[9], used: used}
		said := r.steps()
		if said == nil {
			from = m[3] // behind the noun
			continue
		}
		list = append(list, said...)
		from, used = r.end, r.end
	}
	list = append(list, ordinalsIn(text)...)
	for _, m := range indexInBrackets.FindAllStringSubmatch(text, -1) {
		list = append(list, said("step", m[1], false))
	}
	return list
}

// A reference is a noun and a number behind it, which may name a step.
type reference struct {
	text        string
	noun        string
	start       int // of the noun
	labelled    bool
	sep         string // between noun, or label, and number
	number, end int    // where the number begins, and what was read ends
	used        int    // text up to here names other steps
	last        bool   // no number follows in the list
}

// steps returns the steps that the reference names, and moves its end behind them.
func (r *reference) steps() []saidStep {
	before, apart := wordBefore(r.text, r.start)
	if !apart || r.counted(before) || !r.isNumber() || r.place() && !r.namesPlace(before) {
		return nil
	}
	if !r.labelled && general[before] && (r.counts(r.end) || r.isCode()) {
		return nil
	}
	if !plainly.MatchString(r.sep) && !(leading[before] || r.sentenceStart()) {
		return nil
	}
	first := r.text[r.number:r.end]
	if len(r.sep) > 1 && strings.HasSuffix(r.sep, " -") { // "step -1"
		first = "-" + first
	}
	many := plural[r.noun]
	if all := thousands.FindString(r.text[r.number:]); !many && all != "" {
		r.end = r.number + len(all)
		first = strings.ReplaceAll(all, ",", "")
	}
	list := []saidStep{said(r.kind(), first, false)}
	for !r.last {
		next, counted := r.next(many, before)
		if next == "" {
			break
		}
		list = append(list, said(r.kind(), next, counted))
	}
	if many && len(list) == 1 && !r.labelled && strings.ContainsAny(r.sep, ":=(–—") {
		return nil // "steps: 50" says how many
	}
	return list
}

// counted reports whether the word before the noun says how many of it there are.
func (r *reference) counted(before string) bool {
	n, ok := numberOf(before)
	between, direct := strings.CutPrefix(r.text[max(r.used, r.start-len(before)-3):r.start], before)
	if !direct {
		_, between, direct = strings.Cut(r.text[max(r.used, r.start-len(before)-3):r.start], before)
	}
	return ok && direct && strings.Trim(between, " -") == "" && (n == 1 || plural[r.noun] || strings.Contains(between, "-"))
}

// isNumber reports whether the number is one, and no part of something else.
func (r *reference) isNumber() bool {
	switch {
	case !r.wholeNumber(r.end):
		return false
	case strings.Contains(r.sep, "\n"): // the number may be that of an item of a list
		return !strings.HasPrefix(r.text[r.end:], ".") && !strings.HasPrefix(r.text[r.end:], ")")
	}
	return r.text[r.number] <= '9' || r.text[r.number] > 'z' || r.sep != "" // "stepone"
}

// plural are the nouns that lists follow.
var plural = wordSet("steps schritte schritten étapes etapes pasos passos etapas stappen шаги messages")

func (r *reference) place() bool {
	switch r.noun {
	case "message", "messages", "turn", "span":
		return true
	}
	return false
}

func (r *reference) kind() string {
	if r.place() {
		return strings.TrimSuffix(r.noun, "s")
	}
	return "step"
}

// namesPlace reports whether the number behind a common word is a name.
func (r *reference) namesPlace(before string) bool {
	n := said("", r.text[r.number:r.end], false).n
	after := ""
	if m := nextWord.FindStringSubmatch(r.text[r.end:]); m != nil {
		after = m[1]
	}
	switch {
	case r.text[r.number] > '9', codes[before], r.noun != "turn" && n >= 400 && n <= 599 && !r.labelled,
		after == "degrees" || after == "into" || after == "percent":
		return false
	}
	return (r.labelled || justSpace.MatchString(r.sep)) && !r.counts(r.end)
}

// next returns the next number of a list or range, or "".
func (r *reference) next(many bool, before string) (string, bool) {
	form := nextOfMany
	if !many {
		form = nextOfOne
	}
	m := form.FindStringSubmatchIndex(r.text[r.end:])
	if m == nil {
		return "", false
	}
	conj, start, end := m[2] >= 0, r.end+m[4], r.end+m[5]
	if !many && conj && before != "from" && before != "between" {
		return "", false
	}
	if !r.wholeNumber(end) || r.counts(end) {
		return "", false
	}
	// "step 2/4" is the second of four.
	counted := !many && r.text[r.end] == '/'
	r.last = conj
	r.end = end
	return strings.TrimLeft(r.text[start:end], "-"), counted
}

// wholeNumber reports whether what ends at end is not the beginning of something else:
// "2FA", "99%".
func (r *reference) wholeNumber(end int) bool {
	c, _ := utf8.DecodeRuneInString(r.text[end:])
	return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '%'
}

// counts reports whether the number that ends at end says how many of something.
func (r *reference) counts(end int) bool {
	m := nextWord.FindStringSubmatch(r.text[end:])
	return m != nil && strings.HasSuffix(m[1], "s") && len(m[1]) > 2 && !noPlural[m[1]]
}

// isCode reports whether the number may be an HTTP status.
func (r *reference) isCode() bool {
	n := said("", r.text[r.number:r.end], false).n
	return n >= 400 && n <= 599
}

func (r *reference) sentenceStart() bool {
	s := strings.TrimRight(r.text[:r.start], " \t_")
	return s == "" || strings.ContainsRune(".!?;:\n(", rune(s[len(s)-1]))
}

// wordBefore returns the word in front of a position, and whether what begins there is a
// word of its own: not the end of "missteps", "max_steps" or "two-step".
func wordBefore(text string, at int) (string, bool) {
	c, _ := utf8.DecodeLastRuneInString(text[:at])
	apart := !unicode.IsLetter(c) && !unicode.IsDigit(c)
	if c == '_' || c == '-' {
		c, _ = utf8.DecodeLastRuneInString(text[:at-1])
		apart = !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}
	if m := closingWord.FindStringSubmatch(text[max(0, at-40):at]); m != nil {
		return m[1], apart
	}
	return "", apart
}

// ordinalsIn returns the steps that a text counts.
func ordinalsIn(text string) []saidStep {
	var list []saidStep
	for _, m := range ordinalStep.FindAllStringSubmatchIndex(text, -1) {
		before, apart := wordBefore(text, m[2])
		_, isNumber := numberOf(before) // "a 30 second step"
		end, _ := utf8.DecodeRuneInString(text[m[7]:])
		if !apart || isNumber || unicode.IsLetter(end) || m[4] >= 0 && (text[m[4]:m[5]] == "party" || text[m[4]:m[5]] == "or") {
			continue
		}
		r := reference{noun: text[m[6]:m[7]]}
		word := text[m[2]:m[3]]
		s := said(r.kind(), strings.TrimRight(word, "stndrh"), true)
		if word[0] > '9' {
			s = said(r.kind(), word, true)
			s.ordinal = true
		}
		s.text = strings.Join(strings.Fields(word), " ")
		list = append(list, s)
	}
	return list
}

// said returns the step of a number in digits or words.
func said(noun, text string, counted bool) saidStep {
	s := saidStep{noun: noun, text: strings.Join(strings.Fields(text), " "), n: -1, counted: counted}
	if n, ok := numberOf(s.text); ok && n >= 0 {
		s.n, s.counted = n, counted || s.text[0] > '9'
	}
	if s.text[0] <= '9' {
		s.text = s.text[:min(9, len(s.text))]
	}
	return s
}

// plainText returns text in lower case, with every digit as 0 to 9, and without markup:
// a number is a number in bold, in brackets and in full width.
func plainText(text string) string {
	text = plainTag.ReplaceAllString(norm.NFKC.String(text), "")
	return strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune("*~`\"'“”„‘’‚«»‹›[]\\", c):
			return -1
		case c == '−': // the minus sign
			return '-'
		case unicode.IsDigit(c) && c > '9':
			return '0' + digit(c)
		case unicode.IsSpace(c) && c != '\n':
			return ' '
		}
		return unicode.ToLower(c)
	}, text)
}
