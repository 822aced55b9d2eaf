// Package redacttest plants secrets and personal data where tests want them, and finds
// what is left of them: in files, answers, logs, metrics, whatever a test can read.
//
//	text := redacttest.Text(2) // a value of every kind, in JSON in JSON in a string
//	…
//	for _, leak := range redacttest.Find(database) {
//		t.Errorf("the database holds %v", leak)
//	}
//
// The values are made up and put together at run time, so that no scanner takes this
// package for a leak.
package redacttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/evalforge/evalforge/internal/redact"
)

// A Canary is a value that must not get anywhere.
type Canary struct {
	Kind  redact.Kind
	Value string // what is searched for
	text  string // how it stands in a text; %s is the value
}

// Text returns the canary as it stands in a text, with what shows that it is one.
func (c Canary) Text() string { return fmt.Sprintf(c.text, c.Value) }

// Canaries returns at least one value of each kind that can be planted: all but
// [redact.OwnSecret], which is whatever a test configures, and [redact.Dropped].
func Canaries() []Canary {
	return []Canary{
		{redact.Email, "maria.p@" + "realmail-zq.org", "mail %s-x"},
		{redact.Phone, "+49 171 " + "9876543", "call %s"},
		{redact.Phone, "(415) 736-" + "0189", "or %s ext. 7"},
		{redact.Card, "4539 1488 " + "0343 6467", "%s"},
		{redact.SSN, "536-22-" + "1789", "sess-%s-x"},
		{redact.IBAN, "DE89370400" + "440532013000", "to %s"},
		{redact.BankAccount, "0099" + "2188374650182", `"account_number": "%s"`},
		{redact.NationalID, "943 476 " + "5919", "NHS number %s"},
		{redact.IP, "203.0.113." + "177", "from %s:443"},
		{redact.IP, "2001:db8:85a3::" + "8a2e:370:7334", "user:%s"},
		{redact.MAC, "3c:22:fb:" + "9a:1b:7e", "mac %s"},
		{redact.PrivateKey, "MIIEpAIBAAKCAQEA3Tz2" + "mr7SZiAMfQyuvBjM9Oi", "-----BEGIN RSA " + "PRIVATE KEY-----\n%s\n-----END RSA " + "PRIVATE KEY-----"},
		{redact.JWT, "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9", "got %s.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"},
		{redact.Bearer, "dXNlcjpjMHJy" + "ZWN0aG9yc2U5", "Authorization: Basic %s"},
		{redact.APIKey, "AKIA" + "Q7ZPLANTEDKEYS22", "key %s-x"},
		{redact.APIKey, "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", "%s"},
		{redact.Secret, "hunter2" + "secretpw", "pw: %s"},
		{redact.Secret, "c4n4ry" + "Pa55phrase", `"db_password": "%s"`},
		{redact.Opaque, "q7Zr2Kx9Vb4N" + "m1Lp8Ty6Wd3Hs5Fg0JcT4uR", "then %s failed"},
		{redact.URLCredentials, "dba:" + "c0rrecthorse9", "postgres://%s@db.internal/app"},
		{redact.Webhook, "B01ABCDEF/" + "a1B2c3D4e5F6g7H8i9J0k1L2", "https://hooks.slack.com/services/T01ABCDEF/%s"},
		{redact.Cookie, "sid=" + "8f3Kq0Zt5Lm2Xc7V", "Cookie: %s"},
		{redact.Name, "Zebulon " + "Quackenbush", `"full_name": "%s"`},
		{redact.Address, "4711 " + "Hollowmere Crescent", `"street_address": "%s"`},
		{redact.BirthDate, "Novem" + "ber 29th, 1963", `"date_of_birth": "%s"`},
	}
}

// Text returns every canary in one text: at depth 0 as lines, else as a document in a
// string, in a document, and so on, depth documents in all.
func Text(depth int) string {
	var lines []string
	for _, c := range Canaries() {
		lines = append(lines, c.Text())
	}
	return Nested(strings.Join(lines, "\n"), depth)
}

// Nested returns text inside depth JSON documents, each a string of the next.
func Nested(text string, depth int) string {
	for range depth {
		doc, err := json.Marshal(map[string]string{"note": "see\n" + text})
		if err != nil {
			panic(fmt.Sprintf("redacttest: %v", err)) // a string always encodes
		}
		text = string(doc)
	}
	return text
}

// A Leak is what was found of a canary.
type Leak struct {
	Kind   redact.Kind
	Found  string // the value, or half of it
	Offset int    // in the data, in bytes
	Around string // what stands around it
}

func (l Leak) String() string {
	return fmt.Sprintf("%s %q at byte %d: …%q…", l.Kind, l.Found, l.Offset, l.Around)
}

// FindIn reads r to its end and returns what is left of the canaries and of extra
// secrets in it.
func FindIn(r io.Reader, extra ...string) ([]Leak, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("redacttest: %w", err)
	}
	return Find(data, extra...), nil
}

// Find returns what is left of the canaries and of extra secrets in data: the first
// place at which half of a value, or more, stands.
func Find(data []byte, extra ...string) []Leak { return NewFinder(extra...).Find(data) }

// A Finder is Find for those who search many things.
type Finder struct {
	values []Canary
	halves map[[grams]byte][]half
	first  [1 << 16]bool // the first two bytes of each half: what is searched can be long
}

// NewFinder returns a Finder for the canaries and extra secrets, of at least 9 bytes.
func NewFinder(extra ...string) *Finder {
	f := &Finder{values: Canaries(), halves: make(map[[grams]byte][]half)}
	for _, s := range extra {
		f.values = append(f.values, Canary{redact.OwnSecret, s, "%s"})
	}
	for i, c := range f.values {
		n := (len(c.Value) + 1) / 2
		for at := 0; at+n <= len(c.Value); at++ {
			text := c.Value[at : at+n]
			gram := [grams]byte([]byte(text))
			f.halves[gram] = append(f.halves[gram], half{i, text})
			f.first[uint16(gram[0])<<8|uint16(gram[1])] = true
		}
	}
	return f
}

// Find returns what is left of the values in data.
func (f *Finder) Find(data []byte) []Leak {
	var leaks []Leak
	found := make([]bool, len(f.values))
	for i := 0; i+grams <= len(data); i++ {
		if !f.first[uint16(data[i])<<8|uint16(data[i+1])] {
			continue
		}
		for _, h := range f.halves[[grams]byte(data[i:])] {
			if found[h.of] || !bytes.HasPrefix(data[i:], []byte(h.text)) {
				continue
			}
			found[h.of] = true
			around := data[max(0, i-60):min(len(data), i+len(h.text)+40)]
			leaks = append(leaks, Leak{f.values[h.of].Kind, h.text, i, strings.ToValidUTF8(string(around), "?")})
		}
	}
	return leaks
}

// A half is a half of a value, from any of its bytes on.
type half struct {
	of   int
	text string
}

// grams is how many bytes of a half are looked up: no value is so short that a half of it
// is shorter.
const grams = 5
