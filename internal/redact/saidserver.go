package redact

import "strings"

// This file reads what is said to a server or at a prompt: AUTH secret.

// serverAuth looks at the password behind the command AUTH of Redis and its like, or of mail,
// which is s[i:j]: alone in its line, behind a prompt or behind the name of the client. The
// name of a user may come first.
func serverAuth(s string, i, j int) (span, bool) {
	if at(s, j) != ' ' {
		return span{}, false
	}
	line := strings.TrimRight(lineBefore(s, i), " ")
	switch {
	case line == "":
		if s[i:j] != "AUTH" {
			return span{}, false
		}
	case !strings.HasSuffix(line, ">") && !strings.Contains(line, "redis-cli") && !strings.Contains(line, "valkey-cli"):
		return span{}, false
	}
	first := span{start: j + 1, end: argumentEnd(s, j+1)}
	last := first
	if at(s, last.end) == ' ' && last.end < len(s) {
		last = span{start: last.end + 1, end: argumentEnd(s, last.end+1)}
	}
	v := s[last.start:last.end]
	if c := at(s, last.end); c == ' ' && last.end < len(s) || len(v) < 4 || isStandIn(v) || isTemplate(v) || strings.Contains(v, placeholderOpen) {
		return span{}, false // a sentence
	}
	if !isServerPrompt(line) && (!isCredential(v) || !strings.ContainsFunc(v, func(r rune) bool { return r >= 'a' && r <= 'z' })) {
		return span{}, false // AUTH CRAM-MD5
	}
	return span{last.start, last.end, Secret}, true
}

// argumentEnd returns the end of the argument of a command at s[i].
func argumentEnd(s string, i int) int {
	end := i
	for end < len(s) && end-i < maxNameBytes*2 && s[end] > ' ' && s[end] != '"' && s[end] != '\'' && s[end] != '\\' {
		end++
	}
	return end
}

// isServerPrompt reports whether line ends with the prompt of a server's client: host:6379>,
// or host:6379[1]>.
func isServerPrompt(line string) bool {
	head, ok := strings.CutSuffix(line, ">")
	if k := strings.LastIndexByte(head, '['); ok && k > 0 && strings.HasSuffix(head, "]") {
		head = head[:k]
	}
	k := strings.LastIndexByte(head, ':')
	return ok && k > 0 && allDigits(head[k+1:])
}

// notAnswers are words with which what follows "security answer:" is a sentence about it.
var notAnswers = words(`required optional mandatory needed missing invalid incorrect correct wrong must should does not is was
	are matches matched mismatch accepted rejected verified provided none yes no please enter type what which when where
	who how if this that it they you i we case`)

// answerBack is how far before "Answer:" the question is looked for.
const answerBack = 160

// saidAnswer looks at the answer to a security question, behind the word s[i:j]: "security
// answer: …", "Security question: first pet? Answer: …".
func (sc *scanner) saidAnswer(s string, i, j int) (span, bool) {
	k := j
	for k < len(s) && k-j < 3 && (s[k] == ' ' || s[k] == '*') {
		k++
	}
	if c := at(s, k); c != ':' && c != '=' {
		return span{}, false
	}
	if owner := sc.wordBefore(s, i); owner != "security" && owner != "secret" {
		head := s[max(0, i-answerBack):i]
		label := strings.TrimRight(head, " *\"'")
		if label != "" && strings.IndexByte("\n?.:;,)|", label[len(label)-1]) < 0 ||
			!strings.Contains(head, "ecurity question") && !strings.Contains(head, "ecret question") && !strings.Contains(head, "ecurity Question") {
			return span{}, false // security question and answer: …
		}
	}
	for k++; k < len(s) && k-j < 12 && (s[k] == ' ' || s[k] == '*' || isQuote(s[k])); k++ {
	}
	end := k
	for end < len(s) && end-k < maxPersonBytes && strings.IndexByte("\n\r\t\"`;,|<>[]{}()", s[end]) < 0 && !endsSentence(s, end) {
		end++
	}
	for end > k && strings.IndexByte(" '*.!?", s[end-1]) >= 0 {
		end--
	}
	v := s[k:end]
	first, _, _ := strings.Cut(v, " ")
	if len(v) < 3 || notAnswers[strings.ToLower(strings.Trim(first, ".:"))] || isStandIn(v) || isTemplate(v) || isMask(v) {
		return span{}, false
	}
	return span{k, end, Secret}, true
}

// endsSentence reports whether a sentence ends with s[i].
func endsSentence(s string, i int) bool {
	return (s[i] == '.' || s[i] == '!' || s[i] == '?') && (i+1 == len(s) || isSpace(s[i+1]))
}

// argumentsOf looks at the password among the arguments of the command s[i:j] that takes it
// without a flag: htpasswd -b FILE USER secret, rabbitmqctl add_user USER secret, and echo
// USER:secret | chpasswd before the command.
func argumentsOf(s string, i, j int, command string) (span, bool) {
	if command == "chpasswd" {
		return pipedUser(s, i)
	}
	skip, batch := -1, false // arguments before the password
	for k := j; at(s, k) == ' ' && k < len(s) && k-j < commandBytes; {
		start := k + 1
		k = argumentEnd(s, start)
		arg := s[start:k]
		switch {
		case arg == "":
			return span{}, false
		case arg[0] == '-':
			if strings.IndexByte(arg, 'b') > 0 {
				if batch = true; skip < 0 {
					skip = 2 // the file and the user
				}
			}
			if strings.IndexByte(arg, 'n') > 0 {
				skip = 1 // no file
			}
		case arg == "add_user" || arg == "change_password" || arg == "authenticate_user":
			batch, skip = command == "rabbitmqctl", 1
		case !batch:
			return span{}, false
		case skip > 0:
			skip--
		default:
			ok := len(arg) >= 4 && !isStandIn(arg) && !isTemplate(arg) && !strings.Contains(arg, placeholderOpen) && strings.IndexByte("|<>&", arg[0]) < 0
			return span{start, k, Secret}, ok
		}
	}
	return span{}, false
}

// pipedUser looks at the password that is piped into the command at s[i]: echo USER:secret |.
func pipedUser(s string, i int) (span, bool) {
	line := lineBefore(s, i)
	echo, pipe := strings.LastIndex(line, "echo "), strings.LastIndexByte(line, '|')
	if echo < 0 || pipe < echo {
		return span{}, false
	}
	arg := strings.Trim(line[echo+len("echo "):pipe], " \"'")
	user, v, ok := strings.Cut(arg, ":")
	if !ok || user == "" || len(v) < 4 || strings.ContainsAny(v, " \t") || strings.Contains(v, placeholderOpen) || isTemplate(v) || isStandIn(v) {
		return span{}, false
	}
	start := i - len(line) + strings.LastIndex(line[:pipe], v)
	return span{start, start + len(v), Secret}, true
}
