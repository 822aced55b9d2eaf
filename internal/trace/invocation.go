package trace

import (
	"slices"
	"strings"
)

// Invocations returns every use of a tool once, in the order in which they were asked
// for or, where no request was recorded, carried out.
//
// A call and its result are joined by call id where there is one, else by name and
// arguments, whether they are spans, messages, or both.
func (t *Trace) Invocations() []Invocation {
	j := joiner{t: t, byID: make(map[string]*queue), byName: make(map[string]*queue), heard: make(map[int]int)}
	var path [16]int
	j.path = path[:0]
	for i := range t.Steps {
		j.step(i)
	}
	return j.out
}

// A joiner collects invocations.
type joiner struct {
	t   *Trace
	out []Invocation
	// executed tells which of out have their own step.
	executed []bool
	// byID and byName have the positions in out of the invocations, by call id and by
	// name; done is how many at the front of each list have both step and result.
	byID, byName map[string]*queue
	// heard counts how often each message was taken in: a history is given again with
	// every call, and a message that recurs in it is a new one each time.
	heard map[int]int
	// path has the positions of the step at hand and, before it, of the spans around it.
	path []int
}

// A queue is a list of invocations of which the first done are complete.
type queue struct {
	list []int
	done int
}

// maxOpen bounds how many incomplete invocations of one name are searched.
const maxOpen = 1000

// open returns the invocations of q that may still lack something.
func (j *joiner) open(q *queue) []int {
	if q == nil {
		return nil
	}
	for q.done < len(q.list) && j.executed[q.list[q.done]] && j.out[q.list[q.done]].HasResult {
		q.done++
	}
	return q.list[q.done:min(len(q.list), q.done+maxOpen)]
}

func (j *joiner) step(i int) {
	s := &j.t.Steps[i]
	for n := len(j.path); n > 0 && j.t.Steps[j.path[n-1]].ID != s.Parent; n-- {
		j.path = j.path[:n-1]
	}
	if s.ID != "" {
		j.path = append(j.path, i)
	}
	given := make(map[int]int)
	for _, m := range s.In {
		if msg := j.t.message(m); msg == nil || msg.Calls == nil && msg.Role != "tool" {
			continue
		}
		if given[m]++; given[m] > j.heard[m] {
			j.message(i, m, false)
		}
	}
	if s.Kind == KindTool && s.Tool != nil {
		j.execution(i, s)
	}
	for _, m := range s.Out {
		if j.t.message(m) != nil {
			j.message(i, m, s.Kind != KindTool)
		}
	}
	if s.Kind != KindTool && s.Tool != nil && (s.Tool.Args != "" || s.Tool.HasResult) {
		j.planned(i, s)
	}
}

// message reads the calls and results in message m, which step i was given or, when
// fresh is set, produced.
func (j *joiner) message(i, m int, fresh bool) {
	j.heard[m]++
	msg := &j.t.Messages[m]
	for _, c := range msg.Calls {
		if !fresh && c.ID != "" && j.byID[c.ID] != nil {
			continue // the same call in an emitter's other spelling
		}
		if fresh && j.echoed(c, i) {
			continue
		}
		caller := -1
		if fresh {
			caller = i
		}
		j.add(Invocation{Step: i, Caller: caller, ToolIO: ToolIO{CallID: c.ID, Name: c.Name, Args: c.Args, ArgsErr: c.ArgsErr}}, false)
	}
	if msg.Role == "tool" {
		j.result(msg)
	}
}

// echoed reports whether a span around step i already reported c, which step i made, and
// leaves it to step i: spans around a model's call repeat what it said, and those of a whole
// graph all that was said in them.
func (j *joiner) echoed(c Call, i int) bool {
	q := j.byName[c.Name]
	if c.ID != "" {
		q = j.byID[c.ID]
	}
	if q == nil || j.t.Steps[i].Parent == "" {
		return false
	}
	around := j.path
	if n := len(around); n > 0 && around[n-1] == i {
		around = around[:n-1]
	}
	for _, n := range q.list[max(0, len(q.list)-maxOpen):] {
		inv := &j.out[n]
		by := inv.Caller
		if by < 0 && !j.executed[n] { // in what a span was given
			by = inv.Step
		}
		if inv.CallID != c.ID || inv.Name != c.Name || inv.Args != c.Args || by < 0 || !slices.Contains(around, by) {
			continue
		}
		inv.Caller = i
		if !j.executed[n] {
			inv.Step = i
		}
		return true
	}
	return false
}

func (j *joiner) add(inv Invocation, executed bool) {
	n := len(j.out)
	j.out = append(j.out, inv)
	j.executed = append(j.executed, executed)
	push := func(m map[string]*queue, key string) {
		if m[key] == nil {
			m[key] = &queue{}
		}
		m[key].list = append(m[key].list, n)
	}
	if inv.CallID != "" {
		push(j.byID, inv.CallID)
	}
	push(j.byName, inv.Name)
}

// result gives a tool message's result to the invocation that it answers: the one of its
// id, else the oldest of its name without a result.
func (j *joiner) result(msg *Message) {
	if msg.ToolID == "" && msg.Name == "" {
		j.namelessResult(msg)
		return
	}
	q := j.byName[msg.Name]
	if msg.ToolID != "" {
		q = j.byID[msg.ToolID]
	}
	if q == nil {
		return
	}
	for _, n := range j.open(q) {
		inv := &j.out[n]
		if inv.HasResult || msg.ToolID == "" && inv.CallID != "" {
			continue
		}
		inv.Result, inv.HasResult, inv.IsErr = msg.Text, true, msg.IsErr
		return
	}
	for _, n := range slices.Backward(q.list[max(0, len(q.list)-8):]) {
		if inv := &j.out[n]; inv.Result == msg.Text {
			inv.IsErr = inv.IsErr || msg.IsErr
			return
		}
	}
}

// namelessResult gives a result that names neither call nor tool to the oldest recent
// execution that failed without one: emitters whose messages lose the ids record the
// text of a failure only there.
func (j *joiner) namelessResult(msg *Message) {
	const recent = 16
	from := max(0, len(j.out)-recent)
	for n := from; n < len(j.out); n++ {
		if inv := &j.out[n]; inv.HasResult && inv.Result == msg.Text {
			return // it is the result of a recorded execution
		}
	}
	for n := from; n < len(j.out); n++ {
		inv := &j.out[n]
		if !inv.HasResult && (j.executed[n] && inv.Status == Error || !j.executed[n] && inv.CallID == "") {
			inv.Result, inv.HasResult, inv.IsErr = msg.Text, true, msg.IsErr
			return
		}
	}
}

// execution joins the tool step i to the call that asked for it.
func (j *joiner) execution(i int, s *Step) {
	n := j.match(s.Tool)
	if n < 0 {
		j.add(Invocation{Step: i, Caller: j.caller(i), ToolIO: *s.Tool, Status: s.Status, Err: s.Err}, true)
		return
	}
	inv := &j.out[n]
	j.executed[n] = true
	inv.Step, inv.Status, inv.Err = i, s.Status, s.Err
	fill(&inv.CallID, s.Tool.CallID)
	fill(&inv.Name, s.Tool.Name)
	if inv.Args == "" || IsCut(inv.Args) && s.Tool.Args != "" && !IsCut(s.Tool.Args) {
		inv.Args, inv.ArgsErr = s.Tool.Args, s.Tool.ArgsErr
	}
	if s.Tool.HasResult {
		inv.Result, inv.HasResult = s.Tool.Result, true
	}
	inv.IsErr = inv.IsErr || s.Tool.IsErr
}

// match returns the invocation that asked for io and has no execution yet, or -1: by id,
// else by name and arguments, else by name, for a call whose arguments are unknown or
// written otherwise than the model did.
func (j *joiner) match(io *ToolIO) int {
	if io.CallID != "" {
		for _, n := range j.open(j.byID[io.CallID]) {
			if !j.executed[n] {
				return n
			}
		}
	}
	byName := -1
	var open []int
	for _, n := range j.open(j.byName[io.Name]) {
		if j.executed[n] || io.CallID != "" && j.out[n].CallID != "" {
			continue
		}
		if j.out[n].Args == io.Args {
			return n
		}
		open = append(open, n)
		if byName < 0 && (io.Args == "" || j.out[n].Args == "") {
			byName = n
		}
	}
	if byName < 0 && io.CallID == "" && io.Args != "" && !strings.HasPrefix(io.Args, `{"`) && io.Args != "{}" {
		return j.foreign(io.Args, open)
	}
	return byName
}

// foreign returns which of the open calls of one tool has arguments that an execution wrote
// as args, otherwise than the model did: as Python prints them, or the only one by itself.
// Where that tells nothing, calls that one turn made are carried out in their order.
func (j *joiner) foreign(args string, open []int) int {
	const most = 64
	if len(open) == 0 {
		return -1
	}
	open = open[max(0, len(open)-most):]
	want := ""
	if v, ok := pythonValue(args); ok {
		want = canonical(v)
	}
	inOrder := open[len(open)-1]
	for i, n := range slices.Backward(open) {
		if i < len(open)-1 && j.out[n].Caller != j.out[inOrder].Caller {
			break
		}
		inOrder = n
	}
	for _, n := range open {
		if a := j.out[n].Args; a == want || soleValue(a) == args {
			return n
		}
	}
	return inOrder
}

// soleValue returns the text of the only argument in args, or "".
func soleValue(args string) string {
	m := object(args)
	if len(m) != 1 {
		return ""
	}
	for _, v := range m {
		return text(v)
	}
	return "" // unreachable
}

// planned adds the call that a step of another kind records, unless its own messages
// did so already.
func (j *joiner) planned(i int, s *Step) {
	for _, n := range j.open(j.byName[s.Tool.Name]) {
		if j.out[n].Step == i && (j.out[n].Args == s.Tool.Args || s.Tool.Args == "") {
			return
		}
	}
	inv := Invocation{Step: i, Caller: i, ToolIO: *s.Tool}
	if s.Tool.HasResult {
		inv.Status, inv.Err = s.Status, s.Err
	}
	j.add(inv, s.Tool.HasResult)
}

// caller returns the step that most likely caused tool step i, for which no call was
// recorded: its parent or the model's or agent's turn before it. For executed code it is
// the nearest turn that wrote code.
func (j *joiner) caller(i int) int {
	s := &j.t.Steps[i]
	nearest := -1
	for n := i - 1; n >= 0 && n >= i-64; n-- {
		p := &j.t.Steps[n]
		if s.Parent != "" && p.ID == s.Parent {
			if nearest < 0 && (p.Kind == KindLLM || p.Kind == KindAgent) {
				nearest = n
			}
			break
		}
		if p.Kind != KindLLM && p.Kind != KindAgent || s.Parent != p.Parent {
			continue
		}
		if s.ID != "" || s.Tool.CallID != "" || s.Tool.Args == "" {
			return n
		}
		if nearest < 0 {
			nearest = n
		}
		for _, o := range p.Out {
			if m := j.t.message(o); m != nil && strings.Contains(m.Text, "```") {
				return n
			}
		}
	}
	return nearest
}

// message returns the message at position i of the pool, or nil.
func (t *Trace) message(i int) *Message {
	if i < 0 || i >= len(t.Messages) {
		return nil
	}
	return &t.Messages[i]
}
