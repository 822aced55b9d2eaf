package extract

import "iter"

// A token is a run of letters, digits and the punctuation between them, without that around
// them.
type token struct {
	from, to int
	inString bool // of the JSON text
}

// tokens yields the tokens of a JSON text. Escapes are no part of them.
func tokens(text []byte) iter.Seq[token] {
	return func(yield func(token) bool) {
		inString := false
		for i := 0; i < len(text); {
			switch c := text[i]; {
			case c == '\\':
				i += escapeLen(text[i:])
				continue
			case !tokenByte(c):
				inString = inString != (c == '"')
				i++
				continue
			}
			from, to := i, i
			for i < len(text) && tokenByte(text[i]) {
				if i++; !isTokenPunctuation(text[i-1]) {
					to = i
				}
			}
			for from < to && isTokenPunctuation(text[from]) {
				from++
			}
			if from < to && !yield(token{from, to, inString}) {
				return
			}
		}
	}
}

// escapeLen returns the length of the JSON escape that text begins with.
func escapeLen(text []byte) int {
	if len(text) > 1 && text[1] == 'u' {
		return min(6, len(text))
	}
	return min(2, len(text))
}

// tokenPunctuation is what stands around tokens, of the characters that stand in them.
const tokenPunctuation = ".:-_+"

func isTokenPunctuation(c byte) bool {
	return c == '.' || c == ':' || c == '-' || c == '_' || c == '+'
}

func tokenByte(c byte) bool { return isDigit(c) || isLetter(c) || isTokenPunctuation(c) }

func hasDigit(token []byte) bool {
	for _, c := range token {
		if isDigit(c) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
