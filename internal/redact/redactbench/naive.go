package main

import "regexp"

// naivePatterns are 25 patterns as they are commonly collected for redaction. They are
// here to be compared with, not to be used.
var naivePatterns = func() []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, p := range []string{
		`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`,
		`\b(?:\+?1[-. ]?)?\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}\b`,
		`\b\d{3}-\d{2}-\d{4}\b`,
		`\b(?:\d[ -]?){13,16}\b`,
		`\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b`,
		`\b(?:\d{1,3}\.){3}\d{1,3}\b`,
		`\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b`,
		`\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b`,
		`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`,
		`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----`,
		`\bsk-[A-Za-z0-9_-]{20,}`,
		`\bAIza[0-9A-Za-z_-]{35}`,
		`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`,
		`\bgh[pousr]_[A-Za-z0-9]{36}`,
		`\bglpat-[A-Za-z0-9_-]{20}`,
		`\bxox[abprs]-[A-Za-z0-9-]{10,}`,
		`\b[sr]k_(?:live|test)_[A-Za-z0-9]{10,}`,
		`\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`,
		`\bnpm_[A-Za-z0-9]{36}`,
		`\bhf_[A-Za-z0-9]{34}`,
		`(?i)\bbearer\s+[A-Za-z0-9._~+/-]{8,}=*`,
		`(?i)\bbasic\s+[A-Za-z0-9+/]{8,}=*`,
		`(?i)(?:password|passwd|pwd)["']?\s*[:=]\s*["']?[^\s"',;]{4,}`,
		`(?i)(?:api[_-]?key|token|secret)["']?\s*[:=]\s*["']?[^\s"',;]{8,}`,
		`[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@`,
	} {
		list = append(list, regexp.MustCompile(p))
	}
	return list
}()

// naiveRedact replaces every match of every pattern, one pattern after the other.
func naiveRedact(doc []byte) []byte {
	for _, p := range naivePatterns {
		doc = p.ReplaceAll(doc, []byte("[REDACTED]"))
	}
	return doc
}
