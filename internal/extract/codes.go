package extract

import "strings"

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

// codesIn returns the tokens of a JSON text that are codes of errors, or nil.
func codesIn(text []byte) map[string]bool {
	var codes map[string]bool
	near := 0 // how many tokens may still be a code
	for t := range tokens(text) {
		token := text[t.from:t.to]
		switch {
		case hasDigit(token):
			if near > 0 && isCode(string(token)) || isUpper(token[0]) && isFamilyCode(string(token)) {
				codes = noteCode(codes, string(token))
				near = 1 // Error 1045 (28000)
			} else {
				near = 0
			}
		case isCodeWord(token):
			near = 2
		case near > 1 && len(token) <= 6 && linkWords[strings.ToLower(string(token))]:
		default:
			near = 0
		}
	}
	return codes
}

func noteCode(codes map[string]bool, token string) map[string]bool {
	if codes == nil {
		codes = map[string]bool{}
	}
	codes[token] = true
	return codes
}

// longestCodeWord bounds the words of codeWords.
const longestCodeWord = 9

// isCodeWord reports a name whose last word is one before a code: statusCode, exit_code; or
// the name of an errno.
func isCodeWord(token []byte) bool {
	if isErrnoName(token) {
		return true
	}
	i := len(token)
	for i > 0 && isLetter(token[i-1]) {
		i--
		if i > 0 && isUpper(token[i]) && isLetter(token[i-1]) && !isUpper(token[i-1]) {
			break
		}
	}
	var word [longestCodeWord]byte
	if len(token)-i > len(word) {
		return false
	}
	n := copy(word[:], token[i:])
	for k := range n {
		word[k] |= 0x20 // lower case, of a letter
	}
	return codeWords[string(word[:n])]
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
func isErrnoName(token []byte) bool {
	if len(token) <= 4 || token[0] != 'E' {
		return false
	}
	for _, c := range token {
		if !isUpper(c) {
			return false
		}
	}
	return true
}
