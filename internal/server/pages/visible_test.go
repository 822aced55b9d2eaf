package pages

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain text\nof two lines\t": "plain text\nof two lines\t", "\x1b[31mred": "␛[31mred", "a\u202eb": "a‹U+202E›b", "\x00\x7f": "␀␡",
		"👩‍💻": "👩‍💻", "❤\ufe0f": "❤\ufe0f", "a\u3164\u2800\u115fb": "a‹U+3164›‹U+2800›‹U+115F›b", "\U000E0101": "‹U+E0101›", "\u0085": "‹U+0085›", "e\u0301": "e\u0301",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What is visible has nothing hidden left, and stays as it is.
func TestVisibleIsVisible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := visible(rapid.String().Draw(t, "text"))
		if i := strings.IndexFunc(got, func(r rune) bool {
			return unicode.Is(unicode.Cc, r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
		}); i >= 0 {
			t.Errorf("%q has something hidden at %d", got, i)
		}
		if again := visible(got); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}

// What is made visible shares no memory with what it came from.
func TestVisibleAllLeavesTheOriginal(t *testing.T) {
	type inner struct{ Text string }
	type outer struct {
		List  []string
		Ptr   *inner
		Inner []inner
	}
	original := outer{[]string{"\x1b"}, &inner{"\x1b"}, []inner{{"\x1b"}}}
	copied := original
	visibleAll(&copied)
	if copied.List[0] != "␛" || copied.Ptr.Text != "␛" || copied.Inner[0].Text != "␛" {
		t.Errorf("got %+v", copied)
	}
	if original.List[0] != "\x1b" || original.Ptr.Text != "\x1b" || original.Inner[0].Text != "\x1b" {
		t.Errorf("the original has changed: %+v", original)
	}
}
