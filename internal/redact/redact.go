// Package redact replaces secrets and personal data by placeholders.
//
// A [Redactor] is the one choke point that every text passes before it is cut, sent to
// a model, stored, logged or exported, and that every model answer passes again. It has
// two entrances: [Redactor.JSON] for documents and [Redactor.Text] for everything else.
//
//	r, err := redact.New(redact.Options{Key: installationKey})
//	clean, counts, err := r.JSON(doc)
//
// # How it works
//
// Strings are decoded before they are looked at, also JSON inside strings inside JSON,
// so that an escape in front of a secret or inside it does not hide it; a string is
// encoded again only if it changed. In the decoded text a hand-written scanner finds
// candidates (a word with a known prefix, an '@', a group of digits, a ':' or '=' after
// a telling name) and a validator per kind decides. Nothing backtracks: the time is
// linear in the size of the input.
//
// What a value is called counts as well. Names such as password, authorization,
// first_name or date_of_birth lose their value whatever it looks like; under names of
// ids, timestamps, hashes and versions a bare run of digits is never taken for a phone,
// card or social security number, and a version never for an IP address. The tables are
// in policy.go.
//
// A finding may stand next to other text (sess_KEY-x, ann@example.com.json). Bare digits
// are the exception: glued to a word they are ids far more often than cards or phone
// numbers, and go only where the word says otherwise (ssn_536221789).
//
// # What holds
//
//   - Redacting twice gives what redacting once gives. Placeholders are boundaries:
//     they are never part of a value, nor context for one.
//   - Valid JSON stays valid, with the same structure. Input without findings comes
//     back byte for byte.
//   - Nothing in the content switches redaction off.
//   - It fails closed: when redaction itself fails, content is dropped, not passed on.
//
// # Reading order
//
//	json.go       a document: its members, pairs of name and value (jsonpair.go), strings (jsontext.go)
//	state.go      one text: rounds until nothing more is found, placeholders, names that were learned
//	scan.go       where in a text something can start, and who looks at it
//	word.go       keys and tokens that begin with a word: vendors' (vendor.go, shape.go), random ones (opaque.go)
//	number.go     cards, accounts, addresses of machines; phone.go, national.go, iddocument.go
//	assign.go     name = value, also percent-encoded (percent.go): what the name promises (name.go), whether the value keeps it (judge.go)
//	table.go      rows of data, by the header over them
//	prose.go      what sentences say: passwords (said.go), codes, persons, other scripts
//	command.go    what commands take; saidserver.go what servers are told, formfield.go what is typed into forms
//	policy.go     what names of keys mean; custom.go has the operator's rules
//
// # What is out of reach
//
// Names of persons and postal addresses in running text have no pattern; they go where a
// key names them, and a name goes in the rest of that document, too. Options.Entities is
// where a model finds the others. National phone numbers without separators need a word such
// as "phone" nearby, and an IPv4 address that could be a version number needs one such
// as "host". Secrets that were encoded on purpose (base64 inside a text, compressed,
// split over several fields) are not found, except the service's own.
package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version names the redaction policy: provenance records it, so that patterns made
// under an older policy can be found.
const Version = "8"

// Counts is how many values of each kind were replaced.
type Counts map[Kind]int

// Add adds the counts of d to c. c must not be nil.
func (c Counts) Add(d Counts) {
	for k, n := range d {
		c[k] += n
	}
}

// Total is how many values were replaced, of whatever kind.
func (c Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Strings is a copy of c with plain string keys, as run summaries carry it.
func (c Counts) Strings() map[string]int {
	m := make(map[string]int, len(c))
	for k, n := range c {
		m[string(k)] = n
	}
	return m
}

// Options configure a [Redactor].
type Options struct {
	// Key is the installation's key. Placeholders carry four hex digits of an HMAC of
	// the value under it, so that equal values stay joinable inside one installation
	// and cannot be guessed back outside. It must not be empty.
	Key []byte
	// Secrets are values of the service's own (API keys, tokens) that are replaced
	// wherever they occur, whatever they look like, also percent-encoded or in base64.
	// Values under 8 bytes are ignored.
	Secrets []string
	// PhoneRegions are the countries, as ISO 3166 codes of two letters ("DE"), whose
	// national phone numbers are recognised without a country code.
	PhoneRegions []string
	// TimeLimit is how long one text or document may take; 0 is [DefaultTimeLimit].
	// Past it every value that was not looked at is replaced by a placeholder of kind
	// [Dropped], and keys and structure stay.
	TimeLimit time.Duration
	// Rules are the operator's own, from [ParseRules]; nil for none.
	Rules *Rules
	// Entities finds what has no pattern, such as names and addresses in running text.
	// It is called with each text at least once, from many goroutines at once, and
	// returns findings that neither overlap nor leave the text. On an error, or a finding
	// out of bounds, the whole text is dropped. For the same result on redacting twice
	// it must not find anything in what placeholders leave. Nil for none.
	Entities func(text string) ([]Entity, error)
}

// An Entity is a finding of [Options].Entities: text[Start:End] is of the given kind.
type Entity struct {
	Start, End int
	Kind       Kind
}

// DefaultTimeLimit is far beyond what any document within the bounds of a trace takes:
// 20 ms for a typical megabyte, 50 ms for the worst known.
const DefaultTimeLimit = 10 * time.Second

// minSecretBytes is the length from which one of the service's own secrets is searched
// for; shorter values would match by chance.
const minSecretBytes = 8

// A Redactor redacts texts and documents. It is used by many goroutines at once.
type Redactor struct {
	key     []byte
	secrets []string // longest first
	policy  *policy
	shapes  *shapeTable
	regions []string
	limit   time.Duration
	find    func(string) ([]Entity, error)
	now     func() time.Time
	states  sync.Pool // of *state
}

// New returns a Redactor. It fails when o.Key is empty.
func New(o Options) (*Redactor, error) {
	if len(o.Key) == 0 {
		return nil, errors.New("redact: the installation key is empty; placeholders made without a key could be guessed back")
	}
	shapes, err := vendorShapes()
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	regions, err := checkRegions(o.PhoneRegions)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	policy := newPolicy()
	if o.Rules != nil {
		shapes = shapes.clone()
		if err := o.Rules.apply(policy, shapes); err != nil {
			return nil, fmt.Errorf("redact: %w", err)
		}
	}
	if o.TimeLimit == 0 {
		o.TimeLimit = DefaultTimeLimit
	}
	r := &Redactor{regions: regions, limit: o.TimeLimit, find: o.Entities, now: time.Now, key: slices.Clone(o.Key), secrets: encodings(o.Secrets), policy: policy, shapes: shapes}
	r.states.New = func() any { return newState(r) }
	return r, nil
}

// encodings returns the secrets that are long enough, with the forms in which they
// travel in URLs and headers, longest first so that no form hides a part of another.
func encodings(secrets []string) []string {
	set := make(map[string]bool)
	for _, s := range secrets {
		if len(s) < minSecretBytes {
			continue
		}
		for _, form := range []string{
			s,
			url.QueryEscape(s),
			url.PathEscape(s),
			base64.RawStdEncoding.EncodeToString([]byte(s)),
			base64.RawURLEncoding.EncodeToString([]byte(s)),
		} {
			set[form] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
}

// Text returns s with every finding replaced, and how many there were. A text that is
// JSON is treated as [Redactor.JSON] treats a document. Should redaction itself fail,
// the whole text is replaced by one placeholder of kind [Dropped].
func (r *Redactor) Text(s string) (out string, counts Counts) { return r.member("", s) }

// member is Text for the value of a member called key, such as an attribute of a log
// record. What the policy says about the key counts.
func (r *Redactor) member(key, s string) (out string, counts Counts) {
	st := r.states.Get().(*state)
	defer func() {
		if p := recover(); p != nil {
			// st may be inconsistent: it does not go back to the pool.
			out, counts = placeholder(hmac.New(sha256.New, r.key), Dropped, s), Counts{Dropped: 1}
		}
	}()
	st.reset()
	info := keyInfo{}
	if key != "" {
		info = r.policy.key(info, key)
	}
	out, changed := st.value(s, info, 0)
	if changed {
		out = strings.Clone(out)
	}
	if st.namesIn(out) {
		st.settled = true
		if again, changed := st.value(out, info, 0); changed {
			out = strings.Clone(again)
		}
	}
	counts = st.counts()
	r.states.Put(st)
	return out, counts
}

// JSON returns the JSON document doc with every finding replaced, and how many there
// were. The result is valid JSON; without findings it is doc itself. A number is
// replaced by a string, and only under a key that says what it is.
//
// Input that is no JSON is an error, and nothing is returned: a caller that wants to
// keep the content passes it through [Redactor.Text]. Errors never quote the content.
func (r *Redactor) JSON(doc []byte) (out []byte, counts Counts, err error) {
	st := r.states.Get().(*state)
	defer func() {
		if p := recover(); p != nil {
			// The panic's value may quote the content.
			out, counts, err = nil, nil, fmt.Errorf("redact: internal failure (%T) in a document of %d bytes; its content was dropped", p, len(doc))
		}
	}()
	st.reset()
	clean, err := st.document(view(doc), 0) // doc does not change before this returns
	if err != nil {
		return nil, nil, fmt.Errorf("redact: %w", err)
	}
	switch {
	case clean == nil:
		clean = doc
	case !st.namesIn(view(clean[:st.unnamed])):
		st.levels[0].out = nil // it is the caller's now
	default:
		st.settled = true
		first, second := &st.levels[0], &st.second
		first.out, second.out = second.out, clean
		again, err := st.secondPass(view(clean), st.unnamed, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("redact: after the first pass: %w", err)
		}
		if again == nil {
			again = clean
		}
		clean = bytes.Clone(again)
	}
	counts = st.counts()
	r.states.Put(st)
	return clean, counts, nil
}
