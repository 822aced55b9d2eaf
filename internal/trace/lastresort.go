package trace

import (
	"strconv"
	"strings"
)

// lastResort renders what matters most of a trace that nothing else made small enough.
// Every part has a share of the budget that it cannot exceed.
func (p *plan) lastResort(budget int) Compacted {
	t := p.t
	const overhead, tiny = 420, 32 // structure and numbers; bytes of each of five names
	room := budget - overhead - 5*tiny
	failing, start, last := -1, 0, len(t.Steps)-1
	for start < last && p.said(start) == "" {
		start++
	}
	for last > start && p.said(last) == "" {
		last--
	}
	for i := range t.Steps {
		if t.Steps[i].Err != nil || failing < 0 && (p.failed(i) || p.told[i]) {
			failing = i
			if t.Steps[i].Err != nil {
				break
			}
		}
	}
	shown := 0
	b := append([]byte(nil), `{"format":`...)
	b = appendWithin(b, t.Format, tiny)
	b = append(b, `,"steps":[`...)
	show := func(i int, text string, share int) {
		if shown > 0 {
			b = append(b, ',')
		}
		shown++
		s := &t.Steps[i]
		b = append(b, `{"i":`...)
		b = strconv.AppendInt(b, int64(s.Index), 10)
		b = append(b, `,"kind":`...)
		b = appendWithin(b, string(s.Kind), tiny/2)
		b = append(b, `,"name":`...)
		b = appendWithin(b, s.Name, tiny/2)
		if i == failing {
			b = append(b, `,"status":"error","error":`...)
		} else {
			b = append(b, `,"text":`...)
		}
		b = appendWithin(b, text, share)
		b = append(b, '}')
	}
	if start < last && failing != start && (failing < 0 || start < failing) {
		show(start, p.said(start), room/5)
	}
	if failing >= 0 {
		text := p.said(failing)
		if e := t.Steps[failing].Err; e != nil {
			text = strings.TrimSpace(e.Type + " " + e.Message)
		}
		show(failing, text, room/2)
	}
	if last >= 0 && last > failing {
		show(last, p.said(last), room/4)
	}
	b = append(b, `,{"omitted_steps":`...)
	if shown == 0 {
		b = append(b[:len(b)-len(`,{"omitted_steps":`)], `{"omitted_steps":`...)
	}
	b = strconv.AppendInt(b, int64(len(t.Steps)-shown), 10)
	b = append(b, `}]}`...)
	return Compacted{JSON: b, BytesCut: p.contentBytes(), StepsOmitted: len(t.Steps) - shown}
}

// said returns the text of a step: its output, else its input.
func (p *plan) said(i int) string {
	s := &p.t.Steps[i]
	if s.Output != "" {
		return s.Output
	}
	if s.Tool != nil && s.Tool.Result != "" {
		return s.Tool.Result
	}
	for _, ms := range [...][]int{s.Out, s.In} {
		for n := len(ms) - 1; n >= 0; n-- {
			if m := ms[n]; m >= 0 && m < len(p.t.Messages) && p.t.Messages[m].Text != "" {
				return p.t.Messages[m].Text
			}
		}
	}
	return s.Input
}

// contentBytes counts the bytes of all texts of the trace.
func (p *plan) contentBytes() int {
	n := 0
	for i := range p.t.Messages {
		n += len(p.t.Messages[i].Text)
	}
	for i := range p.t.Steps {
		s := &p.t.Steps[i]
		n += len(s.Input) + len(s.Output)
		if s.Tool != nil {
			n += len(s.Tool.Args) + len(s.Tool.Result)
		}
	}
	return n
}
