package redact

import (
	"slices"
	"strings"
)

// Rows of data name their columns once: in a line before them, as in CSV, Markdown and the
// output of databases, or in the statement that inserts them.

const (
	maxHeaderLine = 512 // bytes of the line that names the columns, on each side of a name
	maxTableBytes = 64 << 10
	maxColumns    = 32
)

// fieldEnds are what can stand behind the name of a column, or a word between brackets.
var fieldEnds = newCharset(",;\t|\n\r)]}\"'`", func(byte) bool { return false })

// columnEnds and columnWords say of the names that promise something how they end, in two
// letters, and how long those are, as bits, that begin and end with a letter: most words in
// signs are ruled out by that.
var columnEnds, columnWords = func() (ends [32][32]bool, lengths [32][32]uint32) {
	add := func(list string) {
		for w := range words(list) {
			n := len(w)
			ends[w[n-2]&31][w[n-1]&31] = true
			lengths[w[0]&31][w[n-1]&31] |= 1 << min(n, 31)
		}
	}
	for _, list := range alwaysKeys {
		add(list)
	}
	for _, list := range alwaysSuffixes {
		add(list)
	}
	add(hintKeys[phoneLike])
	add(hintKeys[cardLike])
	add("pass token creds psk email key")
	return ends, lengths
}()

// A column is what the header says about the fields of a column.
type column struct {
	info  keyInfo
	class keyClass
	name  string
}

// named reports whether the header promises something to hide in c.
func (c column) named() bool {
	return c.class == passwordKey || c.class == secretKey || c.info.treatment == always || c.info.treatment == phoneLike || c.info.treatment == cardLike
}

// A table is a header that was read.
type table struct {
	columns [maxColumns]column
	fields  [maxColumns]memo
	n       int
	sep     byte
	// strict reports that this is no sentence: the names have no spaces, and there are three
	// of them or more, or they are about persons.
	strict bool
}

// mayNameColumn reports whether the word s[i:j] looks like the name of something to hide: one
// of a single word, or one of several of which the last ends alike.
func mayNameColumn(s string, i, j int) bool {
	if j-i < 3 || !columnEnds[s[j-2]&31][s[j-1]&31] {
		return false
	}
	if columnWords[s[i]&31][s[j-1]&31]>>min(j-i, 31)&1 != 0 {
		return true
	}
	for k := i + 1; k < j; k++ {
		if s[k] == '_' || isUpper(s[k]) && isLower(s[k-1]) {
			return true // user_password, userPassword
		}
	}
	return false
}

// header looks at the word s[i:j] as the name of a column, and at the fields below it: what
// the names say must go goes. The first finding is returned, the others are queued.
func (sc *scanner) header(s string, i, j int) (span, bool) {
	if i < sc.noTable || !mayNameColumn(s, i, j) {
		return span{}, false
	}
	if i > 0 && isQuote(s[i-1]) && at(s, j) == s[i-1] {
		i, j = i-1, j+1
	}
	if !endsField(s, j) {
		return span{}, false
	}
	for n := 0; n < 2 && !startsField(s, i) && at(s, i-1) == ' '; n++ {
		i = wordSet.before(s, i-1, maxNameBytes) // Secret access key
	}
	if !startsField(s, i) {
		return span{}, false
	}
	name := strings.Trim(s[i:j], "\"'`")
	if class := classify(name); class != passwordKey && class != secretKey && !(column{info: sc.policy.key(keyInfo{}, name)}).named() && !strings.EqualFold(name, "email") {
		return span{}, false
	}
	lo := max(0, i-maxHeaderLine)
	hi := min(len(s), j+maxHeaderLine)
	sc.noTable = hi
	if nl := strings.LastIndexByte(s[lo:i], '\n'); nl >= 0 {
		lo += nl + 1
	} else if lo > 0 {
		return span{}, false
	}
	if nl := strings.IndexByte(s[j:hi], '\n'); nl >= 0 {
		hi = j + nl
	}
	sc.noTable = hi
	found := sc.rows(s, lo, hi)
	if found == nil {
		found = sc.inserted(s, lo, i, j)
	}
	if len(found) == 0 {
		return span{}, false
	}
	for _, sp := range found[1:] {
		sc.queue = append(sc.queue, span{sc.base + sp.start, sc.base + sp.end, sp.kind})
	}
	return found[0], true
}

// startsField reports whether a field starts at s[i].
func startsField(s string, i int) bool {
	for n := 0; i > 0 && s[i-1] == ' ' && n < 2; n++ {
		i--
	}
	return i == 0 || strings.IndexByte(",;\t|\n(", s[i-1]) >= 0
}

// endsField reports whether a field ends at s[i].
func endsField(s string, i int) bool {
	for n := 0; i < len(s) && s[i] == ' ' && n < maxNameBytes; n++ {
		i++
	}
	return i < len(s) && strings.IndexByte(",;\t|\n\r)", s[i]) >= 0
}

// column returns what the name of a column says.
func (sc *scanner) column(name string) column {
	if name == "" || len(name) > maxNameBytes {
		return column{}
	}
	return column{sc.key(name), sc.textName(name).class, name}
}

// read reads the header s[lo:hi] and reports whether it is one that names something.
func (t *table) read(sc *scanner, s string, lo, hi int) bool {
	head := s[lo:hi]
	for _, sep := range [...]byte{'|', '\t', ';', ','} {
		if strings.IndexByte(head, sep) >= 0 {
			t.sep = sep
			break
		}
	}
	if t.sep == 0 {
		return false
	}
	t.n = splitFields(s, lo, hi, t.sep, &t.fields)
	if t.n < 2 {
		return false
	}
	spaced := false
	for i, f := range t.fields[:t.n] {
		name := s[f.start:f.end]
		if !isColumnName(name) {
			return false
		}
		spaced = spaced || strings.IndexByte(name, ' ') >= 0
		t.columns[i] = sc.column(name)
	}
	persons := t.persons()
	t.strict = !spaced && (t.n > 2 || persons)
	return slices.ContainsFunc(t.columns[:t.n], column.named)
}

// persons reports whether the columns are about persons: then "name" is the name of one, and
// "address" hers.
func (t *table) persons() bool {
	persons := false
	for _, c := range t.columns[:t.n] {
		switch c.info.kind {
		case Name, BirthDate, SSN, NationalID:
			persons = true
		}
		persons = persons || c.class == passwordKey || strings.EqualFold(c.name, "email")
	}
	for i := range t.columns[:t.n] {
		c := &t.columns[i]
		switch {
		case persons && strings.EqualFold(c.name, "name"):
			c.info = keyInfo{treatment: always, kind: Name}
		case !persons && c.info.kind == Address:
			c.info = keyInfo{} // of a shop
		}
	}
	return persons
}

// isColumnName reports whether s can be the name of a column.
func isColumnName(s string) bool {
	if s == "" || len(s) > maxNameBytes || !isAlpha(s[0]) && s[0] != '_' && s[0] != '#' && s[0] < 0x80 {
		return false
	}
	spaces := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			spaces++
		case !nameSet[c] && c != '#' && c != '/' && c < 0x80:
			return false
		}
	}
	return spaces <= 2
}

// splitFields puts the fields of the line s[lo:hi] into fields, without the spaces and
// quotes around them, and returns how many there are; 0 when there are too many.
func splitFields(s string, lo, hi int, sep byte, fields *[maxColumns]memo) int {
	for hi > lo && isSpace(s[hi-1]) && s[hi-1] != sep {
		hi--
	}
	if sep == '|' {
		for lo < hi && s[lo] == ' ' {
			lo++
		}
		if lo < hi && s[lo] == sep && s[hi-1] == sep {
			lo, hi = lo+1, max(lo+1, hi-1)
		}
	}
	n := 0
	for start := lo; start <= hi; n++ {
		if n == maxColumns {
			return 0
		}
		for start < hi && s[start] == ' ' {
			start++
		}
		end, next := fieldEnd(s, start, hi, sep)
		if start < hi && isQuote(s[start]) && end > start+1 && s[end-1] == s[start] {
			fields[n] = memo{start + 1, end - 1}
		} else {
			fields[n] = memo{start, end}
		}
		start = next + 1
	}
	return n
}

// fieldEnd returns the end of the field at s[start], without spaces behind it, and where the
// separator behind it stands, or hi.
func fieldEnd(s string, start, hi int, sep byte) (end, next int) {
	k := start
	if k < hi && (s[k] == '"' || s[k] == '\'') {
		for q := s[k]; k < hi; {
			n := strings.IndexByte(s[k+1:hi], q)
			if n < 0 {
				break
			}
			if k += n + 1; at(s, k+1) != q || k+1 >= hi {
				break
			}
			k++ // a quote that is doubled
		}
	}
	next = hi
	if n := strings.IndexByte(s[k:hi], sep); n >= 0 {
		next = k + n
	}
	for end = next; end > start && isSpace(s[end-1]); end-- {
	}
	return end, next
}

// rows returns what goes of the lines below the header s[lo:hi].
func (sc *scanner) rows(s string, lo, hi int) (found []span) {
	var t table
	if hi >= len(s) || !t.read(sc, s, lo, hi) {
		return nil
	}
	limit := min(len(s), hi+maxTableBytes)
	n := t.n
	for start := hi + 1; start < limit; {
		end := min(nextLine(s, start), limit)
		line := strings.TrimSpace(s[start:end])
		if line == "" {
			break
		}
		if strings.Trim(line, "-+|:= ") != "" {
			if splitFields(s, start, end, t.sep, &t.fields) != n {
				break
			}
			found = t.hide(s, found)
		}
		start = end
		sc.noTable = end
	}
	return found
}

// hide adds what goes of the fields that were read.
func (t *table) hide(s string, found []span) []span {
	for i, f := range t.fields[:t.n] {
		if c := t.columns[i]; c.named() {
			if kind, ok := c.field(s, f, t.strict); ok {
				found = append(found, span{f.start, f.end, kind})
			}
		}
	}
	return found
}

// field reports whether the field s[f.start:f.end] of the column goes.
func (c column) field(s string, f memo, strict bool) (Kind, bool) {
	text := s[f.start:f.end]
	if len(text) < 2 || len(text) > maxValueBytes || strings.Contains(text, placeholderOpen) {
		return "", false
	}
	if c := text[0]; c == ':' || c == '@' || c == '?' {
		return "", false // the parameter of a statement
	}
	v := value{start: f.start, end: f.end}
	switch {
	case c.class == passwordKey || c.class == secretKey:
		return Secret, strings.IndexByte(text, ' ') < 0 && !isMask(text) && acceptable(s, c.class, c.name, v, '=', strict)
	case c.info.treatment == always:
		digits, _ := countDigits(text)
		return c.info.kind, digits > 0 || c.info.kind == Name && strict && isAlpha(text[0]) && strings.IndexByte(text, '/') < 0 && !isStandIn(text)
	}
	return wholeValue(text, c.info)
}

// inserted returns what goes of the values of INSERT INTO … (…, password) VALUES (…, 'x'),
// with the name of a column at s[i:j] and the statement's line from s[lo] on.
func (sc *scanner) inserted(s string, lo, i, j int) (found []span) {
	open := strings.LastIndexByte(s[lo:i], '(')
	shut := strings.IndexByte(s[j:min(len(s), j+maxHeaderLine)], ')')
	if open < 0 || shut < 0 {
		return nil
	}
	open, shut = lo+open+1, j+shut
	k := skipSpace(s, shut+1)
	if !foldPrefix(s[k:], "values") {
		return nil
	}
	t := table{sep: ','}
	if t.n = splitFields(s, open, shut, ',', &t.fields); t.n == 0 {
		return nil
	}
	for i, f := range t.fields[:t.n] {
		t.columns[i] = sc.column(s[f.start:f.end])
	}
	t.persons()
	t.strict = true
	limit := min(len(s), k+maxTableBytes)
	for k += len("values"); ; k++ {
		k = skipSpace(s, k)
		if at(s, k) != '(' {
			return found
		}
		end, ok := t.tuple(s, k+1, limit)
		if sc.noTable = max(sc.noTable, end); !ok {
			return found
		}
		found = t.hide(s, found)
		if k = skipSpace(s, end+1); at(s, k) != ',' {
			return found
		}
	}
}

// tuple reads the values between brackets from s[i] on, and returns where they end.
func (t *table) tuple(s string, i, limit int) (end int, ok bool) {
	for n := 0; n < t.n && i < limit; n++ {
		i = skipSpace(s, i)
		start := i
		if at(s, i) == '\'' || at(s, i) == '"' {
			q := s[i]
			for i++; i < limit && (s[i] != q || at(s, i+1) == q); i++ {
				if s[i] == q {
					i++
				}
			}
			t.fields[n] = memo{start + 1, min(i, limit)}
			i++
		} else {
			for i < limit && s[i] != ',' && s[i] != ')' && s[i] != '(' {
				i++
			}
			t.fields[n] = memo{start, i}
		}
		i = skipSpace(s, i)
		last := n == t.n-1
		if i >= limit || last && s[i] != ')' || !last && s[i] != ',' {
			return i, false
		}
		i++
	}
	return i - 1, i <= limit
}

// skipSpace returns the end of the white space at s[i].
func skipSpace(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}
