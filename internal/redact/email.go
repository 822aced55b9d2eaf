package redact

import "strings"

const (
	maxLocalBytes  = 128 // before the '@': RFC 5321 allows 64, percent-encoding makes it longer
	maxDomainBytes = 255 // RFC 1035
)

var (
	localSet  = newCharset("._%+-'!#$*^~|&?/={}`", func(c byte) bool { return isAlnum(c) || c >= 0x80 })
	domainSet = newCharset(".-", func(c byte) bool { return isAlnum(c) || c >= 0x80 })
)

// notDomains are ends of file names that no top-level domain has: logo@2x.png.
var notDomains = map[string]bool{
	"png": true, "jpg": true, "jpeg": true, "gif": true, "svg": true, "webp": true, "ico": true,
	"js": true, "ts": true, "tsx": true, "jsx": true, "css": true, "html": true, "htm": true,
	"json": true, "yaml": true, "yml": true, "toml": true, "txt": true, "xml": true, "pdf": true,
	"csv": true, "mp3": true, "mp4": true, "exe": true, "dll": true, "jar": true, "whl": true, "gz": true,
}

// email looks at an address whose '@' is s[i:j], written "@" or "%40".
func (sc *scanner) email(s string, i, j int) (span, bool) {
	end := domainSet.run(s, j, maxDomainBytes)
	for end > j && (s[end-1] == '.' || s[end-1] == '-') {
		end--
	}
	n := domainLen(s[j:end])
	if n == 0 {
		return span{}, false
	}
	end = j + n
	start := localSet.before(s, i, maxLocalBytes)
	// In a URL or a query the local part follows a separator that it could contain.
	if sep := strings.LastIndexAny(s[start:i], "=/?&{}`|'"); sep >= 0 {
		start += sep + 1
	}
	if at(s, start-1) == '\\' && start < i {
		start++ // the letter of an escape: \nuser@example.com
	}
	for start < i && (s[start] == '.' || s[start] == '-' || s[start] == '#' || s[start] == '*' || s[start] == '!') {
		start++
	}
	if start == i || s[i-1] == '.' {
		return span{}, false
	}
	switch s[start:i] {
	case "noreply", "no-reply", "donotreply", "do-not-reply":
		return span{}, false // nobody
	}
	if s[start:i] == "git" && (at(s, end) == ':' || at(s, end) == '/') {
		return span{}, false // git@github.com:owner/repository
	}
	if sp, ok := displayName(s, start, end); ok {
		return sp, true // the address is the next finding
	}
	return span{start, end, Email}, true
}

// domainLen returns the length of the domain that s starts with, or 0. What follows the
// domain may be glued to it (example.com-x, example.com.json): then its last label must
// be one of the usual ones.
func domainLen(s string) int {
	if s == "" || s[0] == '-' || s[0] == '.' {
		return 0
	}
	if dots := strings.Index(s, ".."); dots >= 0 {
		s = s[:dots]
	}
	dot := strings.LastIndexByte(s, '.')
	if dot > 0 && isTopLevel(s[dot+1:]) {
		return len(s)
	}
	for ; dot > 0; dot = strings.LastIndexByte(s[:dot], '.') {
		label := dot + 1
		for label < len(s) && isAlpha(s[label]) {
			label++
		}
		if c := at(s, label); c != ' ' && c != '-' && c != '.' {
			continue
		}
		var buf [8]byte
		if n := label - dot - 1; n >= 2 && n <= len(buf) && usualTopLevel[string(lower(buf[:0], s[dot+1:label]))] {
			return label
		}
	}
	return 0
}

// usualTopLevel are the domains under which nearly all addresses are.
var usualTopLevel = words(`com org net edu gov mil int info biz name dev app cloud online site xyz tech
	ai io co me tv cc us ca mx br ar cl pe uk ie fr de at ch nl be lu it es pt gr se no dk fi is pl cz sk hu ro bg hr si
	rs ua ru by ee lv lt tr il ae sa eg za ng ke ma in pk bd lk cn hk tw jp kr sg my th vn ph id au nz eu`)

// isTopLevel reports whether label can be a top-level domain.
func isTopLevel(label string) bool {
	if foldPrefix(label, "xn--") {
		return len(label) > 4
	}
	if len(label) < 2 {
		return false
	}
	for _, c := range []byte(label) {
		if !isAlpha(c) && c < 0x80 {
			return false
		}
	}
	var buf [8]byte
	return len(label) > len(buf) || !notDomains[string(lower(buf[:0], label))]
}

// maxUserinfoBytes bounds the user and password of a URL.
const maxUserinfoBytes = 512

// urlUserinfo looks at the user and password in a URL whose "://" is at s[i:].
func urlUserinfo(s string, i int) (span, bool) {
	start := i + 3
	end, colon := -1, -1
	for j := start; j < len(s) && j-start < maxUserinfoBytes; j++ {
		c := s[j]
		if c == '@' {
			end = j // the last one: passwords may contain '@'
			continue
		}
		if c == ':' && colon < 0 {
			colon = j
		}
		if c <= ' ' || strings.IndexByte("/?#\"'<>\\`,", c) >= 0 {
			break
		}
	}
	if end < 0 {
		return span{}, false
	}
	if colon < 0 || colon > end {
		// A token alone, as in a Sentry DSN.
		if isOpaque(s[start:end], 16) {
			return span{start, end, URLCredentials}, true
		}
		return span{}, false
	}
	password := s[colon+1 : end]
	if password == "" || isTemplate(password) || isStandIn(password) && isStandIn(s[start:colon]) && isLocal(s[end+1:]) {
		return span{}, false
	}
	if connectionSchemes[scheme(s, i)] {
		// A connection string goes as a whole: host and database are half of the way in.
		for end < len(s) && end-start < maxUserinfoBytes && bareSetHas(s[end]) {
			end++
		}
		end = trimValue(s, start, end)
	}
	return span{start, end, URLCredentials}, true
}

// isLocal reports whether s begins with the name of the machine itself, or of none.
func isLocal(s string) bool {
	for _, host := range [...]string{"localhost", "127.0.0.1", "[::1]", "host", "hostname", "example.com", "example.org", "db.example.com"} {
		if strings.HasPrefix(s, host) && !nameSet[at(s, len(host))] {
			return true
		}
	}
	return false
}

// connectionSchemes are the schemes of databases and queues.
var connectionSchemes = words(`postgres postgresql mysql mariadb mongodb mongodb+srv redis rediss amqp amqps mssql sqlserver
	oracle cockroachdb clickhouse cassandra couchdb neo4j bolt ldap ldaps nats kafka db2 snowflake`)

// scheme returns the scheme of the URL whose "://" is at s[i:].
func scheme(s string, i int) string {
	start := i
	for start > 0 && i-start < 16 && (isAlnum(s[start-1]) || s[start-1] == '+') {
		start--
	}
	return s[start:i]
}
