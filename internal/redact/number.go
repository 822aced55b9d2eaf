package redact

import (
	"net/netip"
	"strings"
)

// number looks at the word s[i:j], which starts with a digit.
func (sc *scanner) number(s string, i, j int) (span, bool) {
	before := at(s, i-1)
	if isDigit(at(s, i-2)) {
		switch field := j-i >= 12 || j-i == 3 && at(s, j) == '-'; {
		case before == ',' && j-i <= 3 && at(s, j) == '.':
			return sc.ipv4(s, i)
		case before == ',' && !field, before == '.':
			return span{}, false // inside a number, and no field of a row
		}
	}
	if sp, ok := sc.hardware(s, i, j); ok {
		return sp, true
	}
	for k := i; k < j; k++ {
		if isDigit(s[k]) {
			continue
		}
		if s[k] == '_' {
			j = k // another word is glued to the number
			break
		}
		if j-i >= 8 && sc.info.treatment != identifier {
			return sc.national(s, i) // 12345678Z
		}
		return span{}, false
	}
	n := j - i
	if sc.info.treatment == identifier {
		if sc.info.has(spared) || !isSeparated(s, j) {
			return span{}, false
		}
	} else if before != '-' && before != '/' && before != '.' && before != '_' && at(s, j) != '_' {
		if sp, ok := sc.national(s, i); ok {
			return sp, true
		}
	}
	next := at(s, j)
	if n <= 3 && next == '.' {
		if sp, ok := sc.ipv4(s, i); ok {
			return sp, true
		}
	}
	if money(s, i) {
		return span{}, false
	}
	if before == '-' && isAlnum(at(s, i-2)) && !isAlpha(at(s, i-2)) {
		return span{}, false // the middle of a number with hyphens
	}
	if n >= 12 || n == 4 && (next == ' ' || next == '-') {
		if sp, ok := sc.card(s, i); ok {
			return sp, true
		}
	}
	if n == 3 || n == 9 || n == 5 {
		if sp, ok := sc.ssn(s, i, j); ok {
			return sp, true
		}
	}
	return sc.phone(s, i)
}

// isSeparated reports whether the digits that end before s[j] go on behind a separator:
// nobody writes ids that way.
func isSeparated(s string, j int) bool {
	switch c := at(s, j); c {
	case ' ', '-', '.', '/', ')':
		next := at(s, j+1)
		return isDigit(next) || next == '(' || next == ' ' && c == ')' || next == '-' && c == ')'
	}
	return false
}

// isGlued reports whether a word ends at the '-' or '_' before s[i]: sess-4539…
func isGlued(s string, i int) bool {
	c := at(s, i-1)
	return (c == '-' || c == '_') && isAlpha(at(s, i-2))
}

// money reports whether the sign before s[i] makes a number there an amount, or an
// item's number.
func money(s string, i int) bool {
	switch c := at(s, i-1); c {
	case '$', '#':
		return true
	default:
		return c >= 0x80 && (strings.HasSuffix(s[:i], "£") || strings.HasSuffix(s[:i], "¥") || strings.HasSuffix(s[:i], "€"))
	}
}

// card looks at a payment card number that starts at s[i]: 12 to 19 digits, bare or in
// the groups that are printed on cards.
func (sc *scanner) card(s string, i int) (span, bool) {
	var digits [20]byte
	var groups [20]int
	n, ngroups, size := 0, 0, 0
	sep := byte(0)
	end := i
	for k := i; k < len(s) && n < len(digits); k++ {
		c := s[k]
		if isDigit(c) {
			digits[n] = c
			n++
			size++
			end = k + 1
			continue
		}
		if (c != ' ' && c != '-') || sep != 0 && c != sep || !isDigit(at(s, k+1)) {
			break
		}
		if ngroups == 0 && n >= 12 || n == 16 && allDigits(s[k+1:min(k+5, len(s))]) && k+5 <= len(s) {
			break // the number is complete: another follows
		}
		sep = c
		groups[ngroups] = size
		ngroups++
		size = 0
	}
	groups[ngroups] = size
	ngroups++
	if n > 19 || n < 12 {
		return span{}, false
	}
	if ngroups > 1 && !cardGroups(groups[:ngroups], n) {
		return span{}, false
	}
	if ngroups == 1 && sc.info.treatment == identifier {
		return span{}, false
	}
	next := at(s, end)
	if isAlpha(next) || next == '@' || (next == '.' || next == '-' || next == '_') && isDigit(at(s, end+1)) {
		return span{}, false
	}
	if !luhn(s[i:end]) {
		return span{}, false
	}
	switch before := at(s, i-1); {
	case before == '-' || before == '_':
		// Bare digits there are the end of some id (ca-pub-4111…), unless the word says
		// what they are.
		if !isGlued(s, i) || ngroups == 1 && !sc.near(s, i, 1).has(hintCard) && (before == '-' || sc.near(s, i, 2).has(hintIdentifier)) {
			return span{}, false
		}
	case before == '.' || before == '/' && ngroups == 1:
		return span{}, false // the end of some id or of a path
	}
	if sc.info.treatment == cardLike {
		return span{i, end, Card}, true
	}
	if issuer(view(digits[:n])) && (n < 19 || ngroups > 1) && (ngroups > 1 || !sc.near(s, i, 1).has(hintIdentifier)) {
		return span{i, end, Card}, true
	}
	return span{i, end, Card}, sc.near(s, i, 4).has(hintCard)
}

// cardGroups reports whether n digits are grouped as on cards: in fours, or 4-6-5 and
// 4-6-4 (American Express, Diners Club).
func cardGroups(groups []int, n int) bool {
	if len(groups) == 3 {
		return groups[0] == 4 && groups[1] == 6 && (n == 15 || n == 14)
	}
	for _, g := range groups[:len(groups)-1] {
		if g != 4 {
			return false
		}
	}
	return len(groups) >= 3
}

// luhn reports whether the digits of s, of which there is at least one, end in the
// check digit of ISO/IEC 7812.
func luhn(s string) bool {
	sum, double, nonzero := 0, false, false
	for i := len(s) - 1; i >= 0; i-- {
		if !isDigit(s[i]) {
			continue
		}
		d := int(s[i] - '0')
		nonzero = nonzero || d != 0
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return nonzero && sum%10 == 0
}

// issuer reports whether a card number's first digits and its length belong to one of
// the large schemes.
func issuer(s string) bool {
	prefix := func(n int) int {
		v := 0
		for _, c := range []byte(s[:n]) {
			v = v*10 + int(c-'0')
		}
		return v
	}
	two, three, four, n := prefix(2), prefix(3), prefix(4), len(s)
	switch {
	case s[0] == '4': // Visa
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720: // Mastercard
		return n == 16
	case two == 34, two == 37: // American Express
		return n == 15
	case two == 65, four == 6011, three >= 644 && three <= 649: // Discover
		return n >= 16
	case two == 62: // UnionPay
		return n >= 16
	case four >= 3528 && four <= 3589: // JCB
		return n >= 16
	case two == 36, two == 38, two == 39, three >= 300 && three <= 305: // Diners Club
		return n == 14 || n == 16
	case four == 5018, four == 5020, four == 5038, four == 5893, four == 6304, four == 6759, four >= 6761 && four <= 6763: // Maestro
		return n >= 12
	case four == 5019: // Dankort
		return n == 16
	case four >= 2200 && four <= 2204: // Mir
		return n >= 16
	}
	return false
}

// ssn looks at a US social security or taxpayer number whose first word is s[i:j].
func (sc *scanner) ssn(s string, i, j int) (span, bool) {
	var area, group, serial string
	end := 0
	context := true // needed
	switch j - i {
	case 9:
		area, group, serial, end = s[i:i+3], s[i+3:i+5], s[i+5:j], j
	case 3:
		sep := at(s, j)
		if sep != '-' && sep != ' ' && sep != '.' {
			return span{}, false
		}
		switch {
		case i+11 <= len(s) && s[i+6] == sep && allDigits(s[i+4:i+6]) && allDigits(s[i+7:i+11]):
			area, group, serial, end = s[i:j], s[i+4:i+6], s[i+7:i+11], i+11
			// With spaces or dots it may be a row of figures.
			context = sep != '-' && (figure(s, i-1, -1) || figure(s, i+11, 1))
		case i+10 <= len(s) && sep == '-' && allDigits(s[i+4:i+10]):
			area, group, serial, end = s[i:j], s[i+4:i+6], s[i+6:i+10], i+10
		default:
			return span{}, false
		}
	case 5: // with a hyphen it looks like a ZIP+4
		if i+10 > len(s) || s[j] != '-' || !allDigits(s[i+6:i+10]) {
			return span{}, false
		}
		area, group, serial, end = s[i:i+3], s[i+3:j], s[i+6:i+10], i+10
	}
	next := at(s, end)
	if isAlnum(next) || next == '@' || (next == '-' || next == '.' || next == '_') && isDigit(at(s, end+1)) {
		return span{}, false
	}
	if before := at(s, i-1); (before == '-' || before == '_') && !isGlued(s, i) || before == '/' || before == '.' {
		return span{}, false
	}
	if group == "00" || serial == "0000" || area == "000" || area == "666" {
		return span{}, false
	}
	if area[0] == '9' && (group < "50" || group > "65" && group < "70" || group == "89" || group == "93") {
		return span{}, false // neither a social security nor a taxpayer number
	}
	if context && !sc.near(s, i, 6).has(hintSSN) {
		return span{}, false
	}
	return span{i, end, SSN}, true
}

// figure reports whether the nearest character from s[i] on, in steps of step and over
// spaces, belongs to a number.
func figure(s string, i, step int) bool {
	for n := 0; n < 4 && at(s, i) == ' ' && i >= 0 && i < len(s); n++ {
		i += step
	}
	c := at(s, i)
	return isDigit(c) || c != ' ' && strings.IndexByte("+-*/=.,%$", c) >= 0 && isDigit(at(s, i+step))
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return len(s) > 0
}

// ipv4 looks at a dotted quad that starts at s[i]. Versions are written alike: without
// context only what no version is like goes.
func (sc *scanner) ipv4(s string, i int) (span, bool) {
	end, dots, octet, digits, high := i, 0, 0, 0, 0
	for ; end < len(s) && end-i < 16; end++ {
		c := s[end]
		if c == '.' {
			if digits == 0 || dots == 3 {
				break
			}
			dots, octet, digits = dots+1, 0, 0
			continue
		}
		if !isDigit(c) {
			break
		}
		octet, digits = octet*10+int(c-'0'), digits+1
		if octet == 100 || digits == 3 && octet > 100 {
			high++
		}
	}
	if dots != 3 || digits == 0 {
		return span{}, false
	}
	addr, err := netip.ParseAddr(s[i:end])
	if err != nil {
		return span{}, false
	}
	next := at(s, end)
	octets := addr.As4()
	// An id is no version, and versions have no such figures: their parts are small, the
	// first of them most of all.
	id := sc.info.treatment == identifier && !sc.info.has(version)
	proven := id || octets[0] >= 100 && high >= 2
	if isAlnum(next) || (next == '.' || next == '-' || next == '+' || next == '_') && isDigit(at(s, end+1)) ||
		!proven && (next == '_' || (next == '.' || next == '-' || next == '+') && isAlpha(at(s, end+1)) && !(next == '.' && isUpper(at(s, end+1)))) {
		return span{}, false
	}
	before := at(s, i-1)
	port := next == ':' && isDigit(at(s, end+1))
	everywhere := addr.IsLoopback() || addr.IsUnspecified()
	switch {
	case everywhere && port, addr.IsLoopback() && next == '/' && isDigit(at(s, end+1)):
		return span{}, false // where a service of this machine listens
	case addr.IsUnspecified() && next == '/' && at(s, end+1) == '0' && !isDigit(at(s, end+2)) && (sc.info.treatment == address || !sc.wholeLine(s, i, end+2)):
		return span{}, false // any address
	case octets[0] == 255 && isMaskNamed(s, i):
		return span{}, false
	}
	if (addr.IsLoopback() || addr.IsUnspecified() || addr == metadataServer) && (sc.info.treatment == address || before != ' ' && before != ':' || !isAlpha(at(s, i-2)) && at(s, i-2) != ':' && before != ':') &&
		!(next == '/' && isDigit(at(s, end+1))) {
		return span{}, false // every machine has it; in a sentence nothing tells it from others
	}
	h := sc.near(s, i, 4)
	strong := id || sc.info.treatment == address || octets[0] >= 100 || octets == [4]byte{} || high >= 2 || high == 1 && octets[0] >= 20 || addr.IsLinkLocalUnicast() ||
		h.has(hintAddress) || h.has(hintOrigin) && !h.has(hintVersion) || before == '@' || next == '@' || before == '/' && at(s, i-2) == '/'
	if port {
		strong = true
	}
	if next == '/' && isDigit(at(s, end+1)) {
		k := end + 1
		for k < len(s) && k-end <= 2 && isDigit(s[k]) {
			k++
		}
		if !isAlnum(at(s, k)) && at(s, k) != '/' && at(s, k) != '.' {
			strong, end = true, k // a prefix length
		} else if octets[0] == 10 {
			strong = true // a private network and something else
		}
	}
	if h := sc.near(s, i, 2); proven && (id || before == '-' || before == '_' || before == '=' && !isAlnum(at(s, i-3)) && at(s, i-2) == 'v') {
		strong = true // sess-203.0.113.77, v=203.0.113.77
	} else if h.has(hintVersion) && !h.has(hintAddress) || before == '-' || before == '_' || before == '.' ||
		before == '=' && (at(s, i-2) == '=' || at(s, i-2) == '>' || at(s, i-2) == '<' || at(s, i-2) == '~') ||
		before == '/' && isAlpha(at(s, i-2)) {
		strong = false // Chrome/11.5.5.14, package==11.5.5.14, version 11.5.5.14
	}
	if !strong && (sc.info.has(version) || !sc.wholeLine(s, i, end)) {
		return span{}, false
	}
	return span{i, end, IP}, true
}

// isMaskNamed reports whether the word before s[i] says that a mask of addresses follows:
// netmask 255.255.255.0.
func isMaskNamed(s string, i int) bool {
	end := i
	for end > 0 && i-end < 4 && strings.IndexByte(" :=\"'", s[end-1]) >= 0 {
		end--
	}
	return end >= 4 && strings.EqualFold(s[end-4:end], "mask")
}

// metadataServer is where every virtual machine of a cloud asks about itself.
var metadataServer = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// wholeLine reports whether s[i:end] is all of a line.
func (sc *scanner) wholeLine(s string, i, end int) bool {
	first := i == 0 && sc.ncontext == 0 || i > 0 && s[i-1] == '\n'
	return first && (end == len(s) || s[end] == '\n' || s[end] == '\r')
}

// colons looks at the run of hex digits, ':' and '.' around the ':' at s[i]: an IPv6 or
// a hardware address.
func (sc *scanner) colons(s string, i int) (span, bool) {
	m := &sc.runs[addressSet]
	if m.start <= i && i < m.end {
		return span{}, false // looked at before
	}
	start := sets[addressSet].before(s, i, 5)
	end := sets[addressSet].run(s, i, len(s))
	*m = memo{start, end}
	for end > i && s[end-1] == '.' || end > i+1 && s[end-1] == ':' && s[end-2] != ':' {
		end-- // the end of a sentence
	}
	named := start > 0 && isAlnum(s[start-1]) && isHex(at(s, i+1))
	if named {
		start = i + 1 // user:2001:db8::7
	}
	glued := at(s, start-1) == '_' || at(s, end) == '_' // x_2001:db8::7_y, but not a_1::b
	if end-start < 2 || end-start > 45 || !named && start > 0 && isAlnum(s[start-1]) || isAlnum(at(s, end)) ||
		glued && strings.Count(s[start:end], ":") < 3 {
		return span{}, false
	}
	if at(s, start-1) == '\\' && start < i {
		start++ // the letter of an escape
	}
	run := s[start:end]
	if end-start == 17 {
		if isHardware(run, ':') {
			return span{start, end, MAC}, true
		}
	}
	if strings.Count(run, ":") < 2 || !strings.Contains(run, "::") && strings.Count(run, ":") != 7 && strings.IndexByte(run, '.') < 0 {
		return span{}, false
	}
	if !named && at(s, start-1) == ':' || !isAlnum(s[end-1]) && end-start == 2 && at(s, end) != ' ' && end < len(s) {
		return span{}, false
	}
	addr, err := netip.ParseAddr(run)
	if err != nil {
		return span{}, false
	}
	if addr.IsLoopback() || addr.IsUnspecified() {
		// Operators of programs are written alike.
		prefix := at(s, end) == '/' && isDigit(at(s, end+1))
		if !prefix && !sc.near(s, start, 2).has(hintAddress|hintOrigin) {
			return span{}, false
		}
		if prefix {
			for end++; end < len(s) && isDigit(s[end]); end++ {
			}
		}
		return span{start, end, IP}, true
	}
	// x[1::2] and bad::c0de parse as well.
	longest, size, someDigit := 0, 0, false
	for _, c := range []byte(run) {
		if c == ':' || c == '.' {
			size = 0
			continue
		}
		size++
		longest = max(longest, size)
		someDigit = someDigit || isDigit(c)
	}
	if !someDigit || longest < 3 && strings.IndexByte(run, '.') < 0 {
		return span{}, false
	}
	if at(s, end) == '%' { // a zone
		zone := sets[tokenSet].run(s, end+1, 16)
		if zone > end+1 {
			end = zone
		}
	}
	if at(s, end) == '/' && isDigit(at(s, end+1)) { // a prefix length
		k := end + 1
		for k < len(s) && k-end <= 3 && isDigit(s[k]) {
			k++
		}
		if !isAlnum(at(s, k)) {
			end = k
		}
	}
	return span{start, end, IP}, true
}

// hardware looks at a hardware address with hyphens or dots whose first word is s[i:j].
func (sc *scanner) hardware(s string, i, j int) (span, bool) {
	switch {
	case j-i == 2 && at(s, j) == '-' && i+17 <= len(s) && isHardware(s[i:i+17], '-'):
		if next := at(s, i+17); !wordSet[next] && next != '-' && at(s, i-1) != '-' {
			return span{i, i + 17, MAC}, true
		}
	case j-i == 4 && at(s, j) == '.' && i+14 <= len(s) && s[i+9] == '.':
		// The dotted form is also that of decimal numbers: only with a letter or context.
		letters := false
		for k := i; k < i+14; k++ {
			if k == i+4 || k == i+9 {
				continue
			}
			if !isHex(s[k]) {
				return span{}, false
			}
			letters = letters || isAlpha(s[k])
		}
		if next := at(s, i+14); wordSet[next] || next == '.' && isAlnum(at(s, i+15)) || at(s, i-1) == '.' {
			return span{}, false
		}
		if letters && sc.near(s, i, 4).has(hintHardware) {
			return span{i, i + 14, MAC}, true
		}
	}
	return span{}, false
}

// isHardware reports whether s is six pairs of hex digits, not all zeros or ones.
func isHardware(s string, sep byte) bool {
	zeros, ones := true, true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if i%3 == 2 {
			if c != sep {
				return false
			}
			continue
		}
		if !isHex(c) {
			return false
		}
		zeros = zeros && c == '0'
		ones = ones && c|0x20 == 'f'
	}
	return !zeros && !ones
}
