package extract

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
)

// A Passage is a text of a trace in which the quotes of a stored pattern are looked for. Storing makes quotes fit
// to be read anywhere (tidy.go), so a quote that was verified need not stand in the text byte for byte.
type Passage struct {
	text string
	flat *flat // made when first needed
}

// NewPassage returns a passage.
func NewPassage(text string) *Passage { return &Passage{text: text} }

// Find returns where in the passage, in bytes, the original of a stored quote is: verbatim, as the JSON it may have
// been quoted from, or but for what storing changes in quotes. Both are 0 if it is not there.
func (p *Passage) Find(quote string) (from, to int) {
	if quote = strings.TrimSpace(quote); quote == "" || p.text == "" {
		return 0, 0
	}
	forms := []string{quote}
	if cut, ok := strings.CutSuffix(quote, "…"); ok && utf8.RuneCountInString(quote) == evalforge.MaxItemRunes {
		forms = append(forms, cut)
	}
	for _, form := range forms {
		var decoded string
		if strings.Contains(form, `\`) && json.Unmarshal([]byte(`"`+form+`"`), &decoded) == nil {
			forms = append(forms, decoded)
		}
	}
	for _, form := range forms {
		if i := strings.Index(p.text, form); i >= 0 && form != "" {
			return i, i + len(form)
		}
	}
	if p.flat == nil {
		p.flat = flatten(p.text)
	}
	for _, form := range forms {
		if from, to = p.flat.find(flatten(form).text); to > from {
			return from, to
		}
	}
	return 0, 0
}

// A flat is a text as it is and as it is stored in a quote, both made the same: white space folded, nothing
// invisible, the angle brackets of tags whatever they look like, and Markdown's links and images in one form. So it
// knows more pairs of texts for the same than storing makes, never fewer.
type flat struct {
	text     string
	from, to []int32 // of the rune that each byte is of, in the text before
}

func (f *flat) find(quote string) (from, to int) {
	quote = strings.Trim(quote, " ")
	if i := strings.Index(f.text, quote); i >= 0 && quote != "" {
		return int(f.from[i]), int(f.to[i+len(quote)-1])
	}
	return 0, 0
}

func flatten(s string) *flat {
	f := &flat{from: make([]int32, 0, len(s)), to: make([]int32, 0, len(s))}
	b := make([]byte, 0, len(s))
	drop := func() { b, f.from, f.to = b[:len(b)-1], f.from[:len(b)-1], f.to[:len(b)-1] }
	for i := 0; i < len(s); {
		if n := excerpt.EscapeSequence(s[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		at := i
		i += size
		switch {
		case unicode.IsSpace(r):
			r = ' '
			if len(b) > 0 && b[len(b)-1] == ' ' {
				continue
			}
		case excerpt.Invisible(r), excerpt.Joiner(r):
			continue
		case r == '‹':
			r = '<'
		case r == '›':
			r = '>'
		case r == '(', r == '[':
			for r == '[' && bytes.HasSuffix(b, []byte("!")) {
				drop()
			}
			if bytes.HasSuffix(b, []byte("] ")) {
				drop()
			}
		}
		n := len(b)
		b = utf8.AppendRune(b, r)
		for range len(b) - n {
			f.from, f.to = append(f.from, int32(at)), append(f.to, int32(i))
		}
	}
	f.text = string(b)
	return f
}
