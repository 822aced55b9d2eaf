package redact

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// A Kind is a class of redacted values, as it stands in placeholders.
type Kind string

// The kinds.
const (
	Email          Kind = "EMAIL"           // e-mail address, also percent-encoded
	Phone          Kind = "PHONE"           // phone number: international, North American, or named as one
	Card           Kind = "CARD"            // payment card number (issuer range, length and Luhn digit) or security code
	SSN            Kind = "SSN"             // US social security or taxpayer number
	IBAN           Kind = "IBAN"            // bank account by ISO 13616: country length and mod 97
	BankAccount    Kind = "BANK_ACCOUNT"    // account or routing number, by key
	NationalID     Kind = "NATIONAL_ID"     // passport, driving licence and the like, by key
	IP             Kind = "IP"              // IPv4 or IPv6 address, with its prefix length or zone
	MAC            Kind = "MAC"             // hardware address
	PrivateKey     Kind = "PRIVATE_KEY"     // PEM block
	JWT            Kind = "JWT"             // JSON web token
	Bearer         Kind = "BEARER"          // credentials of an Authorization header
	APIKey         Kind = "API_KEY"         // key of a well-known vendor, by its prefix or shape
	Secret         Kind = "SECRET"          // value of a password, token, secret or key, by its name
	Opaque         Kind = "OPAQUE"          // long text drawn at random, of which nothing says what it is
	OwnSecret      Kind = "OWN_SECRET"      // one of Options.Secrets
	URLCredentials Kind = "URL_CREDENTIALS" // user and password of a URL or connection string
	Webhook        Kind = "WEBHOOK"         // secret part of a webhook URL
	Cookie         Kind = "COOKIE"          // value of a Cookie or Set-Cookie header
	Name           Kind = "NAME"            // name of a person, by key
	Address        Kind = "ADDRESS"         // postal address, by key
	BirthDate      Kind = "BIRTH_DATE"      // date of birth, by key
	Dropped        Kind = "DROPPED"         // content that could not be redacted
)

// Kinds returns all kinds, in the order of their documentation.
func Kinds() []Kind {
	return []Kind{
		Email, Phone, Card, SSN, IBAN, BankAccount, NationalID, IP, MAC, PrivateKey, JWT,
		Bearer, APIKey, Secret, Opaque, OwnSecret, URLCredentials, Webhook, Cookie, Name, Address,
		BirthDate, Dropped,
	}
}

// A placeholder is [REDACTED:KIND:hhhh], KIND of capitals and '_', hhhh four hex digits.
const (
	placeholderOpen = "[REDACTED:"
	maxKindBytes    = 32
	digestDigits    = 4
)

// placeholder returns what stands for value from now on.
// mac is the HMAC under the installation's key.
func placeholder(mac hash.Hash, k Kind, value string) string {
	var sum [sha256.Size]byte
	mac.Reset()
	io.WriteString(mac, value) // a hash never fails to write
	mac.Sum(sum[:0])
	return placeholderOpen + string(k) + ":" + hex.EncodeToString(sum[:digestDigits/2]) + "]"
}

// nextPlaceholder returns the bounds of the first placeholder in s at or after from,
// whoever made it, or (len(s), len(s)).
func nextPlaceholder(s string, from int) (start, end int) {
	for from < len(s) {
		i := strings.Index(s[from:], placeholderOpen)
		if i < 0 {
			break
		}
		start = from + i
		if end = placeholderEnd(s, start); end > 0 {
			return start, end
		}
		from = start + len(placeholderOpen)
	}
	return len(s), len(s)
}

// placeholderEnd returns the end of the placeholder that opens at start, or 0.
func placeholderEnd(s string, start int) int {
	i := start + len(placeholderOpen)
	kind := i
	for i < len(s) && i-kind < maxKindBytes && (isUpper(s[i]) || s[i] == '_') {
		i++
	}
	if i == kind || i+digestDigits+2 > len(s) || s[i] != ':' || s[i+1+digestDigits] != ']' {
		return 0
	}
	for _, c := range []byte(s[i+1 : i+1+digestDigits]) {
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return 0
		}
	}
	return i + digestDigits + 2
}

// isPlaceholder reports whether s is one placeholder and nothing else.
func isPlaceholder(s string) bool {
	return strings.HasPrefix(s, placeholderOpen) && placeholderEnd(s, 0) == len(s)
}
