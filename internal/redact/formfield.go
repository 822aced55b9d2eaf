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
	field, open := quotedBefore(s, i)
	return at(s, open-1) == '(' && isTypingCall(s, open-1) && namesPasswordField(field)
}

// isTypingMethod reports whether the brackets at s[i] are those of one of typingCalls that is
// a method of a field for a password: page.locator("#password").fill(…).
func isTypingMethod(s string, i int) bool {
	start := wordSet.before(s, i, maxNameBytes)
	if at(s, start-1) != '.' || at(s, start-2) != ')' || !isTypingCall(s, i) {
		return false
	}
	field, _ := quotedBefore(s, start-2)
	return namesPasswordField(field)
}

// isTypingCall reports whether the name of one of typingCalls ends at s[i].
func isTypingCall(s string, i int) bool {
	switch at(s, i-1) | 0x20 {
	case 'l', 'e', 's', 'y', 't': // how they end
	default:
		return false
	}
	var buf [maxNameBytes]byte
	return typingCalls[view(lower(buf[:0], s[wordSet.before(s, i, maxNameBytes):i]))]
}

// quotedBefore returns the string whose closing quote is before s[i], and where it opens: "" and
// i when there is none, or a long one.
func quotedBefore(s string, i int) (text string, open int) {
	if i < 2 || i > len(s) || !isQuote(s[i-1]) {
		return "", max(i, 0)
	}
	from := max(0, i-1-maxFieldBytes)
	k := strings.LastIndexByte(s[from:i-1], s[i-1])
	if k < 0 {
		return "", i
	}
	return s[from+k+1 : i-1], from + k
}
