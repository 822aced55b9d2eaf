package redact

import (
	"strings"
	"testing"
)

// Parts of the values below, put together so that no scanner takes this file for a leak.
var (
	fakeAWS    = "AKIA" + "Q7ZPLANTEDKEYS22"
	fakeGoogle = "AIza" + "SyB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3h"
)

// What is glued to a finding does not hide it. Bare digits glued to words stay: they are
// ids.
func TestBoundaries(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ in, want string }{
		{"key " + fakeAWS + "-x", "key «API_KEY»-x"},
		{"sess_" + fakeAWS + "_x", "sess_«API_KEY»_x"},
		{"sess-" + fakeAWS + "_x", "sess-«API_KEY»_x"},
		{fakeAWS + ".json", "«API_KEY».json"},
		{fakeAWS + "Q-x", fakeAWS + "Q-x"}, // too long for a key
		{fakeGoogle + "-x", "«API_KEY»-x"},
		{"a_" + fakeGoogle + "_x", "a_«API_KEY»_x"},
		{"key-" + hex32 + "-x", "«API_KEY»-x"},

		{"maria.p@realmail-zq.org-x", "«EMAIL»-x"},
		{"maria.p@realmail.org.json", "«EMAIL».json"},
		{"maria.p@realmail.org_x", "«EMAIL»_x"},
		{"maria.p@realmail.co.uk-2.tar.gz", "«EMAIL»-2.tar.gz"},
		{"logo@2x.min.png and a@v1.beta-3", "logo@2x.min.png and a@v1.beta-3"},

		{"card-4539148803436467-x", "card-«CARD»-x"},
		{"card_4539148803436467_x", "card_«CARD»_x"},
		{"file_4539148803436467.json", "file_«CARD».json"},
		{"sess-4539-1488-0343-6467-x", "sess-«CARD»-x"},
		{"ca-pub-4539148803436467", "ca-pub-4539148803436467"},
		{"order_4539148803436467", "order_4539148803436467"},

		{"ssn_536-22-1789_x", "ssn_«SSN»_x"},
		{"sess-536-22-1789-x", "sess-«SSN»-x"},
		{"user_536-22-1789.json", "user_«SSN».json"},
		{"ssn_536221789", "ssn_«SSN»"},
		{"part 1-536-22-1789 and 536-22-1789-4", "part 1-536-22-1789 and 536-22-1789-4"},

		{"v=203.0.113.77-x", "v=«IP»-x"},
		{"sess-203.0.113.177-x", "sess-«IP»-x"},
		{"203.0.113.177.json", "«IP».json"},
		{"pkg-11.5.5.14-beta and pkg_1.2.3.4_x", "pkg-11.5.5.14-beta and pkg_1.2.3.4_x"},
		{"user:2001:db8::7:1 and x_2001:db8::7_y", "user:«IP» and x_«IP»_y"},
		{"a_1::bad_2 and std::dead::beef", "a_1::bad_2 and std::dead::beef"},

		{"(555) 123-4567", "«PHONE»"},
		{"tel_415-555-0132_x", "tel_«PHONE»_x"},
		{"a_+49 171 9876543-x", "a_«PHONE»-x"},
		{"call_4155550132_x", "call_4155550132_x"},

		{`a\\npw: hunter2secret`, `a\\npw: «SECRET»`},
		{`a\\\\n4539 1488 0343 6467\\\\n` + fakeAWS + `\\n`, `a\\\\n«CARD»\\\\n«API_KEY»\\n`},
		{`a\\n+49 171 9876543\n415-555-0132`, `a\\n«PHONE»\n«PHONE»`},
		{"pw: hunter2secret", "pw: «SECRET»"},
		{"pw=" + "hunter2secret", "pw=«SECRET»"},
	} {
		got, _ := r.Text(tc.in)
		if shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
		if again, _ := r.Text(got); again != got {
			t.Errorf("Text(%q) = %q, and again %q", tc.in, got, again)
		}
	}
}

// Under the keys of ids only bare digits and hex digits are spared.
func TestIdentifiers(t *testing.T) {
	r := newRedactor(t)
	keys := strings.Fields("id trace_id span_id tool_call_id user_id session_id customer_id request_id version start")
	for _, tc := range []struct{ in, want string }{
		{"+49 171 9876543", "«PHONE»"},
		{"+491719876543", "«PHONE»"},
		{"(415) 555-0132", "«PHONE»"},
		{"415-555-0132", "«PHONE»"},
		{"user:+49 171 9876543", "user:«PHONE»"},
		{"sess-415-555-0132-x", "sess-«PHONE»-x"},
		{"536-22-1789", "«SSN»"},
		{"user:536-22-1789", "user:«SSN»"},
		{"sess-536-22-1789-x", "sess-«SSN»-x"},
		{"203.0.113.177", "«IP»"},
		{"user:203.0.113.177", "user:«IP»"},
		{"sess-203.0.113.177-x", "sess-«IP»-x"},
		{"2001:db8:85a3::8a2e:370:7334", "«IP»"},
		{"user:2001:db8:85a3::8a2e:370:7334", "user:«IP»"},
		{"sess-2001:db8:85a3::8a2e:370:7334-x", "sess-«IP»-x"},
		{"4539 1488 0343 6467", "«CARD»"},
		{"4539-1488-0343-6467", "«CARD»"},
		{"user:4539 1488 0343 6467", "user:«CARD»"},
		{"sess-4539-1488-0343-6467-x", "sess-«CARD»-x"},
		{"ann@example.com", "«EMAIL»"},
		{"4539148803436467", "4539148803436467"},
		{"sess-4539148803436467-x", "sess-4539148803436467-x"},
		{"536221789", "536221789"},
		{"4155550132", "4155550132"},
		{hex32, hex32},
		{"65f53e94-1234-4455-8670-415555013212", "65f53e94-1234-4455-8670-415555013212"},
		{"2026-09-07 23:49:08.439595", "2026-09-07 23:49:08.439595"},
		{"1765115898.095392", "1765115898.095392"},
	} {
		for _, key := range keys {
			doc := `{"tool_calls": [{"` + key + `": "` + tc.in + `"}]}`
			got, _, err := r.JSON([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(doc, tc.in, tc.want, 1); shorten(string(got)) != want {
				t.Errorf("JSON(%s) = %s, want %s", doc, shorten(string(got)), want)
			}
		}
	}
	for in, want := range map[string]string{
		`{"id": "1.2.3.4", "session_id": "s-10.1.2.3-x"}`:                  `{"id": "«IP»", "session_id": "s-«IP»-x"}`,
		`{"version": "1.2.3.4", "app_version": "11.5.5.14-beta"}`:          `{"version": "1.2.3.4", "app_version": "11.5.5.14-beta"}`,
		`{"tool_call_id": "ab 536-22-1789", "x": [{"id": "536-22-1789"}]}`: `{"tool_call_id": "ab «SSN»", "x": [{"id": "«SSN»"}]}`,
	} {
		got, _, err := r.JSON([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if shorten(string(got)) != want {
			t.Errorf("JSON(%s) = %s, want %s", in, shorten(string(got)), want)
		}
	}
	got, _, err := r.JSON([]byte(`{"user_id": "+49 171 9876543", "messages": [{"content": "call +49 171 9876543"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if digest, rest, _ := strings.Cut(strings.SplitAfterN(string(got), "PHONE:", 2)[1], "]"); strings.Count(string(got), digest) != 2 {
		t.Errorf("equal values have different placeholders: %s %s", got, rest)
	}
}

// Four numbers are an address, even without a word that says so, when no version is
// written like that.
func TestAddressesThatAreNoVersions(t *testing.T) {
	r := newRedactor(t)
	for text, want := range map[string]bool{
		"seen 82.165.12.44 today":  true,
		"seen 203.0.113.77 today":  true,
		"seen 12.4.5.8 today":      false,
		"seen 3.17.2.1 today":      false,
		"Chrome/91.0.4.124 Safari": false,
		"version 82.165.12.44":     false,
	} {
		if _, counts := r.Text(text); (counts[IP] == 1) != want {
			t.Errorf("%q: %v, want an address found: %v", text, counts, want)
		}
	}
}
