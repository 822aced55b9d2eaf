package extract

import (
	"strings"
	"unicode"
)

// Codes of errors look like values, but tell failures apart: MySQL's 1045 is a wrong
// password, its 2003 a server that is down. A number is one where it stands after a word
// that says so, or after another code, and then wherever it stands in that trace. A
// number that is wrongly taken for a code costs a call; the other mistake, a wrong answer.

// codeWords are the words before a code, as the last word of a name such as statusCode.
var codeWords = map[string]bool{
	"code": true, "codes": true, "errno": true, "errnum": true, "errcode": true, "error": true, "errors": true,
	"err": true, "status": true, "sqlstate": true, "sqlcode": true, "exit": true, "exited": true, "hresult": true,
	"signal": true, "fault": true, "exception": true, "http": true, "rpc": true, "reason": true, "warning": true,
	"failure": true, "failed": true, "panic": true, "abort": true, "aborted": true, "closed": true,
}

// linkWords may stand between such a word and its code.
var linkWords = map[string]bool{
	"is": true, "was": true, "of": true, "no": true, "nr": true, "num": true, "number": true, "with": true,
}

// codeFamilies are vendors' codes, which need no word before them: ORA-01017.
var codeFamilies = map[string]bool{
	"ORA": true, "TNS": true, "PLS": true, "DPI": true, "DPY": true, "NJS": true, "SQL": true, "SQLSTATE": true,
	"AADSTS": true, "TS": true, "CS": true, "MSB": true, "NU": true, "KB": true, "ERR": true, "ERROR": true, "ERRNO": true,
	"RMAN": true, "MY": true, "SQLCODE": true, "HTTP": true, "E": true,
}

// codesIn returns the tokens of a JSON text that are codes of errors and look like values.
func codesIn(text []byte) map[string]bool {
	codes := map[string]bool{}
	near := 0 // how many tokens may still be a code
	eachToken(text, false, func(token string) (string, bool) {
		switch {
		case isFamilyCode(token), near > 0 && isCode(token):
			if isValue(token) {
				codes[token] = true
			}
			near = 1 // Error 1045 (28000)
		case codeWords[lastWord(token)] || isErrnoName(token):
			near = 2
		case near > 1 && linkWords[strings.ToLower(token)]:
		default:
			near = 0
		}
		return "", false
	})
	return codes
}

// isCode reports a token that has the form of a code: a whole number, also in hex, or the
// five characters of a SQLSTATE.
func isCode(token string) bool {
	if hex, ok := strings.CutPrefix(token, "0x"); ok {
		return len(hex) <= 16 && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	if len(token) == 5 && strings.Trim(token, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return strings.ContainsAny(token, "0123456789")
	}
	return len(token) <= 10 && strings.Trim(token, "0123456789") == ""
}

// isFamilyCode reports a code with a vendor's letters before it.
func isFamilyCode(token string) bool {
	digits := strings.TrimLeft(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	family := token[:len(token)-len(digits)]
	digits = strings.TrimLeft(digits, "-_:")
	return codeFamilies[family] && len(digits) > 0 && len(digits) <= 7 && strings.Trim(digits, "0123456789") == ""
}

// isErrnoName reports a name such as ECONNREFUSED.
func isErrnoName(token string) bool {
	return len(token) > 4 && token[0] == 'E' && strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// lastWord returns the last word of a name in lower case: code of statusCode, exit_code.
func lastWord(token string) string {
	i := len(token)
	for i > 0 && unicode.IsLetter(rune(token[i-1])) {
		i--
		if i > 0 && unicode.IsUpper(rune(token[i])) && unicode.IsLower(rune(token[i-1])) {
			break
		}
	}
	return strings.ToLower(token[i:])
}
