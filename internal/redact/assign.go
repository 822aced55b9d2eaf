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
	n, ok := nameAssigned(s, i)
	if !ok {
		return span{}, false
	}
	if n.op == ':' {
		switch n.name {
		case "data", "stringData":
			if sp, ok := sc.manifest(s, n.start, i); ok {
				return sp, true
			}
		case "Private-Lines":
			if sp, ok := puttyLines(s, i+1); ok {
				return sp, true
			}
		}
	}
	if n.op == ':' && at(s, n.start-1) == ':' && isDigit(at(s, n.start-2)) {
		return span{}, false // arn:aws:secretsmanager:eu-west-1:123456789012:secret:name
	}
	if n.op == ':' && len(n.name) == len("user") && at(s, n.start-1) == '/' {
		return netUse(s, n.start-1, i+1)
	}
	class := sc.textName(n.name).class
	if class == noKey && len(n.name) > 1 && afterEscape(s, n.start+1) {
		class = classify(n.name[1:]) // \npw: the n is no part of the name
	}
	if n.quote != 0 && class != opaqueKey && at(s, n.start-1) == '/' && at(s, n.start-2) != '/' {
		return span{}, false // the end of a path: "/forgot-password" => "users/password#edit"
	}
	if class != noKey {
		return sc.valueAssigned(s, i, n, class)
	}
	if sp, ok := sc.namedShape(s, i, n.end); ok {
		return sp, true
	}
	if n.quote != 0 {
		return sc.quotedMember(s, n.name, i)
	}
	return span{}, false
}

// An assignedName is what stands before the operator of an assignment.
type assignedName struct {
	name       string
	start, end int
	op         byte
	quote      byte // what the name stands in, or 0
	attribute  bool // the name is the value of the attribute or member before
}

// nameAssigned reads the name before the operator at s[i].
func nameAssigned(s string, i int) (assignedName, bool) {
	n := assignedName{op: s[i], end: i}
	for n.end > 0 && i-n.end < 4 && strings.IndexByte(" \t?.|:+=", s[n.end-1]) >= 0 {
		n.end--
	}
	for k := 0; n.end > 0 && k < 5 && strings.IndexByte("\"'`\\])[", s[n.end-1]) >= 0; k++ {
		if c := s[n.end-1]; c == '"' || c == '\'' || c == '`' {
			n.quote = c
		}
		n.end--
	}
	n.start = nameSet.before(s, n.end, maxNameBytes)
	if n.start == n.end {
		return n, false
	}
	n.name = s[n.start:n.end]
	if n.name == "value" && n.op == '=' {
		// <add key="Password" value="…"/>
		if isPasswordInput(s, n.start) {
			n.name, n.attribute = "password", true
		} else if k := attributeBefore(s, n.start); k != "" {
			n.name, n.attribute = k, true
		} else if k := tagBefore(s, n.start); k != "" {
			n.name = k
		}
	}
	if n.name == "default" && n.op == '=' {
		if k := variableBlock(s, n.start); k != "" {
			n.name, n.attribute = k, true
		}
	}
	if n.op != ',' && n.op != '>' && strings.HasSuffix(n.name, "alue") {
		if k := pairName(s, n.start); k != "" {
			n.name, n.attribute = k, true
		}
	}
	switch n.op {
	case ',':
		if n.quote != 0 && isTypedInto(s, i) {
			n.name, n.attribute = "password", true
			return n, true
		}
		if n.quote == 0 || at(s, n.start-1) != n.quote || at(s, n.start-2) != '(' {
			return n, false
		}
	case '>':
		named := n.quote != 0 && (strings.HasSuffix(s[:n.start], ` name="`) || strings.HasSuffix(s[:n.start], ` key="`))
		if at(s, n.start-1) != '<' && i > 0 && s[i-1] != '=' && s[i-1] != '-' && !named {
			return n, false
		}
	}
	if n.op == '=' && isTypeName(n.name) {
		// token: str = "…", token string = "…"
		n.end = n.start
		for n.end > 0 && n.start-n.end < 4 && strings.IndexByte(" \t:", s[n.end-1]) >= 0 {
			n.end--
		}
		n.start = nameSet.before(s, n.end, maxNameBytes)
		n.name = s[n.start:n.end]
	}
	return n, true
}

// valueAssigned looks at the value behind the operator at s[i], by the class of its name.
func (sc *scanner) valueAssigned(s string, i int, n assignedName, class keyClass) (span, bool) {
	op := n.op
	if n.attribute {
		op = '=' // as the variable of an environment that it is
	}
	v := sc.readValue(s, i, op == '>')
	if v.start == v.end {
		return span{}, false
	}
	inQuery := n.op == '=' && (at(s, n.start-1) == '?' || at(s, n.start-1) == '&')
	if r := &sc.rejected; len(v.head(s)) == headBytes && r.head == v.head(s) && r.name == n.name && r.op == op && r.quote == v.quote && r.query == inQuery {
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
	if v.quote == 0 && v.end < len(s) && isQuote(s[v.end]) {
		v = sc.wrapped(s, v)
	}
	if op == ':' && v.quote == 0 && v.end < len(s) && (at(s, n.start-1) == '"' || at(s, n.start-1) == '\'') && s[v.end] == s[n.start-1] {
		op = s[v.end] // a header of a command: "Api-Token: x"
	}
	if v.start-n.start > 0 && strings.HasPrefix(n.name, "_authToken") && registryBefore(s, n.start) && v.end-v.start >= 8 && !isTemplate(v.head(s)) {
		return span{v.start, v.end, Secret}, true // .npmrc: //registry.example.com/:_authToken=x
	}
	if n.attribute && (v.quote != 0 || allCapitals(n.name)) && v.end-v.start >= 8 && s[v.start] != '/' && class == passwordKey && !isTemplate(v.head(s)) && !isMask(v.head(s)) {
		return span{v.start, v.end, Secret}, true
	}
	if n.op == '=' && v.quote == 0 && v.start == i+1 {
		v = variableLine(s, n, v, class)
	}
	if acceptable(s, class, n.name, v, op, inQuery) {
		return span{v.start, v.end, Secret}, true
	}
	if sp, ok := sc.namedShape(s, i, n.end); ok {
		return sp, true
	}
	if n.quote != 0 && v.quote != 0 && !isTemplate(v.head(s)) && !isStandIn(v.head(s)) {
		return sc.quotedMember(s, n.name, i)
	}
	r := &sc.rejected
	r.name, r.head, r.op, r.quote, r.query = n.name, v.head(s), op, v.quote, inQuery
	return span{}, false
}

// minLineSecret is the length from which a variable's value goes on to the end of its line.
const minLineSecret = 20

// variableLine returns the value of a variable of the environment that has a line for itself,
// as env prints it, with all signs that are in it: SECRET_KEY=3iv@!ux*&vjl0^(r…. Elsewhere, and
// in short values, these signs are those of a shell or a query, and v is the value.
func variableLine(s string, n assignedName, v value, class keyClass) value {
	if class != secretKey && class != passwordKey || !allCapitals(n.name) || n.end != v.start-1 {
		return v
	}
	if head := lineBefore(s, n.start); head != "" && head != "export " {
		return v
	}
	end := v.start
	signs := 0
	for end < len(s) && end-v.start < headBytes && s[end] > ' ' && s[end] < 0x7f {
		if strings.IndexByte("\"'`;|\\<>", s[end]) >= 0 || s[end] == '$' && (at(s, end+1) == '(' || at(s, end+1) == '{') {
			return v
		}
		if !isAlnum(s[end]) {
			signs++
		}
		end++
	}
	text := s[v.start:end]
	if end < len(s) && s[end] != '\n' && s[end] != '\r' || len(text) < minLineSecret || signs < 3 || strings.Contains(text, "://") || !digits2.open(text) || isTemplate(text) ||
		strings.Contains(text, placeholderOpen) {
		return v
	}
	if i := strings.IndexAny(text, "(&["); i < 0 || isCodeName(text[:i]) {
		return v
	}
	return value{start: v.start, end: end, quote: '"', closed: true}
}

// wrapped returns the value in quotes inside a call that only converts it, of which v is the
// part before the quote: bytes.fromhex("…"), SecretStr("…"). Other calls have names and
// paths in quotes.
func (sc *scanner) wrapped(s string, v value) value {
	call, ok := strings.CutSuffix(v.head(s), "(")
	if !ok {
		return v
	}
	switch call[strings.LastIndexByte(call, '.')+1:] {
	case "fromhex", "unhexlify", "b64decode", "urlsafe_b64decode", "SecretStr", "SecretString", "from", "bytes", "bytearray", "of", "String", "strip":
	default:
		return v
	}
	if inner := sc.readValue(s, v.end, false); inner.quote != 0 && inner.closed {
		return inner
	}
	return v
}

// A textName is what is remembered of a name in a text.
type textName struct {
	class   keyClass
	asked   bool // info is known
	keyInfo keyInfo
}

// maxTextNames bounds the names that are remembered.
const maxTextNames = 1024

// textName returns what is remembered of name, which stands before an operator: the same
// few are asked about again and again in most texts.
func (sc *scanner) textName(name string) *textName {
	n := sc.names[name]
	if n == nil {
		if sc.names == nil || len(sc.names) >= maxTextNames {
			sc.names = make(map[string]*textName)
		}
		n = &textName{class: classify(name)}
		sc.names[strings.Clone(name)] = n
	}
	return n
}

// key returns what the policy says about a member called name.
func (sc *scanner) key(name string) keyInfo {
	n := sc.textName(name)
	if !n.asked {
		n.keyInfo, n.asked = sc.policy.key(keyInfo{}, name), true
	}
	return n.keyInfo
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

// pairName returns the name of the pair whose member "value" starts at s[i]:
//
//   - name: DB_PASSWORD
//     value: …
//
// and {"name": "DB_PASSWORD", "value": …}, ParameterKey=Password,ParameterValue=….
func pairName(s string, i int) string {
	i = nameSet.before(s, i, len("Parameter"))
	end := beforeQuote(s, i)
	sep := end
	for end > 0 && sep-end < maxNameBytes && (isSpace(s[end-1]) || s[end-1] == ',') {
		end--
	}
	if end == sep {
		return ""
	}
	end = beforeQuote(s, end)
	start := nameSet.before(s, end, maxNameBytes)
	mark := start
	if at(s, mark-1) == '#' {
		mark-- // of a selector
	}
	k := beforeQuote(s, mark)
	for k > 0 && start-k < 8 && s[k-1] == ' ' {
		k--
	}
	if c := at(s, k-1); start == end || c != ':' && c != '=' {
		return ""
	}
	k = beforeQuote(s, k-1)
	word := s[nameSet.before(s, k, len("ParameterKey")+1):k]
	switch strings.ToLower(word) {
	case "name", "key", "parameterkey", "variable":
		return s[start:end]
	case "selector", "locator", "element":
		if namesPasswordField(s[start:end]) {
			return "password"
		}
	}
	return ""
}

// beforeQuote returns i, or the start of the quote that ends there, escaped or not.
func beforeQuote(s string, i int) int {
	start := i
	if i > 0 && isQuote(s[i-1]) {
		for i--; i > 0 && start-i < 8 && s[i-1] == '\\'; i-- {
		}
	}
	return i
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

// blockBack is how far before an attribute the start of its element or block is looked for.
const blockBack = 256

// isPasswordInput reports whether the attribute at s[i] is one of a field of a form for a
// password: <input type="password" value=…
func isPasswordInput(s string, i int) bool {
	head := s[max(0, i-blockBack):i]
	tag := head[strings.LastIndexByte(head, '<')+1:]
	return len(tag) < len(head) && (strings.Contains(tag, `type="password"`) || strings.Contains(tag, `type='password'`)) && strings.IndexByte(tag, '>') < 0
}

// variableBlock returns the name of the variable whose block in HCL has the attribute at s[i]:
// variable "db_password" { default = …
func variableBlock(s string, i int) string {
	head := s[max(0, i-blockBack):i]
	k := strings.LastIndex(head, `variable "`)
	if k < 0 || strings.IndexByte(head[k:], '}') >= 0 {
		return ""
	}
	name, rest, _ := strings.Cut(head[k+len(`variable "`):], `"`)
	if !strings.HasPrefix(strings.TrimLeft(rest, " "), "{") || len(name) > maxNameBytes || nameSet.run(name, 0, maxNameBytes) < len(name) {
		return ""
	}
	return name
}

// quotedMember looks at a member of an object in running text, "name": "value", as in
// JSON that was cut or in the text of a Python dictionary.
func (sc *scanner) quotedMember(s, name string, i int) (span, bool) {
	if s[i] != ':' && s[i] != '=' {
		return span{}, false
	}
	info := sc.key(name)
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
