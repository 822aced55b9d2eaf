package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/server/route"
)

// An identity is what a token says about its bearer.
type identity struct {
	subject string
	email   string // lower case, verified by the issuer; or ""
	// hosted is the Google Workspace domain that the account belongs to, or "".
	hosted string
	google bool // Google is the issuer
}

// A List says who has a role.
type List []entry

// An entry is one of: "*", everybody who is authenticated; "@example.com", the e-mail
// addresses of a domain; "sub:4711", a subject; or an e-mail address. Lower case but
// for subjects.
type entry string

const everybody entry = "*"

const subjectPrefix = "sub:"

// ParseList reads a list that is separated by commas or white space.
func ParseList(s string) (List, error) {
	var l List
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		if sub, ok := strings.CutPrefix(f, subjectPrefix); ok && sub != "" {
			l = append(l, entry(f))
			continue
		}
		local, domain, ok := strings.Cut(f, "@")
		if f != string(everybody) && (!ok || domain == "" || strings.ContainsAny(domain, "@*") || strings.Contains(local, "*")) {
			return nil, fmt.Errorf("has the entry %q; allowed are an e-mail address, @DOMAIN, sub:SUBJECT and *", f)
		}
		l = append(l, entry(strings.ToLower(f)))
	}
	return l, nil
}

// String returns l as [ParseList] reads it.
func (l List) String() string {
	s := make([]string, len(l))
	for i, e := range l {
		s[i] = string(e)
	}
	return strings.Join(s, ",")
}

// all reports whether l gives its role to everybody who is authenticated.
func (l List) all() bool { return slices.Contains(l, everybody) }

func (l List) has(id identity) bool {
	return slices.ContainsFunc(l, func(e entry) bool { return e.matches(id) })
}

func (e entry) matches(id identity) bool {
	if e == everybody {
		return true
	}
	if sub, ok := strings.CutPrefix(string(e), subjectPrefix); ok {
		return sub == id.subject
	}
	domain, isDomain := strings.CutPrefix(string(e), "@")
	if !isDomain {
		return id.email == string(e)
	}
	if !strings.HasSuffix(id.email, string(e)) {
		return false
	}
	// Anybody can make a private Google account with an address of any domain, and keeps
	// it after the address is gone. Only accounts of the domain's own Workspace carry its
	// name, and service accounts belong to Google's own domain.
	return !id.google || id.hosted == domain || strings.HasSuffix(domain, ".gserviceaccount.com")
}

func anyEntry(allow map[route.Role]List) bool {
	for _, l := range allow {
		if len(l) > 0 {
			return true
		}
	}
	return false
}
