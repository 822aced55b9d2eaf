package redact

import "strings"

const (
	// manifestBytes is how far from its data the kind of a Kubernetes object is looked
	// for, and maxManifestBytes how much of the data is read.
	manifestBytes    = 1024
	maxManifestBytes = 64 << 10
)

// manifest looks at the data of a Kubernetes Secret in YAML, whose key is s[start:i] with
// its ':' at s[i]: all values go. The first is returned, the others are queued.
func (sc *scanner) manifest(s string, start, i int) (span, bool) {
	if !lineEnd(s, i+1) || !isSecretObject(s, start) {
		return span{}, false
	}
	indent := start - lineStart(s, start)
	var found []span
	for k := nextLine(s, i); k < len(s) && k-i < maxManifestBytes; k = nextLine(s, k) {
		text := k
		for text < len(s) && (s[text] == ' ' || s[text] == '\t') {
			text++
		}
		if text >= len(s) || s[text] == '\n' || s[text] == '\r' || s[text] == '#' {
			continue
		}
		if text-k <= indent {
			break // the block ends
		}
		value := text
		if name := nameSet.run(s, text, maxNameBytes); name > text && at(s, name) == ':' {
			value = name + 1
		}
		for value < len(s) && strings.IndexByte(" \t'\"", s[value]) >= 0 {
			value++
		}
		end := sets[base64Set].run(s, value, maxManifestBytes)
		if end-value >= 8 && !isPlaceholder(s[value:end]) {
			found = append(found, span{value, end, Secret})
		}
	}
	if len(found) == 0 {
		return span{}, false
	}
	for _, sp := range found[1:] {
		sc.queue = append(sc.queue, span{sc.base + sp.start, sc.base + sp.end, sp.kind})
	}
	return found[0], true
}

// isSecretData notes what kind of object has the member key, whose value is at w.pos, and
// reports whether it is the data of a Kubernetes Secret. kubectl writes the kind behind the
// data: it is looked for there, as long as that is not more than the document all in all.
// Past that, data is taken for a secret's.
func (w *walk) isSecretData(seen *members, key string) bool {
	switch key {
	case "apiVersion":
		seen.manifest = strings.HasPrefix(w.in[w.pos:], `"v1"`)
	case "kind":
		seen.kinded, seen.secret = true, strings.HasPrefix(w.in[w.pos:], `"Secret"`)
	case "data", "stringData":
		if at(w.in, w.pos) != '{' || seen.kinded || !seen.manifest {
			return at(w.in, w.pos) == '{' && seen.secret
		}
		if w.peeked > len(w.in) {
			return true
		}
		end := balancedEnd(w.in[:min(len(w.in), w.pos+maxManifestBytes)], w.pos)
		if end < 0 {
			w.peeked += maxManifestBytes
			return false
		}
		w.peeked += end - w.pos
		rest := strings.TrimLeft(w.in[end:min(len(w.in), end+manifestBytes)], " \t\r\n,")
		if strings.HasPrefix(rest, `"immutable"`) {
			_, rest, _ = strings.Cut(rest, ",")
			rest = strings.TrimLeft(rest, " \t\r\n")
		}
		kind, ok := strings.CutPrefix(rest, `"kind"`)
		return ok && strings.HasPrefix(strings.TrimLeft(kind, " \t\r\n:"), `"Secret"`)
	}
	return false
}

// isSecretObject reports whether "kind: Secret" stands near s[i], in the same document.
func isSecretObject(s string, i int) bool {
	lo, hi := max(0, i-manifestBytes), min(len(s), i+manifestBytes)
	near := s[lo:hi]
	for {
		k := strings.Index(near, "kind:")
		if k < 0 {
			return false
		}
		near = strings.TrimLeft(near[k+len("kind:"):], " \t'\"")
		if foldPrefix(near, "secret") && !wordSet[at(near, len("secret"))] {
			return true
		}
	}
}

// lineEnd reports whether nothing but spaces follows in the line of s[i].
func lineEnd(s string, i int) bool {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i < len(s) && s[i] == '\n'
}

func lineStart(s string, i int) int { return strings.LastIndexByte(s[:i], '\n') + 1 }

// nextLine returns where the line after that of s[i] starts, or len(s).
func nextLine(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(s)
}
