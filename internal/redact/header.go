package redact

import (
	"bytes"
	"encoding/base64"
	"strings"
)

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
		if strings.EqualFold(s[start:word], "digest") {
			// Its parts are as good as a password, one by one.
			if end = v.end; v.quote == 0 || !v.closed {
				for end = k; end < len(s) && end-k < maxValueBytes && s[end] != '\n' && s[end] != '\r' && s[end] != '\\'; end++ {
				}
			}
			return span{k, end, Bearer}, end-k >= 20 && strings.IndexByte(s[k:end], '=') > 0
		}
		start = k
		if v.quote == 0 || !v.closed {
			end = trimValue(s, start, sc.runEnd(s, start, bareSet))
		}
	}
	if start >= end || s[start] == '{' || at(s, end) == '(' {
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

// isBasic reports whether s is user:password in base64, as Basic authentication sends it
// and docker's configuration keeps it.
func isBasic(s string) bool {
	if len(s) < 8 || len(s) > 256 {
		return false
	}
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || bytes.IndexByte(plain, ':') < 1 {
		return false
	}
	for _, c := range plain {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
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
		return sc.flagInList(s, i, end)
	}
	name := s[start:end]
	if name == "user" {
		return sc.curlUser(s, end)
	}
	class := classify(name)
	if class != passwordKey && class != secretKey && class != cookieKey {
		return span{}, false
	}
	v := sc.readValue(s, end, false)
	if class == cookieKey {
		return cookie(s, v)
	}
	if v.start == v.end || !acceptable(s, class, name, v, ' ', false) {
		return span{}, false
	}
	return span{v.start, v.end, Secret}, true
}

// flagInList looks at the value behind the flag s[i:end] in a list of arguments: "--password",
// "x".
func (sc *scanner) flagInList(s string, i, end int) (span, bool) {
	if !isQuote(at(s, i-1)) || at(s, end) != s[i-1] || at(s, end+1) != ',' {
		return span{}, false
	}
	v := sc.readValue(s, end+1, false)
	ok := v.quote == s[i-1] && v.closed && v.end > v.start && flagTakes(s[i:end], v.head(s))
	return span{v.start, v.end, Secret}, ok
}

// flagTakes reports whether v, which follows flag in a list of arguments, is the password or
// token that the flag takes.
func flagTakes(flag, v string) bool {
	if !isCredential(v) || v[0] == '-' || strings.Contains(v, placeholderOpen) {
		return false
	}
	switch classify(flag) {
	case passwordKey:
		return true
	case secretKey:
		return isOpaque(v, minTokenBytes) && strings.IndexByte(v, '=') < 0
	}
	return false
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
	if v.quote != 0 && v.closed && at(s, v.end+1) == ':' && (at(s, v.end+2) == '\'' || at(s, v.end+2) == '"') {
		// "user":"password"
		v.end = sc.readValue(s, v.end+1, false).end
		if user, password, _ := strings.Cut(s[v.start:v.end], ":"); isCredential(strings.Trim(password, `"'{}`)) && !strings.Contains(user, "$") && !strings.Contains(password, "$") {
			return span{v.start, v.end, URLCredentials}, true
		}
		return span{}, false
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
