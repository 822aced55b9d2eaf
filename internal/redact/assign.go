package redact

import "strings"

const (
	maxValueBytes = 4096
	maxNameBytes  = 64
)

// isValueEnd reports whether c ends an unquoted value.
func isValueEnd(c byte) bool {
	switch c {
	case '"', '\'', '`', ',', ';', '&', '<', '>', ')', '}', ']', '\\', '|':
		return true
	}
	return false
}

var nameSet = newCharset("_-.", isAlnum)

// assignment looks at a value behind the operator at s[i]: name=value, "name": "value",
// name := value, name => value, <name>value, ("name", "value").
func (sc *scanner) assignment(s string, i int) (span, bool) {
	op := s[i]
	end := i // of the name
	for end > 0 && i-end < 4 && strings.IndexByte(" \t?.|:+=", s[end-1]) >= 0 {
		end--
	}
	quote := byte(0)
	for n := 0; end > 0 && n < 5 && strings.IndexByte("\"'`\\])[", s[end-1]) >= 0; n++ {
		if c := s[end-1]; c == '"' || c == '\'' || c == '`' {
			quote = c
		}
		end--
	}
	start := nameSet.before(s, end, maxNameBytes)
	if start == end {
		return span{}, false
	}
	name := s[start:end]
	attribute := false
	if name == "value" && op == '=' {
		// <add key="Password" value="…"/>
		if k := attributeBefore(s, start); k != "" {
			name, attribute = k, true
		} else if k := tagBefore(s, start); k != "" {
			name = k
		}
	}
	switch op {
	case ',':
		if quote == 0 || at(s, start-1) != quote || at(s, start-2) != '(' {
			return span{}, false
		}
	case '>':
		named := quote != 0 && (strings.HasSuffix(s[:start], ` name="`) || strings.HasSuffix(s[:start], ` key="`))
		if at(s, start-1) != '<' && i > 0 && s[i-1] != '=' && s[i-1] != '-' && !named {
			return span{}, false
		}
	}
	if op == '=' && isTypeName(name) {
		// token: str = "…", token string = "…"
		end = start
		for end > 0 && start-end < 4 && strings.IndexByte(" \t:", s[end-1]) >= 0 {
			end--
		}
		start = nameSet.before(s, end, maxNameBytes)
		name = s[start:end]
	}
	if op == ':' && (name == "data" || name == "stringData") {
		if sp, ok := sc.manifest(s, start, i); ok {
			return sp, true
		}
	}
	if op == ':' && name == "Private-Lines" {
		if sp, ok := puttyLines(s, i+1); ok {
			return sp, true
		}
	}
	class := sc.classify(name)
	if class == noKey && len(name) > 1 && afterEscape(s, start+1) {
		class = classify(name[1:]) // \npw: the n is no part of the name
	}
	if at(s, start-1) == '/' && class != opaqueKey && at(s, start-2) != '/' {
		// The end of a path: "/forgot-password" => "users/password#edit".
		if quote != 0 {
			return span{}, false
		}
	}
	if class == noKey {
		if sp, ok := sc.namedShape(s, i, end); ok {
			return sp, true
		}
		if quote != 0 {
			return sc.quotedMember(s, name, i)
		}
		return span{}, false
	}
	v := sc.readValue(s, i, op == '>')
	if v.start == v.end {
		return span{}, false
	}
	inQuery := op == '=' && (at(s, start-1) == '?' || at(s, start-1) == '&')
	if r := &sc.rejected; len(v.head(s)) == headBytes && r.head == v.head(s) && r.name == name && r.op == op && r.quote == v.quote && r.query == inQuery {
		return span{}, false
	}
	switch class {
	case authorizationKey:
		return sc.authorization(s, v)
	case cookieKey:
		return cookie(s, v)
	}
	if op == ',' && v.quote == 0 {
		return span{}, false
	}
	if op == ':' && v.quote == 0 && v.end < len(s) && (at(s, start-1) == '"' || at(s, start-1) == '\'') && s[v.end] == s[start-1] {
		op = s[v.end] // a header of a command: "Api-Token: x"
	}
	if v.start-start > 0 && strings.HasPrefix(name, "_authToken") && registryBefore(s, start) && v.end-v.start >= 8 && !isTemplate(v.head(s)) {
		return span{v.start, v.end, Secret}, true // .npmrc: //registry.example.com/:_authToken=x
	}
	if attribute && v.quote != 0 && v.end-v.start >= 8 && class == passwordKey && !isTemplate(v.head(s)) && !isMask(v.head(s)) {
		return span{v.start, v.end, Secret}, true
	}
	if !acceptable(s, class, name, v, op, inQuery) {
		if sp, ok := sc.namedShape(s, i, end); ok {
			return sp, true
		}
		if quote != 0 && v.quote != 0 && !isTemplate(v.head(s)) && !isStandIn(v.head(s)) {
			return sc.quotedMember(s, name, i)
		}
		r := &sc.rejected
		r.name, r.head, r.op, r.quote, r.query = name, v.head(s), op, v.quote, inQuery
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

// classify is the function of this name, which is asked about one name again and again in
// some texts.
func (sc *scanner) classify(name string) keyClass {
	if name != sc.classified.name {
		sc.classified.name, sc.classified.class = name, classify(name)
	}
	return sc.classified.class
}

// puttyLines looks at the lines of a private key as PuTTY writes them, whose number is at
// s[i].
func puttyLines(s string, i int) (span, bool) {
	for at(s, i) == ' ' && i < len(s) {
		i++
	}
	end := i
	for end < len(s) && end-i < 3 && isDigit(s[end]) {
		end++
	}
	start := end
	for start < len(s) && start-end < 8 && (isSpace(s[start]) || s[start] == '\\' || (s[start] == 'n' || s[start] == 'r') && s[start-1] == '\\') {
		start++
	}
	stop := pemSet.run(s, start, len(s))
	if end == i || start == end || stop-start < 40 {
		return span{}, false
	}
	return span{start, stop, PrivateKey}, true
}

// registryBefore reports whether "//HOST/:" ends before s[i], as in .npmrc.
func registryBefore(s string, i int) bool {
	end := i - 2
	if end < 1 || s[i-1] != ':' || s[end] != '/' {
		return false
	}
	start := hostSet.before(s, end, 256)
	return end-start > 3 && strings.HasPrefix(s[start:], "//") && s[start+2] != '/'
}

var hostSet = newCharset("-./", isAlnum)

// attributeBefore returns the value of the attribute key or name that ends before s[i]:
// key="Password" value=…
func attributeBefore(s string, i int) string {
	end := i
	for end > 0 && i-end < 4 && s[end-1] == ' ' {
		end--
	}
	if end == 0 || end == i || s[end-1] != '"' {
		return ""
	}
	end--
	start := nameSet.before(s, end, maxNameBytes)
	if strings.HasSuffix(s[:start], ` key="`) || strings.HasSuffix(s[:start], ` name="`) {
		return s[start:end]
	}
	return ""
}

// tagBefore returns the name of the element whose first attribute starts at s[i]:
// <password value=…
func tagBefore(s string, i int) string {
	if at(s, i-1) != ' ' {
		return ""
	}
	start := nameSet.before(s, i-1, maxNameBytes)
	if at(s, start-1) != '<' {
		return ""
	}
	return s[start : i-1]
}

// quotedMember looks at a member of an object in running text, "name": "value", as in
// JSON that was cut or in the text of a Python dictionary.
func (sc *scanner) quotedMember(s, name string, i int) (span, bool) {
	if s[i] != ':' && s[i] != '=' {
		return span{}, false
	}
	info := sc.policy.key(keyInfo{}, name)
	if info.treatment != always && info.treatment != phoneLike && info.treatment != cardLike {
		return span{}, false
	}
	v := sc.readValue(s, i, false)
	if v.start == v.end || v.quote == 0 && info.treatment == always && !isDigit(s[v.start]) {
		return span{}, false
	}
	if info.kind == Name && isStandIn(s[v.start:v.end]) {
		return span{}, false
	}
	if kind, ok := wholeValue(s[v.start:v.end], info); ok {
		return span{v.start, v.end, kind}, true
	}
	return span{}, false
}

// isTypeName reports whether name stands between a variable and its value.
func isTypeName(name string) bool {
	switch name {
	case "str", "string", "String", "char", "const", "text", "bytes", "SecretStr":
		return true
	}
	return false
}

// A value is what stands behind an operator.
type value struct {
	start, end int
	quote      byte // 0 when there is none
	closed     bool // the closing quote was found
}

// headBytes is how much of a value is looked at to decide whether it is a secret: a
// bound for runs in which one name follows the other, key=key=key=.
const headBytes = 128

// head returns the first bytes of v in s.
func (v value) head(s string) string { return s[v.start:min(v.end, v.start+headBytes)] }

// readValue reads the value behind the operator at s[i].
func (sc *scanner) readValue(s string, i int, multiline bool) value {
	k := i
	for k < len(s) && k-i < 4 && strings.IndexByte(":=>,?", s[k]) >= 0 {
		k++
	}
	for n := 0; k < len(s) && n < 12 && (s[k] == ' ' || s[k] == '\t' || multiline && isSpace(s[k])); n++ {
		k++
	}
	// Prefixes of string literals: b"…", f'…', @"…".
	if k+1 < len(s) && strings.IndexByte("bBrRfFuU@", s[k]) >= 0 && (s[k+1] == '"' || s[k+1] == '\'') {
		k++
	}
	open := k
	for k < len(s) && k-open < 3 && s[k] == '\\' {
		k++
	}
	escapes := k - open
	if c := at(s, k); c == '"' || c == '\'' || c == '`' {
		v := value{start: k + 1, end: k + 1, quote: c}
		limit := min(len(s), k+1+maxValueBytes)
		for e := k + 1; e < limit; e++ {
			if s[e] == '\n' && c != '`' {
				break
			}
			if s[e] != c {
				continue
			}
			back := 0
			for back < e-v.start && s[e-1-back] == '\\' {
				back++
			}
			if back <= escapes {
				v.end, v.closed = e-min(back, escapes), true
				return v
			}
		}
		// No closing quote: the value was cut.
		v.end = sc.runEnd(s, v.start, bareSet)
		if v.start < len(s) && !bareSetHas(s[v.start]) {
			v.end = v.start
		}
		return v
	}
	if escapes > 0 || k >= len(s) || !bareSetHas(s[k]) {
		return value{}
	}
	return value{start: k, end: trimValue(s, k, sc.runEnd(s, k, bareSet))}
}

func bareSetHas(c byte) bool { return sets[bareSet][c] }

// trimValue returns end without the punctuation of the sentence around s[start:end].
func trimValue(s string, start, end int) int {
	for end > start && strings.IndexByte(".,:;!?", s[end-1]) >= 0 {
		end--
	}
	return end
}
