package redact

import "strings"

// maxFieldBytes bounds what names the field of a form: a selector, a label.
const maxFieldBytes = 128

// isTyped reports whether the string at w.pos is what is typed into a field for a password,
// as the tools of a browser have it:
//
//	{"selector": "#password", "text": "secret"}
//	{"element": "Password field", "text": "secret"}
func (w *walk) isTyped(seen *members) bool {
	if seen.fieldAt == 0 || at(w.in, w.pos) != '"' {
		return false
	}
	field := w.in[seen.fieldAt+1 : min(len(w.in), seen.fieldAt+1+maxFieldBytes)]
	end := stringEnd(field, 0)
	if end == len(field) || !namesPasswordField(field[:end]) {
		return false
	}
	text := w.in[w.pos+1 : min(len(w.in), w.pos+1+maxFieldBytes)]
	text = text[:stringEnd(text, 0)]
	return len(text) >= 4 && strings.IndexByte(text, ' ') < 0 && !isTemplate(text) && !isStandIn(text) && !isLabel(text)
}

// namesPasswordField reports whether s, a selector or the label of a field as JSON writes it,
// names one for a password.
func namesPasswordField(s string) bool {
	var buf [maxFieldBytes]byte
	low := view(lower(buf[:0], s[:min(len(s), maxFieldBytes)]))
	for _, kind := range [...]string{" field", " input", " textbox", " text box", " text field", " box"} {
		low = strings.TrimSuffix(low, kind)
	}
	for len(low) > 0 && !isAlnum(low[len(low)-1]) {
		low = low[:len(low)-1]
	}
	for _, name := range [...]string{"password", "passwd", "passwort", "passcode", "contrase\u00f1a", "mot de passe", "senha", "wachtwoord"} {
		if head, ok := strings.CutSuffix(low, name); ok {
			return !strings.HasSuffix(head, "forgot ") && !strings.HasSuffix(head, "reset ") && !strings.HasSuffix(head, "show ") && !strings.HasSuffix(head, "change ")
		}
	}
	return false
}

// typingCalls are the functions whose first argument is a field and whose second is typed
// into it.
var typingCalls = words(`fill type sendkeys send_keys presssequentially press_sequentially setvalue set_value input_text
	typetext type_text fill_input`)

// isTypedInto reports whether the string that ends with the quote before the ',' at s[i] is the
// first argument of one of typingCalls, and names a field for a password:
// page.fill("#password", …).
func isTypedInto(s string, i int) bool {
	if i < 2 || !isQuote(s[i-1]) {
		return false
	}
	open := strings.LastIndexByte(s[max(0, i-1-maxFieldBytes):i-1], s[i-1])
	if open < 0 {
		return false
	}
	open += max(0, i-1-maxFieldBytes)
	end := open
	for end > 0 && open-end < 2 && (s[end-1] == '(' || s[end-1] == ' ') {
		end--
	}
	if end == open || s[end] != '(' && s[end] != ' ' {
		return false
	}
	call := s[wordSet.before(s, end, maxNameBytes):end]
	var buf [maxNameBytes]byte
	return typingCalls[view(lower(buf[:0], call))] && namesPasswordField(s[open+1:i-1])
}
