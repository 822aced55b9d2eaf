package trace

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// inUTF16 returns s in UTF-16 with a byte order mark.
func inUTF16(s string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// Text comes out the same in UTF-8 and UTF-16, with and without a mark.
func TestUTF8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := "{" + rapid.String().Draw(t, "text")
		for name, in := range map[string]string{"plain": s, "marked": bom + s, "little": inUTF16(s, binary.LittleEndian), "big": inUTF16(s, binary.BigEndian)} {
			got, err := io.ReadAll(UTF8(strings.NewReader(in)))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != s {
				t.Errorf("%s: %q, want %q", name, got, s)
			}
		}
	})
}

func TestSplitEncodings(t *testing.T) {
	lines := chatA + "\r\n" + chatB + "\r\n"
	want := []string{"1 openai A 1", "2 openai B 1"}
	for name, in := range map[string]string{
		"UTF-8": lines, "marked": bom + lines, "UTF-16": inUTF16(lines, binary.LittleEndian), "UTF-16, big endian": inUTF16(lines, binary.BigEndian),
		"files put together": bom + chatA + "\n" + bom + chatB, "event stream": "data: " + chatA + "\ndata: " + chatB + "\ndata: [DONE]\n",
	} {
		if diff := cmp.Diff(want, split(t, iotest.HalfReader(strings.NewReader(in)), SplitOptions{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The recording of an event stream is read as its data, and lines keep their numbers.
func TestSplitEventStream(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	in := ": connected\nretry: 10\n\nevent: trace\nid: 1\ndata: " + chatA + "\n\nevent: " + long + "\ndata:" + strings.Replace(chatB, "hello", long, 1) + "\r\n\r\ndata: {\n\ndata: [DONE]"
	want := []string{"6 openai A 1", "9 openai B 1", "error in:11: is cut off: the JSON value that starts here has no end"}
	got := split(t, iotest.OneByteReader(strings.NewReader(in)), SplitOptions{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
