package trace

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// maxWarnings bounds [Trace.Warnings]; the last one then says that there were more.
const maxWarnings = 20

// A builder collects a trace: it keeps messages and tools once each.
type builder struct {
	t     *Trace
	seed  maphash.Seed
	table []int32      // of the messages, by hash: 1 + the position in t.Messages, or 0
	tools map[Tool]int // position in t.Tools
	texts texts        // of the positions
	memo  *memo
}

// newBuilder returns a builder of a new trace, in the memory of w.
func newBuilder(w *workspace) *builder {
	w.builder.reset()
	w.memo.reset()
	b := &w.builder
	b.t, b.memo = &Trace{Steps: w.steps[:0], Messages: w.messages[:0]}, &w.memo
	b.memo.w = w
	if b.tools == nil {
		b.tools = make(map[Tool]int)
	}
	if b.seed == (maphash.Seed{}) {
		b.seed = maphash.MakeSeed()
	}
	return b
}

// reset makes b forget its trace.
func (b *builder) reset() {
	b.t, b.memo = nil, nil
	b.table, b.tools = cleared(b.table, keptValues), emptied(b.tools)
	b.texts = texts{}
}

// expect makes room for n messages, unless there are some already.
func (b *builder) expect(n int) {
	if len(b.t.Messages) > 0 {
		return
	}
	const beside = 2 // a system prompt, a question
	b.t.Messages = make([]Message, 0, n+beside)
	b.tabulate(n)
}

// tabulate makes a table for n messages and puts in those that are there. An open one of
// numbers takes a third of the memory and time of a map, with which a chat spent a tenth
// of both.
func (b *builder) tabulate(n int) {
	const least = 64
	size := max(least, 1<<bits.Len(uint(n+n/2)))
	b.table = sized(b.table, size)
	for i := range b.t.Messages {
		b.table[b.slot(&b.t.Messages[i])] = int32(i + 1)
	}
}

// slot returns where in the table m is, or is to be put.
func (b *builder) slot(m *Message) int {
	last := len(b.table) - 1 // a mask: the length is a power of two
	for i := int(b.hash(m)) & last; ; i = (i + 1) & last {
		if at := b.table[i]; at == 0 || equalMessages(&b.t.Messages[at-1], m) {
			return i
		}
	}
}

// message returns the position of m in the pool.
func (b *builder) message(m Message) int {
	if n := len(b.t.Messages); (n+1)*4 > len(b.table)*3 {
		b.tabulate(2 * n)
	}
	i := b.slot(&m)
	if b.table[i] == 0 {
		b.t.Messages = append(b.t.Messages, m)
		b.table[i] = int32(len(b.t.Messages))
	}
	return int(b.table[i]) - 1
}

// hash returns a number that is the same for equal messages.
func (b *builder) hash(m *Message) uint64 {
	d := digest{seed: b.seed}
	d.add(m.Text)
	d.add(m.Role)
	d.add(m.Name)
	d.add(m.ToolID)
	d.add(m.Refusal)
	for i := range m.Calls {
		d.add(m.Calls[i].ID)
		d.add(m.Calls[i].Name)
		d.add(m.Calls[i].Args)
	}
	return d.sum
}

// A digest is one number made of texts, in their order. Each text is hashed at once: most
// are short or empty, and a maphash.Hash takes five times as long for those.
type digest struct {
	seed maphash.Seed
	sum  uint64
}

func (d *digest) add(s string) {
	const prime = 1_099_511_628_211 // FNV's: any odd number of that size does
	d.sum = d.sum*prime ^ maphash.String(d.seed, s)
}

func equalMessages(a, b *Message) bool {
	return a.Role == b.Role && a.Name == b.Name && a.ToolID == b.ToolID && a.Refusal == b.Refusal &&
		a.IsErr == b.IsErr && a.Text == b.Text && slices.Equal(a.Calls, b.Calls)
}

// pool returns the positions of ms; messages without any content are left out.
func (b *builder) pool(ms []Message) []int {
	var out []int
	for _, m := range ms {
		if m.Text == "" && m.Calls == nil && m.Refusal == "" && m.Role != "tool" {
			continue
		}
		if out == nil {
			out = make([]int, 0, len(ms))
			if len(ms) > keptEntries {
				b.expect(len(ms))
			}
		}
		out = append(out, b.message(m))
	}
	return out
}

// declare returns the positions of the tools.
func (b *builder) declare(tools []Tool) []int {
	var out []int
	for _, t := range tools {
		i, ok := b.tools[t]
		if !ok {
			i = len(b.t.Tools)
			b.t.Tools = append(b.t.Tools, t)
			b.tools[t] = i
		}
		out = append(out, i)
	}
	return out
}

func (b *builder) label(l Label) {
	if l.Name != "" || l.Value != "" || l.Explanation != "" {
		b.t.Labels = append(b.t.Labels, l)
	}
}

func (b *builder) warn(format string, args ...any) {
	switch n := len(b.t.Warnings); {
	case n < maxWarnings-1:
		b.t.Warnings = append(b.t.Warnings, fmt.Sprintf(format, args...))
	case n == maxWarnings-1:
		b.t.Warnings = append(b.t.Warnings, "further warnings were left out")
	}
}

// unknownTokens is the count of a step that states none.
var unknownTokens = Tokens{In: -1, Out: -1, Cached: -1}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// position is pointer(base, i), in memory that it shares with others.
func (b *builder) position(base string, i int) string {
	var few [64]byte
	text := strconv.AppendInt(append(append(few[:0], base...), '/'), int64(i), 10)
	return b.texts.keep(text, len(text)*(cap(b.t.Steps)-len(b.t.Steps)))
}

// pointer appends tokens, keys or positions, to a JSON pointer (RFC 6901).
func pointer(base string, tokens ...any) string {
	var few [128]byte
	b := append(few[:0], base...)
	for _, t := range tokens {
		b = append(b, '/')
		switch t := t.(type) {
		case string:
			if strings.IndexByte(t, '~') >= 0 || strings.IndexByte(t, '/') >= 0 {
				t = strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1")
			}
			b = append(b, t...)
		case int:
			b = strconv.AppendInt(b, int64(t), 10)
		}
	}
	return string(b)
}
