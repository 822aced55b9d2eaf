package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIsValue(t *testing.T) {
	for token, want := range map[string]bool{
		"2026-11-23T06:04:37.338437Z": true, "1767322800": true, "4bf92f3577b34da6a3ce929d0e0e4736": true,
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf6": true, "REDACTED:EMAIL:abcd": true, "req_01HZX3K9": true, "order-4711": true,
		"12.75": true, "41.2": true, "250ms": true, "1.5s": true, "17s": true, "10000": true,
		"429": false, "503": false, "0": false, "12": false, "gpt-4o-mini": false, "gemini-2.5-flash": false, "v1.2.3": false,
		"us-central1": false, "lookup_parcel": false, "model": false, "HTTP": false, "sha256": false, "ms": false,
	} {
		if got := isValue(token); got != want {
			t.Errorf("%q: got %v, want %v", token, got, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	same := func(a, b string) bool {
		x, y := newTemplate([]byte(a)), newTemplate([]byte(b))
		return bytes.Equal(x.text, y.text)
	}
	for name, tt := range map[string]struct {
		a, b string
		want bool
	}{
		"ids and times":               {`{"id":"req-10001","at":"2026-01-02T03:04:05Z"}`, `{"id":"req-10002","at":"2026-01-02T03:04:06Z"}`, true},
		"numbers outside of strings":  {`{"ms":12345,"cost":0.25}`, `{"ms":54321,"cost":0.75}`, true},
		"status codes":                {`{"status":429}`, `{"status":503}`, false},
		"equal in one, not in other":  {`{"a":10001,"b":10001}`, `{"a":10001,"b":10002}`, false},
		"swapped":                     {`{"a":10001,"b":10002}`, `{"a":20002,"b":10001}`, true},
		"waits":                       {`{"m":"retry in 41.2s"}`, `{"m":"retry in 7.25s"}`, true},
		"placeholders":                {`{"m":"for [REDACTED:EMAIL:3f9a]"}`, `{"m":"for [REDACTED:EMAIL:abcd]"}`, true},
		"placeholders of other kinds": {`{"m":"for [REDACTED:EMAIL:3f9a]"}`, `{"m":"for [REDACTED:PHONE:3f9a]"}`, false},
		"after an escape":             {`{"m":"a\n20261"}`, `{"m":"a\n20262"}`, true},
		"error codes":                 {`{"m":"ERROR 1045 (28000): no access, request req-10001"}`, `{"m":"ERROR 2003 (HY000): no access, request req-10002"}`, false},
		"one error code":              {`{"m":"ERROR 1045 (28000): no access, request req-10001"}`, `{"m":"ERROR 1045 (28000): no access, request req-10002"}`, true},
		"second code":                 {`{"m":"SQLSTATE[HY000] [2002] down"}`, `{"m":"SQLSTATE[HY000] [2006] down"}`, false},
		"in a key":                    {`{"statusCode":4001,"ms":12345}`, `{"statusCode":4003,"ms":54321}`, false},
		"negative":                    {`{"error":{"code":-32601}}`, `{"error":{"code":-32603}}`, false},
		"after an error's name":       {`{"m":"OperationalError: (1045, 'denied')"}`, `{"m":"OperationalError: (2003, 'denied')"}`, false},
		"of a vendor":                 {`{"m":"ORA-01017 at 10:00:01"}`, `{"m":"ORA-12154 at 10:00:02"}`, false},
		"of a vendor, with a word":    {`{"m":"error ORA-01017"}`, `{"m":"error ORA-12154"}`, false},
		"in hex":                      {`{"m":"exit status 0xC0000005"}`, `{"m":"exit status 0xC0000409"}`, false},
		"with a word between":         {`{"m":"exit status was 10061"}`, `{"m":"exit status was 10060"}`, false},
		"elsewhere, too":              {`{"code":10061,"m":"it said 10061"}`, `{"code":10061,"m":"it said 10060"}`, false},
		"ids after an error":          {`{"m":"error for request 70001"}`, `{"m":"error for request 70002"}`, true},
		"times after an error":        {`{"m":"ERROR 2026-01-02T03:04:05Z"}`, `{"m":"ERROR 2026-01-02T03:04:06Z"}`, true},
		"ids that look like codes":    {`{"m":"ticket ABC-10001"}`, `{"m":"ticket ABC-10002"}`, true},
		"words":                       {`{"m":"parcel lost"}`, `{"m":"parcel found"}`, false},
	} {
		if got := same(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: copies: got %v, want %v", name, got, tt.want)
		}
	}
	if newTemplate([]byte("\uE000"+"1\uE001")) != nil {
		t.Error("a text with marks has a template")
	}
}

// What is said about one copy becomes what is said about another.
func TestTemplateCarriesAnAnswerOver(t *testing.T) {
	input := func(id int, at string) []byte {
		return fmt.Appendf(nil, `{"request":"req-%d","time":"%s","error":"429 after 1200%dms\nfor req-%d"}`, id, at, id%10, id)
	}
	a, b := newTemplate(input(10001, "2026-01-02T03:04:05Z")), newTemplate(input(20002, "2026-02-03T04:05:06Z"))
	said := []byte(`{"confidence":0.9125,"quote":"429 after 12001ms\nfor req-10001","title":"at 2026-01-02T03:04:05Z."}`)
	general, complete := a.generalize(said)
	if !complete {
		t.Fatalf("not complete: %s", general)
	}
	got, ok := b.fill(general)
	want := `{"confidence":0.9125,"quote":"429 after 12002ms\nfor req-20002","title":"at 2026-02-03T04:05:06Z."}`
	if !ok || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, ok, want)
	}
	if _, complete := a.generalize([]byte(`{"title":"order 99999 is late"}`)); complete {
		t.Error("a value of one copy alone is taken to hold for all")
	}
	if _, ok := newTemplate([]byte(`{}`)).fill(general); ok {
		t.Error("filled from a text without values")
	}
}

// A code that an answer names is the same for every copy.
func TestTemplateKeepsCodesInAnswers(t *testing.T) {
	a := newTemplate([]byte(`{"m":"errno 10061 for req-10001"}`))
	general, complete := a.generalize([]byte(`{"title":"10061: req-10001 was refused"}`))
	if !complete || !bytes.Contains(general, []byte("10061")) || bytes.Contains(general, []byte("10001")) {
		t.Errorf("got %s, %v; want the code, and not the id", general, complete)
	}
}

// Whatever the text: it is its template filled with its values, and stays JSON.
func TestTemplateRoundTrip(t *testing.T) {
	token := rapid.OneOf(rapid.StringMatching(`[0-9]{1,6}(\.[0-9]{1,3})?(ms|s)?`), rapid.StringMatching(`[a-zA-Z0-9_.:+-]{1,12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(token).Draw(t, "words")
		text, err := json.Marshal(map[string]any{"text": strings.Join(words, " "), "n": rapid.Int().Draw(t, "n"), "words": words})
		if err != nil {
			t.Fatal(err)
		}
		tpl := newTemplate(text)
		if tpl == nil {
			return
		}
		back, ok := tpl.fill(tpl.text)
		if !ok || !bytes.Equal(back, text) {
			t.Fatalf("got %q, %v, want %q", back, ok, text)
		}
		general, _ := tpl.generalize(text)
		if !json.Valid(general) {
			t.Fatalf("not JSON any more: %q of %q", general, text)
		}
		if back, ok := tpl.fill(general); !ok || !bytes.Equal(back, text) {
			t.Fatalf("got %q, %v, want %q", back, ok, text)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(`{"a":"req-10001 \u2028 \\ 12.5s"}`))
	f.Add([]byte(`"\`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tpl := newTemplate(text)
		if tpl == nil {
			return
		}
		if back, ok := tpl.fill(tpl.text); !ok || !bytes.Equal(back, text) {
			t.Errorf("got %q, %v, want %q", back, ok, text)
		}
	})
}
