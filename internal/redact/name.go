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

// classify says what the name of a value promises.
func classify(name string) keyClass {
	// Only names that end like one of the words below are worth splitting.
	n := len(name)
	for n > 0 && (isDigit(name[n-1]) || name[n-1] == '_' || name[n-1] == '-' || name[n-1] == '.') {
		n--
	}
	if n < 3 && !strings.EqualFold(name[:n], "pw") {
		return noKey
	}
	switch name[n-1] | 0x20 {
	case 'd', 't', 'n', 'y', 's', 'h', 'e', 'g', 'w', 'k', 'p', 'a', 'o', 'r':
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
	if len(name) > maxNameBytes {
		name = name[len(name)-maxNameBytes:] // the end counts
	}
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
	endpoint budget rate usage used remaining non`)

// notKeys are words that make a "key" the name of something.
var notKeys = words(`crew agent task node run step thread message tool trace span`)

// foreignNames are words of other languages for a password, as they stand in forms and
// configurations.
var foreignNames = words(`kennwort senha contrasena wachtwoord passord losenord adgangskode salasana haslo heslo lozinka motdepasse mdp sifre`)

// keyOwners are words that make a "key" a secret.
var keyOwners = words(`api secret access private auth encryption signing account service master shared storage
	license app client admin deploy consumer webhook subscription integration write ingest ssh ssl tls session
	security server`)

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
		if notSecret[p.last(i)] || w == "key" && notKeys[p.last(i)] {
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
	if w == "base" && p.last(1) == "key" { // SECRET_KEY_BASE
		return secretKey
	}
	switch {
	case ends("password", "passwd", "passwort", "pwd", "passphrase", "passcode"), w == "pass", w == "pw", w == "psk", foreignNames[w]:
		return passwordKey
	case w == "answer" && (p.last(1) == "security" || p.last(1) == "secret"):
		return passwordKey
	case w == "authorization":
		return authorizationKey
	case w == "cookie":
		return cookieKey
	case ends("secret", "apikey", "dockerconfigjson", "dockercfg", "secretkey", "accesskey", "privatekey", "authkey"), ends("token") && !ends("webtoken"), w == "creds", w == "credential", w == "credentials":
		return secretKey
	case w == "data" && p.last(1) == "key" && p.last(2) == "client": // of a kubeconfig
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
