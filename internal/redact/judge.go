package redact

import "strings"

// acceptable reports whether the value v of a name of the given class is a secret.
func acceptable(s string, class keyClass, name string, v value, op byte, inQuery bool) bool {
	text := v.head(s)
	if len(text) < 4 || isTemplate(text) {
		return false
	}
	ok := false
	switch {
	case class == opaqueKey:
		min := 20
		if inQuery {
			min = 16
		}
		prose := op == ':' && v.quote == 0 && !strings.ContainsAny(name, "_-") && !isUpper(name[0])
		ok = !prose && isOpaque(text, min) && !isFiller(text) || v.quote != 0 && isBasic(text)
	case strings.ContainsAny(text, " \n"):
	case class == passwordKey && v.quote != 0:
		ok = len(text) >= 5 && !isLabel(text)
	case class == passwordKey:
		// A bare word: only where it cannot be a variable or a sentence.
		ok = isCredential(text) || op == '=' && (inQuery || s[v.start-1] == '=' &&
			(at(s, v.end) == ';' || at(s, v.end) == '&' || allCapitals(name)))
	case len(text) >= 12 && op == '=' && allCapitals(name) && digits2.open(text) && random.open(text) && isOpaque(text, 12) && !isFiller(text):
		ok = true // a variable of the environment
	case len(text) < minTokenBytes && op != '"' && !strings.HasSuffix(strings.ToLower(name), "secret") || len(text) < 8 || allDigits(text) && len(text) < 12:
	case isFiller(text) || isUUID(text) && isTokenName(name) && !(op == '=' && allCapitals(name)):
	default:
		ok = isCredential(text) ||
			v.quote != 0 && len(text) >= 16 && isCodeName(text) && !strings.ContainsAny(text, "_.")
	}
	return ok && !(v.quote == 0 && isCode(s, v)) && !isStandIn(text)
}

// minTokenBytes is the length from which the value of a token or a key counts without a
// vendor's shape: what machines draw at random is longer, what documentation makes up is
// often shorter.
const minTokenBytes = 16

// isTokenName reports whether name says no more than that its value is some token:
// sessions and requests have such, too, and theirs are UUIDs.
func isTokenName(name string) bool {
	if len(name) < 5 || !strings.EqualFold(name[len(name)-5:], "token") {
		return false
	}
	var parts nameParts
	parts.split(name)
	switch parts.last(1) {
	case "api", "access", "secret", "private", "bearer", "refresh":
		return false
	}
	return true
}

// isUUID reports whether s is a UUID.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (s[i] == '-') || !hyphen && !isHex(s[i]) {
			return false
		}
	}
	return true
}

// fillers are words of which documentation makes keys that are none. Short words are
// not among them: they occur in random text by chance.
var fillers = func() (byLetter [26][]string) {
	for w := range words(`example sample placeholder your token secret here short long check checking length exactly chars failing
		correct seems hello world helloworld test testing testin pretty prefix extra password dummy fake changeme redacted
		insert replace longer invalid tokens fakekey demo mykey apikey value`) {
		byLetter[w[0]-'a'] = append(byLetter[w[0]-'a'], w)
	}
	return byLetter
}()

// minFillerBytes is the length from which a word, or a run that repeats or counts, is
// taken for filler.
const minFillerBytes = 4

// isFiller reports whether half of s or more is no random text: one character again and
// again, the alphabet, counting, or words of documentation. Long values that count are
// not taken for it.
func isFiller(s string) bool {
	return covered(s, true, len(s) < minCountedBytes) || strings.Contains(s, demoKey)
}

// isWordy reports whether half of s or more is words of documentation.
func isWordy(s string) bool { return covered(s, false, false) }

const (
	// minCountedBytes is the length from which a value goes also when it counts
	// (0123456789abcdef…): documentation that goes to such lengths costs nothing.
	minCountedBytes = 40
	// demoKey is in the secret key of Amazon's documentation, which is everywhere.
	demoKey = "bPxRfiCYEXAMPLE"
)

// covered reports whether words, and if asked for runs that repeat or count, make half
// of s or more.
func covered(s string, repeats, counts bool) bool {
	if len(s) > maxStandInBytes {
		s = s[:maxStandInBytes]
	}
	var buf [maxStandInBytes]byte
	low := lower(buf[:0], s)
	n := 0
	for i := 0; i < len(low); {
		best := 0
		if repeats || low[i] == 'x' {
			best = stepping(low[i:], 0)
		}
		if counts {
			best = max(best, stepping(low[i:], 1))
		}
		if best < minFillerBytes {
			best = 0
		}
		if isLower(low[i]) {
			for _, w := range fillers[low[i]-'a'] {
				if len(w) > best && len(w) <= len(low)-i && string(low[i:i+len(w)]) == w {
					best = len(w)
				}
			}
		}
		n += best
		i += max(best, 1)
	}
	return 2*n >= len(s)
}

// stepping returns how many bytes at the start of s are each the one before it plus
// step; after 9 comes 0.
func stepping(s []byte, step byte) int {
	n := 1
	for n < len(s) && (s[n] == s[n-1]+step || step == 1 && s[n] == '0' && s[n-1] == '9') {
		n++
	}
	return n
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
	if len(s) < 5 || isTemplate(s) || strings.IndexByte(s, ' ') >= 0 {
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
	ok := uppers >= 3 && uppers < letters-2 && len(s) >= 12
	switch {
	case s[0] == '/' || strings.Contains(s, "://"):
		ok = digits >= 3 && signs > 0
	case digits > 0:
		ok = letters > 0 || len(s) >= 6
	case signs > 0 && letters > 0:
		ok = true
	}
	return ok && !isStandIn(s)
}

// isOpaque reports whether s, of at least min bytes, looks drawn at random: no spaces,
// letters and digits mixed, many different characters, not a path, an address or a name.
func isOpaque(s string, min int) bool {
	if len(s) < min || len(s) > maxValueBytes {
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
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
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
	return different >= 8 && digits >= 2 && letters >= 2 && !isTemplate(s) && !isStandIn(s)
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
	if different <= 1 || 2*masked > len(s) || strings.Contains(s, "########") || strings.Contains(s, "********") {
		return true
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && c != '_' && c != '-' && c != '.' && c != ' ' {
			return false // no word has it
		}
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

// isMask reports whether s is one character again and again.
func isMask(s string) bool {
	for i := 1; i < len(s); i++ {
		if s[i] != s[0] {
			return false
		}
	}
	return true
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
