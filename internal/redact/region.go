package redact

import (
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// CheckRegions returns an error that names the first of regions that is no country.
func CheckRegions(regions []string) error {
	_, err := checkRegions(regions)
	return err
}

// checkRegions returns regions in capitals, or an error that names the first that is
// no country.
func checkRegions(regions []string) ([]string, error) {
	known := phonenumbers.GetSupportedRegions()
	var list []string
	for _, r := range regions {
		r = strings.ToUpper(strings.TrimSpace(r))
		if !known[r] {
			return nil, fmt.Errorf("phone region %q is no country: use two letters of ISO 3166, such as DE or GB", r)
		}
		list = append(list, r)
	}
	return list, nil
}

const (
	// maxPhoneBytes bounds a number as it is written, with its separators.
	maxPhoneBytes = 32
	// maxCheckedPhones bounds the candidates whose validity is remembered.
	maxCheckedPhones = 1024
)

// regionalPhone looks at a national number of one of the regions that starts at s[i].
// Digits alone are valid numbers somewhere, so there must be a sign that they are meant
// as one: a trunk prefix or a bracket with groups, a word, or a line of their own.
func (sc *scanner) regionalPhone(s string, i int) (span, bool) {
	before := at(s, i-1)
	if wordSet[before] || money(s, i) || before == '/' || before == '=' || before == '+' ||
		(before == '.' || before == ',' || before == '-' || before == ':') && isDigit(at(s, i-2)) || latinBefore(s, i) {
		return span{}, false
	}
	digits, groups, end := 0, 0, i
	inGroup := false
	for k := i; k < len(s) && k-i < maxPhoneBytes; k++ {
		c := s[k]
		if isDigit(c) {
			if !inGroup {
				groups++
			}
			inGroup = true
			digits++
			end = k + 1
			continue
		}
		inGroup = false
		if strings.IndexByte(" -./()", c) < 0 || k-end >= 2 {
			break
		}
	}
	if s[i] != '0' && s[i] != '(' && (strings.Count(s[i:end], "/") > 1 || strings.Contains(s[i:end], "//") || isYear(s[i:end])) {
		return span{}, false // dates and divisions
	}
	if digits < 6 || digits > 16 {
		return span{}, false
	}
	number := s[i:end]
	end = phoneExtension(s, end)
	next := at(s, end)
	if wordSet[next] || next == '%' || next == '$' || next == '@' || next == '=' ||
		(next == '-' || next == '.' || next == '/' || next == ':' || next == ',') && isDigit(at(s, end+1)) || isDate(number) {
		return span{}, false
	}
	h := sc.near(s, i, 2)
	if h.has(hintIdentifier) && !h.has(hintPhone) {
		return span{}, false
	}
	trunk := s[i] == '0' && digits >= 9 || s[i] == '(' && strings.IndexByte(number, ')') > 0
	if !(trunk && groups > 1) && !h.has(hintPhone|hintNumber) && end == i+len(number) && !sc.wholeLine(s, i, end) {
		return span{}, false
	}
	for _, region := range sc.regions {
		if sc.valid(number, region) {
			return span{i, end, Phone}, true
		}
	}
	return span{}, false
}

// isYear reports whether s starts with a year and something that is no digit.
func isYear(s string) bool {
	return len(s) > 5 && allDigits(s[:4]) && (s[:2] == "19" || s[:2] == "20") && !isDigit(s[4])
}

// A phoneCandidate is what was asked about.
type phoneCandidate struct{ number, region string }

// valid reports whether number is a phone number, as region dials it. The answers are
// remembered: the check costs as much as scanning a kilobyte.
func (sc *scanner) valid(number, region string) bool {
	candidate := phoneCandidate{number, region}
	if ok, known := sc.phones[candidate]; known {
		return ok
	}
	parsed, err := phonenumbers.Parse(number, region)
	ok := err == nil && phonenumbers.IsValidNumber(parsed)
	if err == nil && !ok && parsed.GetCountryCode() == 49 {
		// Germany's numbers are of open length: short ones are in use that the metadata does not list.
		ok = phonenumbers.IsPossibleNumber(parsed)
	}
	if sc.phones == nil || len(sc.phones) >= maxCheckedPhones {
		sc.phones = make(map[phoneCandidate]bool)
	}
	candidate.number = strings.Clone(number)
	sc.phones[candidate] = ok
	return ok
}

// fullWidth looks at a phone number in the wide digits of East Asian text, which starts
// at s[i].
func (sc *scanner) fullWidth(s string, i int) (span, bool) {
	if wideDigit(s, i) == 0 || i >= 3 && wideDigit(s, i-3) != 0 {
		return span{}, false
	}
	var buf [maxPhoneBytes]byte
	plain := buf[:0]
	end := i
	for k := i; k < len(s) && len(plain) < cap(plain); {
		if d := wideDigit(s, k); d != 0 {
			plain = append(plain, d)
			k += 3
			end = k
			continue
		}
		if strings.IndexByte(" -.()", s[k]) < 0 {
			break
		}
		plain = append(plain, s[k])
		k++
	}
	p := parsePhone(string(plain), 0)
	if p.n < 10 || p.n > 11 || !p.northAmerican() {
		return span{}, false
	}
	return span{i, end, Phone}, true
}

// wideDigit returns the digit of which the wide form (U+FF10 to U+FF19) is at s[i], or 0.
func wideDigit(s string, i int) byte {
	if i+3 > len(s) || s[i] != 0xEF || s[i+1] != 0xBC || s[i+2] < 0x90 || s[i+2] > 0x99 {
		return 0
	}
	return s[i+2] - 0x90 + '0'
}
