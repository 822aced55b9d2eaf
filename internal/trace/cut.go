package trace

import (
	"strconv"
	"unicode/utf8"
)

// This file cuts texts.

// cuttable reports whether cutting s to limit bytes makes it shorter, marker included.
func cuttable(s string, limit int) bool { return len(s) > limit+markerLen(len(s)) }

// cutMiddle returns the first 65 % and the last 35 % of limit bytes of s, on rune
// boundaries, with a marker between them, and how many bytes are missing.
func cutMiddle(s string, limit int) (string, int) {
	head, tail, n := ends(s, limit)
	if n == 0 {
		return s, 0
	}
	b := make([]byte, 0, len(head)+markerLen(n)+len(tail))
	b = append(appendMarker(append(b, head...), n), tail...)
	return string(b), n
}

// ends returns what cutMiddle leaves of s.
func ends(s string, limit int) (head, tail string, missing int) {
	head = headOf(s, limit*65/100)
	tail = tailOf(s, limit-limit*65/100)
	if missing = len(s) - len(head) - len(tail); missing <= 0 {
		return s, "", 0
	}
	return head, tail, missing
}

// The marker that stands for n bytes.
const markerHead, markerTail = "…[", " bytes cut]…"

func appendMarker(b []byte, n int) []byte {
	b = strconv.AppendInt(append(b, markerHead...), int64(n), 10)
	return append(b, markerTail...)
}

func markerLen(n int) int {
	digits := 1
	for ; n > 9; n /= 10 {
		digits++
	}
	return len(markerHead) + digits + len(markerTail)
}

// headOf returns at most the first n bytes of s, ending on a rune boundary.
func headOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// tailOf returns at most the last n bytes of s, starting on a rune boundary.
func tailOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}

// appendWithin appends s as a JSON string of at most limit bytes, quotes included (at
// least 2), cut at its end with an ellipsis.
func appendWithin(b []byte, s string, limit int) []byte {
	start := len(b)
	if len(s) > limit {
		s = headOf(s, limit)
	}
	for {
		b = appendString(b[:start], s)
		if len(b)-start <= limit || s == "" {
			return b
		}
		s = headOf(s, len(s)-max(1, min(len(s), (len(b)-start-limit)/6+1)))
	}
}
