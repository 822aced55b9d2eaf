package deploy_test

import (
	"fmt"
	"strings"
	"unicode"
)

// A block is a block of Terraform's language, or a whole file: as much of the language as
// the module uses. Expressions are kept as text. (The libraries that read all of it are
// under a licence that this project does not take.)
type block struct {
	kind   string   // resource, variable, …
	labels []string // its type and name
	attrs  map[string]string
	blocks []*block
	line   int
}

// find returns the blocks below b, at any depth, of a kind and with the given first labels.
func (b *block) find(kind string, labels ...string) []*block {
	var found []*block
	for _, sub := range b.blocks {
		if sub.kind == kind && len(sub.labels) >= len(labels) && strings.Join(sub.labels[:len(labels)], "/") == strings.Join(labels, "/") {
			found = append(found, sub)
		}
		found = append(found, sub.find(kind, labels...)...)
	}
	return found
}

// parse reads a file.
func parse(name, text string) (*block, error) {
	p := &parser{text: text, line: 1}
	root := &block{attrs: map[string]string{}}
	if err := p.body(root, false); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
	}
	return root, nil
}

type parser struct {
	text string
	pos  int
	line int
}

func (p *parser) rest() string { return p.text[p.pos:] }

func (p *parser) next() byte {
	c := p.text[p.pos]
	p.pos++
	if c == '\n' {
		p.line++
	}
	return c
}

// space skips white space and comments.
func (p *parser) space() {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case unicode.IsSpace(rune(c)):
			p.next()
		case c == '#' || strings.HasPrefix(p.rest(), "//"):
			for p.pos < len(p.text) && p.text[p.pos] != '\n' {
				p.next()
			}
		default:
			return
		}
	}
}

func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) && (p.text[p.pos] == '_' || p.text[p.pos] == '-' || unicode.IsLetter(rune(p.text[p.pos])) || unicode.IsDigit(rune(p.text[p.pos]))) {
		p.pos++
	}
	return p.text[start:p.pos]
}

// body reads attributes and blocks up to the brace that closes b, or the end of the file.
func (p *parser) body(b *block, nested bool) error {
	for {
		p.space()
		if p.pos == len(p.text) {
			if nested {
				return fmt.Errorf("block %s of line %d is not closed", b.kind, b.line)
			}
			return nil
		}
		if nested && p.text[p.pos] == '}' {
			p.next()
			return nil
		}
		if err := p.item(b); err != nil {
			return err
		}
	}
}

func (p *parser) item(b *block) error {
	name := p.word()
	if name == "" {
		return fmt.Errorf("neither an attribute nor a block: %.20q", p.rest())
	}
	sub := &block{kind: name, attrs: map[string]string{}, line: p.line}
	for {
		p.space()
		switch {
		case p.pos == len(p.text):
			return fmt.Errorf("%s is cut off", name)
		case p.text[p.pos] == '=' && len(sub.labels) == 0:
			p.next()
			expr, err := p.expression()
			b.attrs[name] = expr
			return err
		case p.text[p.pos] == '"':
			label, err := p.quoted()
			if err != nil {
				return err
			}
			sub.labels = append(sub.labels, strings.Trim(label, `"`))
		case p.text[p.pos] == '{':
			p.next()
			b.blocks = append(b.blocks, sub)
			return p.body(sub, true)
		default:
			return fmt.Errorf("%s is followed by %.20q", name, p.rest())
		}
	}
}

// expression reads up to the end of the line outside of brackets and strings.
func (p *parser) expression() (string, error) {
	var b strings.Builder
	for depth := 0; p.pos < len(p.text); {
		switch c := p.text[p.pos]; {
		case c == '"':
			s, err := p.quoted()
			if err != nil {
				return "", err
			}
			b.WriteString(s)
			continue
		case c == '#':
			p.space()
			b.WriteByte('\n')
			if depth == 0 {
				return strings.TrimSpace(b.String()), nil
			}
			continue
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case c == '\n' && depth == 0:
			return strings.TrimSpace(b.String()), nil
		}
		b.WriteByte(p.next())
	}
	return strings.TrimSpace(b.String()), nil
}

// quoted reads a string with its quotes; what stands inside of ${} may have quotes again.
func (p *parser) quoted() (string, error) {
	start := p.pos
	p.next()
	for depth := 0; p.pos < len(p.text); {
		switch {
		case strings.HasPrefix(p.rest(), "${"):
			depth++
			p.pos += 2
			continue
		case depth > 0 && p.text[p.pos] == '}':
			depth--
		case depth > 0 && p.text[p.pos] == '"':
			if _, err := p.quoted(); err != nil {
				return "", err
			}
			continue
		case p.text[p.pos] == '\\':
			p.next()
		case p.text[p.pos] == '"':
			p.next()
			return p.text[start:p.pos], nil
		}
		p.next()
	}
	return "", fmt.Errorf("a string is not closed")
}
