package trace

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
)

// maxWarnings bounds [Trace.Warnings]; the last one then says that there were more.
const maxWarnings = 20

// A builder collects a trace: it keeps messages and tools once each.
type builder struct {
	t        *Trace
	seed     maphash.Seed
	messages map[uint64]int // position in t.Messages of the last message with a hash
	same     []int          // by message: the one before it with the same hash, or -1
	tools    map[Tool]int   // position in t.Tools
	texts    texts          // of the positions
	memo     *memo
}

// newBuilder returns a builder of a new trace, in the memory of w.
func newBuilder(w *workspace) *builder {
	w.builder.reset()
	w.memo.reset()
	b := &w.builder
	b.t, b.memo = &Trace{Steps: w.steps[:0], Messages: w.messages[:0]}, &w.memo
	b.memo.w = w
	if b.messages == nil {
		b.messages = make(map[uint64]int)
	}
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
	b.messages, b.tools = emptied(b.messages), emptied(b.tools)
	b.same, b.texts = b.same[:0], texts{}
}

// expect makes room for n messages, unless there are some already.
func (b *builder) expect(n int) {
	if len(b.t.Messages) > 0 {
		return
	}
	const beside = 2 // a system prompt, a question
	b.t.Messages = make([]Message, 0, n+beside)
}

// message returns the position of m in the pool.
func (b *builder) message(m Message) int {
	h := b.hash(&m)
	last, ok := b.messages[h]
	if !ok {
		last = -1
	}
	for i := last; i >= 0; i = b.same[i] {
		if equalMessages(&b.t.Messages[i], &m) {
			return i
		}
	}
	i := len(b.t.Messages)
	b.t.Messages, b.same = append(b.t.Messages, m), append(b.same, last)
	b.messages[h] = i
	return i
}

// hash returns a number that is the same for equal messages.
func (b *builder) hash(m *Message) uint64 {
	h := maphash.String(b.seed, m.Text)
	mix := func(s string) {
		const prime = 1_099_511_628_211 // FNV's: any odd number of that size does
		if s != "" {
			h = h*prime ^ maphash.String(b.seed, s)
		}
	}
	mix(m.Role)
	mix(m.Name)
	mix(m.ToolID)
	mix(m.Refusal)
	for i := range m.Calls {
		mix(m.Calls[i].ID)
		mix(m.Calls[i].Name)
		mix(m.Calls[i].Args)
	}
	return h
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
	const most = 32
	var few [2 * most]byte
	return b.texts.keep(strconv.AppendInt(append(append(few[:0], base...), '/'), int64(i), 10), most*(cap(b.t.Steps)-len(b.t.Steps)))
}

// pointer appends tokens, keys or positions, to a JSON pointer (RFC 6901).
func pointer(base string, tokens ...any) string {
	var sb strings.Builder
	sb.WriteString(base)
	for _, t := range tokens {
		sb.WriteByte('/')
		switch t := t.(type) {
		case string:
			if strings.ContainsAny(t, "~/") {
				t = strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1")
			}
			sb.WriteString(t)
		case int:
			sb.WriteString(strconv.Itoa(t))
		}
	}
	return sb.String()
}
