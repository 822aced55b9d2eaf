package redact

import "strings"

const (
	// opaqueBytes are the lengths of text that is taken for a token without a name:
	// shorter ones are ids, longer ones data.
	minOpaqueBytes = 32
	maxOpaqueBytes = 256
	// opaqueEntropy is what random letters of both cases and digits have at that length;
	// identifiers of programs and words joined stay under it.
	opaqueEntropy = 4.2
	opaqueDigits  = 4
	opaqueChanges = 8 // between upper and lower case
)

// opaqueNeighbours say that the text is an id, a hash or a part of a path.
var opaqueNeighbours = words(`id ids uuid hash digest checksum sha sha1 sha256 sha384 sha512 md5 integrity etag nonce cursor
	commit revision signature fingerprint token_hash version image model path file url uri href src cite ref call
	verification embedding thought encrypted base64 page continuation request response span trace span_id trace_id`)

// idPrefixes begin ids that services hand out.
var idPrefixes = []string{
	"call_", "toolu_", "chatcmpl-", "chatcmpl_", "msg_", "resp_", "run_", "fc_", "file-", "file_", "req_", "thread_", "asst_",
	"gen-", "rs_", "cmpl-", "batch_", "ft-", "vs_", "step_", "srvtoolu_", "item_", "event_", "evt_", "sess_", "session_",
}

// opaque looks at a text that starts at s[i] and is plainly drawn at random: the last
// resort for secrets without a name or a vendor's shape. Only what stands alone between
// spaces or quotes counts.
func (sc *scanner) opaque(s string, i int) (span, bool) {
	if sc.info.treatment == identifier {
		return span{}, false
	}
	if c := at(s, i-1); !isSpace(c) && c != '"' && c != '\'' && c != '`' {
		return span{}, false
	}
	end := sc.runEnd(s, i, tokenSet)
	if n := end - i; n < minOpaqueBytes || n > maxOpaqueBytes {
		return span{}, false
	}
	if c := at(s, end); !isSpace(c) && strings.IndexByte("\"'`,;.)", c) < 0 || c == '.' && isAlnum(at(s, end+1)) {
		return span{}, false
	}
	text := s[i:end]
	for _, p := range idPrefixes {
		if strings.HasPrefix(text, p) {
			return span{}, false
		}
	}
	digits, uppers, lowers, changes := 0, 0, 0, 0
	for k := range len(text) {
		switch c := text[k]; {
		case isDigit(c):
			digits++
		case isUpper(c):
			uppers++
			if k > 0 && isLower(text[k-1]) {
				changes++
			}
		case isLower(c):
			lowers++
			if k > 0 && isUpper(text[k-1]) {
				changes++
			}
		}
	}
	if digits < opaqueDigits || uppers < opaqueDigits || lowers < opaqueDigits || changes < opaqueChanges ||
		entropy(text) < opaqueEntropy || isFiller(text) {
		return span{}, false
	}
	// The word before says what it is.
	start := i
	for start > 0 && i-start < 32 && !isAlnum(s[start-1]) {
		start--
	}
	word := nameSet.before(s, start, 32)
	var buf [32]byte
	if opaqueNeighbours[string(lower(buf[:0], s[word:start]))] {
		return span{}, false
	}
	return span{i, end, Opaque}, true
}
