package redact

import "strings"

// commandBytes is how far before a flag its command is looked for.
const commandBytes = 192

// flagCommands are the commands of which a flag of one letter takes a secret.
var flagCommands = map[byte][]string{
	'p': {"mysql", "mariadb", "sshpass", "docker login", "podman login", "skopeo login", "helm registry login", "mongo", "az login", "az acr login", "7z ", "useradd", "usermod"},
	'P': {"sqlcmd", "bcp ", "unzip ", "zip ", "ipmitool", "mosquitto_"},
	'a': {"redis-cli", "valkey-cli"},
	'A': {"snmp"},
	'X': {"snmp"},
	'N': {"ssh-keygen"},
	'k': {"openssl enc", "openssl aes"},
	'w': {"ldapsearch", "ldapadd", "ldapmodify", "ldapdelete"},
	'b': {"curl"},
}

// shortFlag looks at the value of a command's flag with one '-' at s[i]: mysql -psecret,
// redis-cli -a secret, keytool -storepass secret.
func (sc *scanner) shortFlag(s string, i int) (span, bool) {
	if c := at(s, i-1); c != ' ' && c != '"' && c != '\'' && c != ',' && c != '\n' && c != '\t' {
		return span{}, false
	}
	c := at(s, i+1)
	if c == 'u' && at(s, i+2) == ' ' {
		return sc.curlUser(s, i+2)
	}
	end := nameSet.run(s, i+1, maxNameBytes)
	if name := s[i+1 : end]; at(s, end) == ' ' && len(name) > 3 && (strings.HasSuffix(name, "pass") || classify(name) == passwordKey) {
		// -storepass x, -password x
		v := sc.readValue(s, end, false)
		if strings.HasPrefix(v.head(s), "pass:") {
			v.start += len("pass:")
		}
		if v.start >= v.end || !acceptable(s, passwordKey, name, v, ' ', false) {
			return span{}, false
		}
		return span{v.start, v.end, Secret}, true
	}
	switch c {
	case 'S':
		return sudoInput(s, i)
	case 'U':
		return sc.smbUser(s, i)
	}
	commands := flagCommands[c]
	if commands == nil {
		return span{}, false
	}
	v := value{}
	switch next := at(s, i+2); {
	case i+2 >= len(s):
	case next == ' ':
		v = sc.readValue(s, i+2, false)
	case c == 'p' || c == 'P':
		v = sc.readValue(s, i+2, false)
		if v.quote == 0 {
			v.start = i + 2
		}
	}
	if v.start >= v.end {
		return span{}, false
	}
	if text := v.head(s); c == 'a' && (len(text) < 4 || isTemplate(text) || isStandIn(text)) || c != 'a' && c != 'b' && !isCredential(text) {
		return span{}, false
	}
	line := lineBefore(s, i)
	for _, command := range commands {
		if !strings.Contains(line, command) {
			continue
		}
		if c == 'b' {
			return cookie(s, v)
		}
		if s[v.start] != '-' {
			return span{v.start, v.end, Secret}, true
		}
	}
	return span{}, false
}

// lineBefore returns what stands before s[i] in its line, at most commandBytes of it.
func lineBefore(s string, i int) string {
	line := s[max(0, i-commandBytes):i]
	return line[strings.LastIndexByte(line, '\n')+1:]
}

// sudoInput looks at the password that is piped into the command whose flag is at s[i]: echo
// secret | sudo -S ….
func sudoInput(s string, i int) (span, bool) {
	line := lineBefore(s, i)
	echo := strings.LastIndex(line, "echo ")
	pipe := strings.LastIndexByte(line, '|')
	if echo < 0 || pipe < echo || !strings.Contains(line[pipe:], "sudo") {
		return span{}, false
	}
	v := strings.Trim(line[echo+len("echo "):pipe], " \"'")
	start := i - len(line) + strings.LastIndex(line[:pipe], v)
	if len(v) < 4 || strings.ContainsAny(v, " \t") || strings.Contains(v, placeholderOpen) || isTemplate(v) || isStandIn(v) {
		return span{}, false
	}
	return span{start, start + len(v), Secret}, true
}

// smbUser looks at the password behind the flag -U at s[i]: smbclient -U ann%secret.
func (sc *scanner) smbUser(s string, i int) (span, bool) {
	if at(s, i+2) != ' ' {
		return span{}, false
	}
	v := sc.readValue(s, i+2, false)
	sign := strings.IndexByte(v.head(s), '%')
	if sign < 0 || !strings.Contains(lineBefore(s, i), "smb") && !strings.Contains(lineBefore(s, i), "rpcclient") {
		return span{}, false
	}
	password := s[v.start+sign+1 : v.end]
	return span{v.start + sign + 1, v.end, Secret}, isCredential(password)
}

// netUse looks at the password beside the flag s[lo:hi], /user:, of "net use": behind the name
// of the user, or before the flag.
func netUse(s string, lo, hi int) (span, bool) {
	line := lineBefore(s, lo)
	if !strings.Contains(line, "net use ") && !strings.Contains(line, "NET USE ") {
		return span{}, false
	}
	for hi < len(s) && s[hi] > ' ' {
		hi++ // the user
	}
	end := hi
	for end < len(s) && (s[end] == ' ' || s[end] > ' ' && end-hi < maxNameBytes) && s[end] != '\n' && !(s[end] == ' ' && end > hi+1) {
		end++
	}
	if v := s[min(hi+1, end):end]; isCredential(v) && v[0] != '/' {
		return span{hi + 1, end, Secret}, true
	}
	end = lo
	for end > 0 && s[end-1] == ' ' && lo-end < 4 {
		end--
	}
	start := end
	for start > 0 && s[start-1] > ' ' && end-start < maxNameBytes {
		start--
	}
	v := s[start:end]
	return span{start, end, Secret}, isCredential(v) && v[0] != '\\' && !strings.Contains(v, placeholderOpen)
}

// cryptHash looks at the hash of a password as crypt(3) writes it, which starts with the
// '$' at s[i]: $2b$12$…, $6$salt$…, $argon2id$….
func (sc *scanner) cryptHash(s string, i int) (span, bool) {
	if c := at(s, i+1); i < sc.noHash || !isLower(c) && !isDigit(c) {
		return span{}, false
	}
	rest := s[i:]
	least := 0
	for _, p := range [...]struct {
		prefix string
		least  int // bytes of the whole
	}{
		{"$2a$", 59}, {"$2b$", 59}, {"$2y$", 59}, {"$1$", 26}, {"$5$", 50}, {"$6$", 80}, {"$apr1$", 30}, {"$y$", 60},
		{"$argon2i$", 60}, {"$argon2d$", 60}, {"$argon2id$", 60}, {"$pbkdf2", 50}, {"$scrypt$", 50},
	} {
		if strings.HasPrefix(rest, p.prefix) {
			least = p.least
			break
		}
	}
	if least == 0 {
		return span{}, false
	}
	end := cryptSet.run(s, i, 256)
	sc.noHash = end
	for end > i && (s[end-1] == '.' || s[end-1] == ',') && end-i > least {
		end--
	}
	if end-i < least || !random.open(s[i+4:end]) {
		return span{}, false
	}
	return span{i, end, Secret}, true
}

var cryptSet = newCharset("./$=,+-", isAlnum)

// oracleUser looks at the password before the '@' at s[i] in the connection string of an
// Oracle driver: jdbc:oracle:thin:user/password@host.
func oracleUser(s string, i int) (span, bool) {
	start := i
	for start > 0 && i-start < 64 && bareSetHas(s[start-1]) && s[start-1] != '/' && s[start-1] != ':' && s[start-1] != '@' {
		start--
	}
	if start == i || at(s, start-1) != '/' {
		return span{}, false
	}
	user := nameSet.before(s, start-1, maxNameBytes)
	if user == start-1 || !strings.HasSuffix(s[:user], ":thin:") && !strings.HasSuffix(s[:user], ":oci:") || isTemplate(s[start:i]) {
		return span{}, false
	}
	return span{user, i, URLCredentials}, true
}

// callArgument looks at a secret in the brackets of a call that open at s[i]: the only
// argument of setPassword("…"), or the second of BasicAuth("user", "…").
func (sc *scanner) callArgument(s string, i int) (span, bool) {
	if sp, ok := sc.secretArgument(s, i); ok {
		return sp, true
	}
	if !isQuote(at(s, i+1)) {
		return span{}, false
	}
	end := i
	if at(s, i-1) == '=' {
		end-- // auth=("user", "…")
	}
	start := nameSet.before(s, end, maxNameBytes)
	name := s[start:end]
	if len(name) < 4 {
		return span{}, false
	}
	v := sc.readValue(s, i+1, false)
	if v.quote == 0 || !v.closed {
		return span{}, false
	}
	if classify(name) != passwordKey && !isTypingMethod(s, i) {
		var buf [maxNameBytes]byte
		low := view(lower(buf[:0], name))
		if !strings.HasSuffix(low, "auth") && !strings.HasSuffix(low, "credentials") && !strings.HasSuffix(low, "credential") && !strings.HasSuffix(low, "login") {
			return span{}, false
		}
		if second := v.end + 1; at(s, second) == ',' {
			v = sc.readValue(s, second, false)
		}
	}
	text := v.head(s)
	if v.quote == 0 || !v.closed || len(text) < 6 || isTemplate(text) || isStandIn(text) || !isCredential(text) || strings.IndexByte(text, ' ') >= 0 {
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

// secretArguments are functions of which an argument is a secret, and which.
var secretArguments = []struct {
	call     string
	argument int
}{
	{"jwt.sign", 2}, {"jwt.verify", 2}, {"jwt.encode", 2}, {"jwt.decode", 2}, {"createHmac", 2}, {"JWT::encode", 2}, {"JWT::decode", 2},
	{"JWT.encode", 2}, {"JWT.decode", 2}, {"hmac.new", 1}, {"mysqli_connect", 3}, {"mysql_connect", 3}, {"new mysqli", 3}, {"new PDO", 3},
	{"getConnection", 3},
}

// secretArgument looks at the secret in the brackets of a call of secretArguments that open
// at s[i], if it is a string.
func (sc *scanner) secretArgument(s string, i int) (span, bool) {
	if i < len("new PDO") {
		return span{}, false
	}
	switch s[i-2 : i] {
	case "gn", "fy", "de", "ac", "ew", "ct", "li", "DO", "on":
	default:
		return span{}, false
	}
	for _, f := range secretArguments {
		if !strings.HasSuffix(s[:i], f.call) {
			continue
		}
		k := nthArgument(s, i, f.argument)
		if k < 0 {
			return span{}, false
		}
		v := sc.readValue(s, k, false)
		text := v.head(s)
		ok := v.quote != 0 && v.closed && len(text) >= 5 && strings.IndexByte(text, ' ') < 0 && !isTemplate(text) && !isStandIn(text) && !strings.Contains(text, placeholderOpen)
		return span{v.start, v.end, Secret}, ok
	}
	return span{}, false
}

// nthArgument returns where the nth argument starts in the brackets that open at s[i], or -1.
// Brackets in arguments are counted; strings with brackets in them are read wrongly.
func nthArgument(s string, i, n int) int {
	open := 0
	limit := min(len(s), i+commandBytes)
	for k := i + 1; k < limit; k++ {
		if n == 1 {
			return k
		}
		if !argumentSigns[s[k]] {
			continue // as most bytes are
		}
		switch s[k] {
		case '(', '{', '[':
			open++
		case ')', '}', ']':
			if open--; open < 0 {
				return -1
			}
		case ',':
			if open == 0 {
				n--
			}
		}
	}
	return -1
}

var argumentSigns = *newCharset("(){}[],", func(byte) bool { return false })
