package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What may differ between copies stands between braces.
func TestValues(t *testing.T) {
	for _, want := range []string{
		`at {2026-11-23T06:04:37.338437Z}`, `at {2026-11-23 06:04:37},512`, `at {10:00:01.250}`, `{1767322800}`, `{1767322800123}`, `{1767322800.25}`,
		`{4bf92f3577b34da6a3ce929d0e0e4736}`, `{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}`, `pod-{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}-a`,
		`[REDACTED:EMAIL:{abcd}]`, `req_{01HZX3K9}`, `order-{4711}`, `toolu_{01A09q90qw90lq917835lq9}`, `worker-{7d9f8b6c5}-x2x4z`,
		`{250ms}`, `{1.5s}`, `{17s}`, `{1h2m3s}`, `after {17} seconds`, `\"retry_after\": {17}`, `\"latencyMs\":{12}`, `request {70001}`, `{123456789012}`,
		`10.0.0.5:{54321}`, `port {54321}`, `localhost:{40001}`, `[REDACTED:IP:{abcd}]:{54321}`,
		`429`, `503`, `0`, `12`, `gpt-4o-mini`, `gemini-2.5-flash`, `v1.2.3`, `us-central1`, `lookup_parcel`, `HTTP`, `sha256`, `aes256gcm`, `rtx4090ti`,
		`worker.py:1234:KeyError`, `db.py:9981:ConnectTimeout`, `lookup_customer_v2024`, `installed 1.21 required 1.25`, `2019-01-02`, `12.75`, `10000`,
		`paid 1200 of 12000`, `claude-sonnet-4-20250514`, `gpt-4o-2024-08-06`, `10.0.0.5:5432`, `port 6379`, `limit 1073741824`, `within 24h`, `XLA-10001`,
		`face2face`, `windows1252`, `3 attempts`, `10:30`,
	} {
		text := []byte(`"` + strings.NewReplacer("{", "", "}", "").Replace(want) + `"`)
		got, at := "", 1
		for _, v := range valuesIn(text, false, nil) {
			got += string(text[at:v.from]) + "{" + string(text[v.from:v.to]) + "}"
			at = v.to
		}
		if got += string(text[at : len(text)-1]); got != want {
			t.Errorf("got %s, want %s", got, want)
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
		"ids and times":       {`{"id":"req-10001","at":"2026-01-02T03:04:05Z"}`, `{"id":"req-10002","at":"2026-01-02T03:04:06Z"}`, true},
		"durations by name":   {`{"ms":12345,"status":429}`, `{"ms":54321,"status":429}`, true},
		"amounts":             {`{"cost":0.25}`, `{"cost":0.75}`, false},
		"long amounts":        {`{"m":"paid 12000"}`, `{"m":"paid 15000"}`, false},
		"versions":            {`{"m":"installed 1.21 required 1.25"}`, `{"m":"installed 1.31 required 1.25"}`, false},
		"words beside digits": {`{"m":"aborted: worker.py:1234:KeyError"}`, `{"m":"aborted: db.py:9981:ConnectTimeout"}`, false},
		"names with a year":   {`{"m":"lookup_customer_v2024"}`, `{"m":"delete_account_v2025"}`, false},
		"dates":               {`{"m":"price of 2019-01-02"}`, `{"m":"price of 2026-11-19"}`, false},
		"old times": {`{"at":"2026-11-20T10:00:00Z","end":"2026-11-20T10:00:01Z","m":"price of 2019-01-02T00:00:00Z"}`,
			`{"at":"2026-11-20T10:00:00Z","end":"2026-11-20T10:00:01Z","m":"price of 2020-01-02T00:00:00Z"}`, false},
		"ports of services":           {`{"m":"10.0.0.5:5432 refused"}`, `{"m":"10.0.0.5:6379 refused"}`, false},
		"ports of connections":        {`{"m":"10.0.0.5:50001 refused"}`, `{"m":"10.0.0.5:60001 refused"}`, true},
		"status codes":                {`{"status":429}`, `{"status":503}`, false},
		"equal in one, not in other":  {`{"id":10001,"uid":10001}`, `{"id":10001,"uid":10002}`, false},
		"swapped":                     {`{"id":10001,"uid":10002}`, `{"id":20002,"uid":10001}`, true},
		"waits":                       {`{"m":"retry in 41.2s"}`, `{"m":"retry in 7.25s"}`, true},
		"placeholders":                {`{"m":"for [REDACTED:EMAIL:3f9a]"}`, `{"m":"for [REDACTED:EMAIL:abcd]"}`, true},
		"placeholders of other kinds": {`{"m":"for [REDACTED:EMAIL:3f9a]"}`, `{"m":"for [REDACTED:PHONE:3f9a]"}`, false},
		"after an escape":             {`{"m":"a\n17.5s"}`, `{"m":"a\n18.5s"}`, true},
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
	if same("\uE0000\uE001", "\uE0001\uE001") || same("\uE0000\uE001", "20s") {
		t.Error("characters of the text are taken for marks")
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

// Copies that differ in what has no meaning have one template, whatever those values are.
func TestCopiesHaveOneTemplate(t *testing.T) {
	draw := func(t *rapid.T, n int) string {
		at := time.Unix(1767322800+rapid.Int64Range(0, 1e7).Draw(t, "at"), 0).UTC()
		id := rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "trace id")
		return fmt.Sprintf(`{"request_id":"req-%05d","trace":"%s","started":"%s","retry_after":%d,"m":"429 for [REDACTED:EMAIL:%s] at %s: `+
			`retry in %d.%02ds (call %s, 10.0.0.5:%d, took %d ms)"}`,
			rapid.IntRange(10000, 99999).Draw(t, "request"), id, at.Format(time.RFC3339), 100+n,
			rapid.StringMatching(`[0-9a-f]{4}`).Draw(t, "mail"), at.Format(time.RFC3339),
			rapid.IntRange(0, 59).Draw(t, "s"), n, rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`).Draw(t, "uuid"),
			rapid.IntRange(40000, 60999).Draw(t, "port"), 1000+n)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := newTemplate([]byte(draw(t, 1))), newTemplate([]byte(draw(t, 2)))
		if !bytes.Equal(a.text, b.text) {
			t.Errorf("two templates:\n%s\n%s", a.text, b.text)
		}
	})
}

// Texts that differ in a word, in a number that can be compared, or in what stands beside
// digits, are no copies of each other.
func TestDifferentMeaningsHaveDifferentTemplates(t *testing.T) {
	word := rapid.StringMatching(`[a-z]{3,9}`)
	number := rapid.StringMatching(`[1-9][0-9]{0,5}`)
	form := rapid.SampledFrom([]string{"%s.py:1234:KeyError", "module.%s:99:x", "%s_v2024", "%s-2025", "%s 20261123", "%s-a1b2c3d4", "%s2", "request %s failed"})
	numeric := rapid.SampledFrom([]string{"installed 1.%s", "paid %s", "v%s", "build-1.%s.0", "file.go:%s", "status %s", "code %s", "of %s items", "2026-%s", "model-4-%s", "%s%%"})
	rapid.Check(t, func(t *rapid.T) {
		f, part := form.Draw(t, "form"), word
		if rapid.Bool().Draw(t, "numeric") {
			f, part = numeric.Draw(t, "numeric form"), number
		}
		x, y := part.Draw(t, "x"), part.Draw(t, "y")
		if x == y {
			return
		}
		text := func(s string) []byte { return fmt.Appendf(nil, `{"m":"tool said: `+f+` at 2026-01-02T03:04:05Z"}`, s) }
		if a, b := newTemplate(text(x)), newTemplate(text(y)); bytes.Equal(a.text, b.text) {
			t.Errorf("one template: %s and %s", text(x), text(y))
		}
	})
}

// An answer that names a number which is a value here is not taken for true elsewhere.
func TestAnswersOfOneCopyAlone(t *testing.T) {
	tpl := newTemplate([]byte(`{"request":"req-10001","m":"retry in 17 seconds, 5 of 9 quota, version 1.21"}`))
	for said, want := range map[string]bool{
		"req-10001 had version 1.21": true, "number 10001 waits 17 seconds": true, "5 calls, then 3": true,
		"17 calls": false, "waits 18 seconds": false, "version 1.22": false, "order 4444": false, "on 2026-11-20": false, "in 17s": false,
	} {
		if _, got := tpl.generalize([]byte(`{"title":"` + said + `"}`)); got != want {
			t.Errorf("%q: for every copy: got %v, want %v", said, got, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(`{"a":"req-10001 \u2028 \\ 12.5s"}`))
	f.Add([]byte(`"\`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tpl := newTemplate(text)
		if back, ok := tpl.fill(tpl.text); !ok || !bytes.Equal(back, text) {
			t.Errorf("got %q, %v, want %q", back, ok, text)
		}
	})
}
