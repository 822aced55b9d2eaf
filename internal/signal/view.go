package signal

import (
	"strings"

	"github.com/evalforge/evalforge/internal/trace"
)

// A passage is one text of the trace and the step that produced it.
type passage struct {
	step int // position in trace.Trace.Steps
	text string
}

// A view is what detectors share of one trace: its texts by the part they play. It is
// built once and not changed.
type view struct {
	t     *trace.Trace
	hint  string
	calls []trace.Invocation
	// outputs are what models and agents said, in order. Spans that only wrap others
	// repeat their texts and are left out when a wrapped span has text.
	outputs []passage
	// inputs are the messages of users and systems; system is true at the same index for
	// the latter.
	inputs []passage
	system []bool
	// results are what tools, retrievers and code execution returned.
	results []passage
	// lower are the inputs, results and span inputs in lower case, for searching.
	lower []passage
	// parent is the position of each step's parent, or -1.
	parent []int
	// wraps tells steps that other steps name as their parent.
	wraps []bool
	// verifier tells steps that judge others' work.
	verifier []bool
	final    int // the answer, as an index into outputs, or -1
}

func newView(t *trace.Trace, hint string) *view {
	v := &view{t: t, hint: hint, calls: t.Invocations(), final: -1}
	v.tree()
	v.read()
	for _, list := range [][]passage{v.inputs, v.results} {
		for _, p := range list {
			v.lower = append(v.lower, passage{p.step, strings.ToLower(p.text)})
		}
	}
	for i := range t.Steps {
		if s := t.Steps[i].Input; s != "" {
			v.lower = append(v.lower, passage{i, strings.ToLower(s)})
		}
	}
	v.final = v.findAnswer()
	return v
}

func (v *view) tree() {
	n := len(v.t.Steps)
	v.parent, v.wraps, v.verifier = make([]int, n), make([]bool, n), make([]bool, n)
	byID := make(map[string]int, n)
	for i, s := range v.t.Steps {
		v.parent[i] = -1
		if s.ID != "" {
			if _, ok := byID[s.ID]; !ok {
				byID[s.ID] = i
			}
		}
		v.verifier[i] = judgeName.MatchString(s.Agent) || judgeName.MatchString(s.Name)
	}
	for i, s := range v.t.Steps {
		if p, ok := byID[s.Parent]; ok && s.Parent != "" && p != i {
			v.parent[i] = p
			v.wraps[p] = true
		}
	}
}

// ancestor reports whether step a is above step b in the tree.
func (v *view) ancestor(a, b int) bool {
	for range v.t.Steps { // a malformed tree may have a cycle
		if b = v.parent[b]; b < 0 {
			return false
		}
		if b == a {
			return true
		}
	}
	return false
}

// read sorts every text of the trace into outputs, inputs and results.
func (v *view) read() {
	seenIn := make([]bool, len(v.t.Messages))
	spoken := make([]bool, len(v.t.Steps)) // has an output in its subtree
	type own struct {
		step  int
		texts []string
	}
	var wrapping []own
	for i := range v.t.Steps {
		s := &v.t.Steps[i]
		for _, id := range s.In {
			v.input(i, id, seenIn)
		}
		switch s.Kind {
		case trace.KindInput:
			for _, id := range s.Out {
				v.input(i, id, seenIn)
			}
			if len(s.In)+len(s.Out) == 0 {
				v.addInput(i, s.Input, false)
			}
		case trace.KindTool, trace.KindRetrieval:
			v.result(i)
		default:
			texts := v.stepOutputs(i)
			if v.wraps[i] {
				wrapping = append(wrapping, own{i, texts})
				continue
			}
			for _, text := range texts {
				if isExecution(text) {
					v.results = append(v.results, passage{i, text})
					continue
				}
				v.outputs = append(v.outputs, passage{i, text})
				for p := v.parent[i]; p >= 0 && !spoken[p]; p = v.parent[p] {
					spoken[p] = true
				}
			}
			if s.Kind == trace.KindChain || s.Kind == trace.KindAgent {
				if len(s.In) == 0 {
					v.addInput(i, s.Input, false)
				}
			}
		}
	}
	for _, w := range wrapping {
		if len(v.t.Steps[w.step].In) == 0 && v.parent[w.step] < 0 {
			v.addInput(w.step, v.t.Steps[w.step].Input, false)
		}
		if spoken[w.step] {
			continue
		}
		for _, text := range w.texts {
			v.outputs = append(v.outputs, passage{w.step, text})
		}
	}
	// Results that exist only as messages or calls, not as steps.
	have := make(map[string]bool, len(v.results))
	for _, r := range v.results {
		have[r.text] = true
	}
	for _, c := range v.calls {
		if c.HasResult && strings.TrimSpace(c.Result) != "" && !have[c.Result] {
			have[c.Result] = true
			v.results = append(v.results, passage{c.Step, c.Result})
		}
	}
}

// stepOutputs returns the texts that a model's or agent's step produced.
func (v *view) stepOutputs(i int) []string {
	s := &v.t.Steps[i]
	var texts []string
	for _, id := range s.Out {
		if m := v.message(id); m != nil && m.Role != "tool" && strings.TrimSpace(m.Text) != "" {
			texts = append(texts, m.Text)
		}
	}
	if len(texts) == 0 && strings.TrimSpace(s.Output) != "" {
		texts = append(texts, s.Output)
	}
	return texts
}

func (v *view) message(id int) *trace.Message {
	if id < 0 || id >= len(v.t.Messages) {
		return nil
	}
	return &v.t.Messages[id]
}

func (v *view) input(step, id int, seen []bool) {
	m := v.message(id)
	if m == nil || seen[id] {
		return
	}
	seen[id] = true
	switch m.Role {
	case "system", "developer":
		v.addInput(step, m.Text, true)
	case "assistant", "tool", "model", "ai", "function":
		// An earlier turn repeated as history; it was or will be read where it was said.
	default:
		v.addInput(step, m.Text, false)
	}
}

func (v *view) addInput(step int, text string, system bool) {
	if strings.TrimSpace(text) != "" {
		v.inputs = append(v.inputs, passage{step, text})
		v.system = append(v.system, system)
	}
}

func (v *view) result(i int) {
	s := &v.t.Steps[i]
	switch {
	case s.Tool != nil && strings.TrimSpace(s.Tool.Result) != "":
		v.results = append(v.results, passage{i, s.Tool.Result})
	case strings.TrimSpace(s.Output) != "":
		v.results = append(v.results, passage{i, s.Output})
	default:
		for _, id := range s.Out {
			if m := v.message(id); m != nil && strings.TrimSpace(m.Text) != "" {
				v.results = append(v.results, passage{i, m.Text})
			}
		}
	}
}

// findAnswer returns the last output that is neither a bare termination word nor a
// verifier's, or the last output at all, or -1.
func (v *view) findAnswer() int {
	last := -1
	for i := len(v.outputs) - 1; i >= 0; i-- {
		if isTermination(v.outputs[i].text) {
			continue
		}
		if last < 0 {
			last = i
		}
		if !v.verifier[v.outputs[i].step] {
			return i
		}
	}
	return last
}

// answer returns the final answer, or a passage at step -1.
func (v *view) answer() passage {
	if v.final < 0 {
		return passage{step: -1}
	}
	return v.outputs[v.final]
}

// question returns the texts of users, joined.
func (v *view) question() string {
	var b strings.Builder
	for i, p := range v.inputs {
		if !v.system[i] {
			b.WriteString(p.text)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// label names a step for people: its position as the source counts and its name.
func (v *view) label(i int) string { return Label(v.t, i) }
