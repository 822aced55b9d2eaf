package extract

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// notSaid stands in the place of a quotation that is none.
const notSaid = "[not found in the trace]"

// closers are the marks that end a quotation, by the one that begins it: straight,
// English, German, French, East Asian, and those of code.
var closers = map[rune]string{
	'"': `"`, '＂': `＂`, '“': "”", '”': "”", '„': "“”", '«': "»", '»': "«", '‹': "›",
	'\'': `'`, '‘': "’", '‚': "‘’", '`': "`", '「': "」", '『': "』",
}

// anyDouble ends a quotation that was begun with another double mark.
const anyDouble = `"＂”“»«`

// maxQuotation bounds a quotation, in bytes: what is longer is taken for two stray marks.
const maxQuotation = 2000

// A quotation is what stands between quotation marks, in bytes of the text.
type quotation struct{ from, to int }

// quotations returns what a text puts between quotation marks, in order.
func quotations(text string) []quotation {
	var list []quotation
	before := ' '
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		start := i + size
		if end, mark := closing(text, before, r, start); end >= 0 {
			list = append(list, quotation{start, end})
			before, i = ' ', end+mark
			continue
		}
		before, i = r, start
	}
	return list
}

// closing returns where the quotation that mark begins ends, and how long the mark there
// is, or -1. Marks that look the same at both ends count as the first one only at the
// beginning of a word, and as the second only at the end of one: the rest are apostrophes,
// inches and strays.
func closing(text string, before, mark rune, start int) (end, size int) {
	ends, ok := closers[mark]
	next, _ := utf8.DecodeRuneInString(text[start:])
	if !ok || start == len(text) || next == mark {
		return -1, 0
	}
	alike := strings.ContainsRune(ends, mark) || mark == '»'
	if alike && (isWordRune(before) || unicode.IsSpace(next)) {
		return -1, 0
	}
	for _, set := range []string{ends, anyDouble} {
		last := next
		for i, r := range text[start:min(len(text), start+maxQuotation)] {
			n := utf8.RuneLen(r)
			after, _ := utf8.DecodeRuneInString(text[min(len(text), start+i+max(1, n)):])
			if i > 0 && strings.ContainsRune(set, r) && !(isWordRune(after) && (alike || r == '’')) && !(alike && unicode.IsSpace(last)) {
				return start + i, n
			}
			last = r
		}
		if !strings.ContainsRune(`"＂“”„«»`, mark) {
			break
		}
	}
	return -1, 0
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// sameMarks writes all quotation marks and apostrophes alike.
var sameMarks = strings.NewReplacer("“", "'", "”", "'", "„", "'", "«", "'", "»", "'", "＂", "'", "‘", "'", "’", "'", "‚", "'", "‹", "'", "›", "'", "`", "'", `\"`, "'", `"`, "'")

// inProse is the form in which quotations in prose are compared: upper and lower case,
// white space and the kind of marks within are the writer's.
func inProse(s string) string { return strings.ToLower(fold(sameMarks.Replace(s)).text) }

var (
	elision = regexp.MustCompile(`\[?(?:…|\.{3})\]?`)
	// composed is code that a writer puts together from a name and its arguments.
	composed = regexp.MustCompile(`^[\pL\pN_.-]+ ?(?:\(|=|:)`)
	codeWord = regexp.MustCompile(`[\pL\pN_-]{4,}`)
)

// mayQuote is what a writer may quote: the text that was sent, and our own words about it.
type mayQuote struct {
	in   *Input
	sent *sent
	text string // in the form of inProse; made when first needed
}

// holds reports whether a quotation says what stands there, but for what it leaves out
// with an ellipsis. What is too short to be evidence may be quoted for other reasons.
func (m *mayQuote) holds(q string, code bool) bool {
	q = strings.Trim(inProse(q), `.,;:!?\' `)
	if letters(q) < MinQuoteRunes {
		return true
	}
	if m.text == "" {
		m.text = inProse(m.sent.text + "\x00" + string(m.sent.doc) + "\x00" + m.hints())
	}
	if isOurs(q) || isTool(m.in.Trace, q) {
		return true
	}
	if code && composed.MatchString(q) {
		return !slices.ContainsFunc(codeWord.FindAllString(q, -1), func(w string) bool { return !strings.Contains(m.text, w) })
	}
	for _, part := range elision.Split(q, -1) {
		if part = strings.TrimSpace(part); letters(part) > 0 && !strings.Contains(m.text, part) {
			return false
		}
	}
	return true
}

// hints is what an analyzer is told beside the trace.
func (m *mayQuote) hints() string {
	parts := []string{m.in.FailureType, m.in.Severity, m.in.ServiceName}
	for _, s := range m.in.Signals {
		parts = append(parts, s.Name, s.Detail, s.Quote)
	}
	return strings.Join(parts, "\x00")
}

// isOurs reports whether q is a word of the categories, which an answer may put in marks.
func isOurs(q string) bool {
	_, _, label := prompts.ConditionFor(q)
	return label || evalforge.FailureType(q).Validate() == nil
}

// misquoted returns the fields of a with quotations of what was never sent, and replaces
// these; recommended actions are left out, because they quote what should be said.
func misquoted(a *evalforge.Analysis, in *Input, s *sent) (fields []string, n int) {
	m := mayQuote{in: in, sent: s}
	eachProse(a, func(field string, text *string) {
		if strings.HasPrefix(field, "recommended_actions") || field == "trigger_condition" {
			return
		}
		list := quotations(*text)
		slices.Reverse(list)
		found := false
		for _, q := range list {
			if code := (*text)[q.from-1] == '`'; !m.holds((*text)[q.from:q.to], code) {
				*text = (*text)[:q.from] + notSaid + (*text)[q.to:]
				found = true
				n++
			}
		}
		if found {
			fields = append(fields, field)
		}
	})
	return fields, n
}
