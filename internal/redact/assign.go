package redact

import "strings"

// A keyClass says what a name in running text promises about the value behind it.
type keyClass uint8

const (
	noKey keyClass = iota
	passwordKey
	secretKey // token, secret, api_key
	opaqueKey // key, auth, signature: only values that look random
	authorizationKey
	cookieKey
)

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
	if name == "value" && op == '=' {
		// <add key="Password" value="…"/>
		if k := attributeBefore(s, start); k != "" {
			name = k
		}
	}
	switch op {
	case ',':
		if quote == 0 || at(s, start-1) != quote || at(s, start-2) != '(' {
			return span{}, false
		}
	case '>':
		if at(s, start-1) != '<' && i > 0 && s[i-1] != '=' && s[i-1] != '-' {
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
	class := classify(name)
	if class == noKey {
		if quote != 0 {
			return sc.quotedMember(s, name, i)
		}
		return span{}, false
	}
	v := sc.readValue(s, i, op == '>')
	if v.start == v.end {
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
	inQuery := op == '=' && (at(s, start-1) == '?' || at(s, start-1) == '&')
	if !acceptable(s, class, name, v, op, inQuery) {
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

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

// classify says what the name of a value promises.
func classify(name string) keyClass {
	// Only names that end like one of the words below are worth splitting.
	n := len(name)
	for n > 0 && (isDigit(name[n-1]) || name[n-1] == '_' || name[n-1] == '-' || name[n-1] == '.') {
		n--
	}
	if n < 3 {
		return noKey
	}
	switch name[n-1] | 0x20 {
	case 'd', 't', 'n', 'y', 's', 'h', 'e', 'g':
	default:
		return noKey
	}
	var parts nameParts
	parts.split(name[:n])
	return parts.class()
}

// nameParts are the words of a name in lower case: aws_secretAccessKey has four.
type nameParts struct {
	buf   [maxNameBytes]byte
	words [12]string
	n     int
}

func (p *nameParts) split(name string) {
	joined := string(lower(p.buf[:0], name))
	start := 0
	cut := func(end int) {
		if end > start && p.n < len(p.words) {
			p.words[p.n] = joined[start:end]
			p.n++
		}
		start = end
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '_' || c == '-' || c == '.':
			cut(i)
			start = i + 1
		case isUpper(c) && i > 0 && isLower(name[i-1]):
			cut(i)
		case isUpper(c) && i > 0 && isUpper(name[i-1]) && i+1 < len(name) && isLower(name[i+1]):
			cut(i) // APIKey
		}
	}
	cut(len(name))
}

func (p *nameParts) last(n int) string {
	if n >= p.n {
		return ""
	}
	return p.words[p.n-1-n]
}

// notSecret are words that make a token or key of a model, a list or a cache.
var notSecret = words(`max min num number total count limit per prompt completion input output cached reasoning avg
	average next page continuation sync stop start eos bos pad unk sep cls mask special primary foreign public
	cache partition sort row object file group dict idempotency dedup index map composite unique lookup registry
	first last query search hot short arrow any press type name id len length size uri url path file field label
	endpoint budget rate usage used remaining non crew agent task node run step thread message tool trace span`)

// keyOwners are words that make a "key" a secret.
var keyOwners = words(`api secret access private auth encryption signing account service master shared storage
	license app client admin deploy consumer webhook subscription integration write ingest host user ssh ssl tls
	project session security server data`)

func words(list string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

func (p *nameParts) class() keyClass {
	w := p.last(0)
	for i := 1; i < p.n; i++ {
		if notSecret[p.last(i)] && p.last(i) != "access" {
			return noKey
		}
	}
	ends := func(suffixes ...string) bool {
		for _, s := range suffixes {
			if strings.HasSuffix(w, s) {
				return true
			}
		}
		return false
	}
	switch {
	case ends("password", "passwd", "passwort", "pwd", "passphrase", "passcode"), w == "pass", w == "pw" && p.n > 1:
		return passwordKey
	case w == "authorization":
		return authorizationKey
	case w == "cookie":
		return cookieKey
	case ends("secret", "apikey", "secretkey", "accesskey", "privatekey", "authkey"), ends("token") && !ends("webtoken"), w == "creds", w == "credential", w == "credentials":
		return secretKey
	case w == "key" && keyOwners[p.last(1)]:
		return secretKey
	case w == "key", w == "auth", w == "sig", w == "signature", w == "sas", w == "access", w == "secrets", w == "dsn" && p.n > 1:
		return opaqueKey
	}
	if ends("key", "auth") {
		return opaqueKey
	}
	return noKey
}

// acceptable reports whether the value v of a name of the given class is a secret.
func acceptable(s string, class keyClass, name string, v value, op byte, inQuery bool) bool {
	text := v.head(s)
	if len(text) < 4 || isTemplate(text) || isStandIn(text) {
		return false
	}
	if v.quote == 0 && isCode(s, v) {
		return false
	}
	if class == opaqueKey {
		min := 20
		if inQuery {
			min = 16
		}
		if op == ':' && v.quote == 0 && !strings.ContainsAny(name, "_-") && !isUpper(name[0]) {
			return false // prose
		}
		return isOpaque(text, min)
	}
	if strings.IndexByte(text, ' ') >= 0 || strings.IndexByte(text, '\n') >= 0 {
		return false
	}
	if class == passwordKey {
		if v.quote != 0 {
			return len(text) >= 5 && !isLabel(text)
		}
		if isCredential(text) {
			return true
		}
		// A bare word: only where it cannot be a variable or a sentence.
		return op == '=' && (inQuery || v.start > 0 && s[v.start-1] == '=' && (at(s, v.end) == ';' || at(s, v.end) == '&' || allCapitals(name)))
	}
	if len(text) < 8 || allDigits(text) && len(text) < 12 {
		return false
	}
	return isCredential(text) || v.quote != 0 && len(text) >= 16 && isCodeName(text) && strings.IndexAny(text, "_.") < 0
}

// isLabel reports whether the value of a password names a thing of a program: a path, a
// route, a caption.
func isLabel(s string) bool {
	if strings.IndexByte(",;:)}]", s[0]) >= 0 || s[0] == '/' && strings.Count(s, "/") > 1 {
		return true
	}
	for i := 0; i < len(s); i++ {
		if isDigit(s[i]) {
			return false
		}
	}
	return strings.Contains(strings.ToLower(s), "password")
}

// allCapitals reports whether name is written like an environment variable.
func allCapitals(name string) bool {
	for i := 0; i < len(name); i++ {
		if isLower(name[i]) {
			return false
		}
	}
	return true
}

// isCredential reports whether s is more than words: it has a digit, a sign or mixed
// case, and is no path, type or number with a unit.
func isCredential(s string) bool {
	if len(s) < 5 || isTemplate(s) || isStandIn(s) || strings.IndexByte(s, ' ') >= 0 {
		return false
	}
	digits, letters, uppers, signs := 0, 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case isAlpha(c):
			letters++
			if isUpper(c) && i > 0 {
				uppers++
			}
		case c == '_' || c == '-' || c == '.' || c == '/' || c == ':':
		default:
			signs++
		}
	}
	switch {
	case s[0] == '/' || strings.Contains(s, "://"):
		return digits >= 3 && signs > 0
	case digits > 0:
		return letters > 0 || len(s) >= 6
	case signs > 0 && letters > 0:
		return true
	}
	return uppers >= 3 && uppers < letters-2 && len(s) >= 12
}

// isOpaque reports whether s, of at least min bytes, looks drawn at random: no spaces,
// letters and digits mixed, many different characters, not a path, an address or a name.
func isOpaque(s string, min int) bool {
	if len(s) < min || len(s) > maxValueBytes {
		return false
	}
	if isStandIn(s) || isTemplate(s) {
		return false
	}
	var seen [256]bool
	different, digits, letters, dots := 0, 0, 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isDigit(c):
			digits++
		case isAlpha(c):
			letters++
		case c == '.':
			dots++
		case !sets[base64Set][c]:
			return false
		}
		if !seen[c] {
			seen[c] = true
			different++
		}
	}
	if s[0] == '/' || strings.Contains(s, "://") || dots > 3 {
		return false
	}
	return different >= 8 && digits >= 2 && letters >= 2
}

// standIns are the words of which documentation makes what stands for a secret.
var standIns = words(`a an the my your our some any fake dummy test testing example sample placeholder changeme change me
	insert here enter put replace with this api key keys token tokens secret secrets password passwd pass pwd user
	username name value real not foo bar baz xxx todo tbd none null nil undefined true false string str text int
	required optional redacted hidden masked removed filtered secure private public access auth admin root client id
	default unknown empty missing invalid valid wrong new old hash hashed encrypted type field env var variable
	config settings goes is in of for from short too long bearer basic authorization header code abc def ghi demo
	only yes no set unset get provided given needed it and or service account live prod dev local something`)

// maxStandInBytes is how much of a value is looked at for stand-ins.
const maxStandInBytes = 64

// isStandIn reports whether s stands for a secret instead of being one: a mask, or made
// of words that only documentation uses there.
func isStandIn(s string) bool {
	if len(s) > maxStandInBytes {
		s = s[:maxStandInBytes]
	}
	// A mask: one character only, or mostly x and *.
	var seen [256]bool
	different, masked := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 'x' || c == 'X' || c == '*' {
			masked++
		}
		if c |= 0x20; isAlnum(c) && !seen[c] {
			seen[c] = true
			different++
		}
	}
	if different <= 1 || 2*masked > len(s) {
		return true
	}
	// reach[i]: the letters of s[:i] are a sequence of stand-in words.
	var reach [maxStandInBytes + 1]bool
	var buf [maxStandInBytes]byte
	low := lower(buf[:0], s)
	reach[0] = true
	for i := range low {
		if !reach[i] {
			continue
		}
		if c := low[i]; !isAlpha(c) && (c == '_' || c == '-' || c == '.' || c == ' ') {
			reach[i+1] = true
			continue
		}
		for n := 1; n <= 13 && i+n <= len(low) && isAlpha(low[i+n-1]); n++ {
			if !reach[i+n] && standIns[string(low[i:i+n])] {
				reach[i+n] = true
			}
		}
	}
	return reach[len(low)]
}

// isTemplate reports whether s is filled in elsewhere: ${NAME}, {{ name }}, <name>, %s.
func isTemplate(s string) bool {
	s = strings.TrimLeft(s, "'\"")
	switch at(s, 0) {
	case '$':
		// $NAME, $NAME/path, ${…}, $(…); but pa$$words may start with one.
		rest := s[1:]
		name := nameSet.run(rest, 0, maxNameBytes)
		return rest == "" || rest[0] == '{' || rest[0] == '(' || name == len(rest) || name >= 3 && allCapitals(rest[:name])
	case '<':
		return strings.IndexByte(s, '>') > 0
	case '[', '{':
		// [PASSWORD], {password}, {{ password }}; an unquoted value ends at the bracket.
		inner := strings.Trim(s, "[]{} ")
		return isCodeName(inner) || strings.HasPrefix(s, "{{")
	case '%':
		return len(s) <= 3 || s[1] == '{' || s[1] == '(' || s[len(s)-1] == '%'
	case '#':
		return strings.HasPrefix(s, "#{")
	}
	return strings.HasPrefix(s, "&lt;") || strings.Contains(s, "${")
}

// isCode reports whether the unquoted value v is an expression: a call, an index, a
// chain of names.
func isCode(s string, v value) bool {
	text := v.head(s)
	if next := at(s, v.end); next == '(' || next == '[' || text[0] == '(' {
		return true
	}
	if i := strings.IndexAny(text, "(["); i > 0 && isCodeName(text[:i]) {
		return true
	}
	if strings.HasPrefix(text, "os.environ") || strings.HasPrefix(text, "process.env") || strings.HasPrefix(text, "self.") ||
		strings.HasPrefix(text, "this.") || strings.HasPrefix(text, "new ") {
		return true
	}
	return strings.IndexByte(text, '.') > 0 && isCodeName(text)
}

// isCodeName reports whether s is a chain of names without digits: config.db.password.
func isCodeName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && c != '_' && c != '.' {
			return false
		}
	}
	return len(s) > 0
}

// authorization looks at the value of an Authorization header: a scheme and credentials.
func (sc *scanner) authorization(s string, v value) (span, bool) {
	start, end := v.start, v.end
	if v.quote == 0 || !v.closed {
		end = trimValue(s, start, sc.runEnd(s, start, bareSet))
	}
	if word := sets[tokenSet].run(s, start, 32); at(s, word) == ' ' && word < len(s) && isScheme(s[start:word]) {
		k := word
		for at(s, k) == ' ' && k < len(s) && k-word < 4 {
			k++
		}
		if k >= len(s) || !bareSetHas(s[k]) {
			return span{}, false
		}
		start = k
		if v.quote == 0 || !v.closed {
			end = trimValue(s, start, sc.runEnd(s, start, bareSet))
		}
	}
	if start >= end {
		return span{}, false
	}
	text := s[start:min(end, start+headBytes)]
	if len(text) < 6 || isTemplate(text) || isStandIn(text) || v.quote == 0 && isCode(s, value{start: start, end: end}) {
		return span{}, false
	}
	if !isCredential(text) && !(len(text) >= 20 && random.open(text)) {
		return span{}, false
	}
	return span{start, end, Bearer}, true
}

// isScheme reports whether s names an authentication scheme.
func isScheme(s string) bool {
	switch strings.ToLower(s) {
	case "bearer", "basic", "token", "digest", "apikey", "api-key", "negotiate", "bot", "oauth", "hawk", "key", "ntlm",
		"aws4-hmac-sha256", "sso-key", "splunk", "geniekey", "jwt", "api-token", "apikey-v1", "auth", "authtoken":
		return true
	}
	return false
}

// cookie looks at the value of a Cookie or Set-Cookie header: name=value pairs.
func cookie(s string, v value) (span, bool) {
	name := nameSet.run(s, v.start, maxNameBytes)
	if name == v.start || at(s, name) != '=' {
		return span{}, false
	}
	end := v.end
	if v.quote == 0 || !v.closed {
		for end = name; end < len(s) && end-v.start < maxValueBytes; end++ {
			if c := s[end]; c == '\n' || c == '\r' || c == '"' || c == '\'' || c == '\\' {
				break
			}
		}
	}
	if end-name < 5 {
		return span{}, false
	}
	return span{v.start, end, Cookie}, true
}

// flag looks at the value of a command-line flag --name at s[i]: --token value. With a
// '=' it is an assignment.
func (sc *scanner) flag(s string, i int) (span, bool) {
	start := i + 2
	if start >= len(s) || !isAlpha(s[start]) {
		return span{}, false
	}
	end := nameSet.run(s, start, maxNameBytes)
	if at(s, end) != ' ' || end >= len(s) {
		return span{}, false
	}
	name := s[start:end]
	if name == "user" {
		return sc.curlUser(s, end)
	}
	class := classify(name)
	if class != passwordKey && class != secretKey {
		return span{}, false
	}
	v := sc.readValue(s, end, false)
	if v.start == v.end || !acceptable(s, class, name, v, ' ', false) {
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

// curlBytes is how far before -u a "curl" is looked for.
const curlBytes = 256

// curlUser looks at user:password behind -u or --user, which end at s[i].
func (sc *scanner) curlUser(s string, i int) (span, bool) {
	if !strings.Contains(s[max(0, i-curlBytes):i], "curl") {
		return span{}, false
	}
	v := sc.readValue(s, i, false)
	if v.quote == 0 && v.start < v.end && at(s, v.end) == ':' && (at(s, v.end+1) == '\'' || at(s, v.end+1) == '"') {
		// user:"password"
		v.end = sc.readValue(s, v.end, false).end
	}
	text := v.head(s)
	colon := strings.IndexByte(text, ':')
	if colon < 0 || isTemplate(text) {
		return span{}, false
	}
	user, password := text[:colon], text[colon+1:]
	if password == "" {
		// A token in the place of the user.
		if !isCredential(user) {
			return span{}, false
		}
	} else if len(password) < 3 || isTemplate(password) || isStandIn(password) {
		return span{}, false
	}
	return span{v.start, v.end, URLCredentials}, true
}
