package redact

import "strings"

// A vendorKey is the shape of a vendor's keys: a prefix that starts a word, and what
// must follow.
type vendorKey struct {
	prefix   string
	set      int // of the rest
	min, max int // bytes of the rest; max 0: no limit
	gate     gate
}

// A gate says how random the rest of a key must look, so that words and masks (xxxx)
// pass. Long prefixes are proof enough; short ones are not.
type gate uint8

const (
	distinct  gate = iota // at least five different characters
	digits2               // and two digits
	random                // and two digits or six changes of case
	mixed                 // and two digits and six changes of case
	hexOnly               // hex digits only, at least five different
	capitals              // capitals and digits only, five different and a digit, or eight different
	digitless             // anything: the prefix and the length are enough
	unmasked              // anything but a mask of x and *
	hexParts              // a UUID
)

// vendorKeys is collected from the vendors' documentation and public rule sets. Of two
// prefixes of which one starts with the other, the longer one comes first.
var vendorKeys = []vendorKey{
	// Models and tools around them.
	{"sk-proj-", tokenSet, 16, 0, distinct},
	{"sk-svcacct-", tokenSet, 16, 0, distinct},
	{"sk-admin-", tokenSet, 16, 0, distinct},
	{"sk-ant-", tokenSet, 16, 0, distinct},
	{"sk-or-v1-", tokenSet, 16, 0, distinct},
	{"sk-lf-", tokenSet, 16, 0, distinct},
	{"pk-lf-", tokenSet, 16, 0, distinct},
	{"sk-", tokenSet, 20, 0, digits2},
	{"csk-", tokenSet, 40, 0, digits2},
	{"lsv2_", tokenSet, 20, 0, distinct},
	{"ls__", tokenSet, 20, 0, digits2},
	{"hf_", tokenSet, 30, 40, random},
	{"api_org_", tokenSet, 34, 34, random},
	{"gsk_", tokenSet, 20, 0, random},
	{"xai-", tokenSet, 20, 0, random},
	{"r8_", tokenSet, 20, 0, random},
	{"pplx-", tokenSet, 20, 0, random},
	{"nvapi-", tokenSet, 20, 0, distinct},
	{"tvly-", tokenSet, 16, 0, random},
	{"tgp_v1_", tokenSet, 20, 0, distinct},
	{"fw_", tokenSet, 20, 0, digits2},
	{"jina_", tokenSet, 30, 0, random},
	{"pcsk_", tokenSet, 20, 0, distinct},
	{"e2b_", tokenSet, 30, 0, random},
	{"fc-", tokenSet, 32, 32, hexOnly},
	{"apify_api_", tokenSet, 20, 0, distinct},
	{"AstraCS:", base64Set, 20, 0, distinct},
	// Clouds.
	{"AIza", tokenSet, 32, 36, random},
	{"AQ.", tokenSet, 30, 0, digits2},
	{"ya29.", tokenSet, 20, 0, distinct},
	{"GOCSPX-", tokenSet, 20, 0, distinct},
	{"AKIA", tokenSet, 16, 16, capitals},
	{"ASIA", tokenSet, 16, 16, capitals},
	{"ABIA", tokenSet, 16, 16, capitals},
	{"ACCA", tokenSet, 16, 16, capitals},
	{"ABSK", base64Set, 60, 0, random},
	{"bedrock-api-key-", base64Set, 8, 0, distinct},
	{"LTAI", tokenSet, 12, 24, digits2},
	{"dop_v1_", tokenSet, 32, 0, distinct},
	{"doo_v1_", tokenSet, 32, 0, distinct},
	{"dor_v1_", tokenSet, 32, 0, distinct},
	{"hvs.", tokenSet, 18, 0, distinct},
	{"hvb.", tokenSet, 40, 0, distinct},
	{"hvr.", tokenSet, 18, 0, distinct},
	{"s.", tokenSet, 24, 24, digits2},
	{"sha256~", tokenSet, 40, 0, digits2},
	{"HRKU-", tokenSet, 30, 0, distinct},
	{"fo1_", tokenSet, 40, 0, distinct},
	{"fm1r_", base64Set, 80, 0, distinct},
	{"fm1a_", base64Set, 80, 0, distinct},
	{"fm2_", base64Set, 80, 0, distinct},
	{"v1.0-", tokenSet, 60, 0, digits2},
	{"AQVN", tokenSet, 35, 38, random},
	{"t1.", base64Set, 80, 0, random},
	{"dt0c01.", dottedSet, 40, 0, distinct},
	{"dapi", tokenSet, 32, 34, digits2},
	{"pul-", tokenSet, 40, 40, hexOnly},
	{"scw", tokenSet, 32, 34, hexOnly},
	{"tskey-", tokenSet, 16, 0, distinct},
	{"dnkey-", base64Set, 40, 0, distinct},
	{"sbp_", tokenSet, 40, 0, hexOnly},
	{"sb_secret_", tokenSet, 20, 0, distinct},
	{"pscale_tkn_", dottedSet, 30, 0, distinct},
	{"pscale_pw_", dottedSet, 30, 0, distinct},
	{"pscale_oauth_", dottedSet, 30, 0, distinct},
	{"tk-us-", tokenSet, 40, 0, distinct},
	{"vcp_", tokenSet, 24, 0, digits2},
	{"vci_", tokenSet, 24, 0, digits2},
	{"vca_", tokenSet, 24, 0, digits2},
	{"vcr_", tokenSet, 24, 0, digits2},
	{"vck_", tokenSet, 24, 0, digits2},
	{"cfat_", tokenSet, 40, 0, random},
	{"cfut_", tokenSet, 40, 0, random},
	{"cfk_", tokenSet, 40, 0, random},
	{"vercel_", tokenSet, 24, 0, digits2},
	{"rnd_", tokenSet, 24, 0, digits2},
	// Code hosts and registries.
	{"ghp_", tokenSet, 30, 0, distinct},
	{"gho_", tokenSet, 30, 0, distinct},
	{"ghu_", tokenSet, 30, 0, distinct},
	{"ghs_", dottedSet, 30, 0, distinct},
	{"ghr_", tokenSet, 30, 0, distinct},
	{"github_pat_", tokenSet, 30, 0, distinct},
	{"glpat-", dottedSet, 18, 0, distinct},
	{"gldt-", dottedSet, 18, 0, distinct},
	{"glrt-", dottedSet, 18, 0, distinct},
	{"glcbt-", dottedSet, 18, 0, distinct},
	{"glptt-", dottedSet, 18, 0, distinct},
	{"glft-", dottedSet, 18, 0, distinct},
	{"glimt-", dottedSet, 18, 0, distinct},
	{"glagent-", dottedSet, 30, 0, distinct},
	{"gloas-", dottedSet, 30, 0, distinct},
	{"glsoat-", dottedSet, 18, 0, distinct},
	{"glffct-", dottedSet, 18, 0, distinct},
	{"GR1348941", tokenSet, 18, 0, random},
	{"npm_", tokenSet, 30, 0, random},
	{"oy2", tokenSet, 43, 43, digits2},
	{"cio", tokenSet, 32, 32, mixed},
	{"pypi-", tokenSet, 50, 0, distinct},
	{"rubygems_", tokenSet, 40, 0, hexOnly},
	{"dckr_pat_", tokenSet, 20, 0, distinct},
	{"dckr_oat_", tokenSet, 20, 0, distinct},
	{"CLOJARS_", tokenSet, 50, 0, distinct},
	{"AKCp", tokenSet, 60, 80, random},
	{"cmVmd", tokenSet, 55, 60, random},
	{"sqp_", tokenSet, 40, 0, distinct},
	{"squ_", tokenSet, 40, 0, distinct},
	{"sqa_", tokenSet, 40, 0, distinct},
	{"ATATT3", base64Set, 50, 0, distinct},
	{"ATCTT3", base64Set, 50, 0, distinct},
	{"ATBB", tokenSet, 30, 34, random},
	// Payment.
	{"sk_live_", tokenSet, 10, 0, unmasked},
	{"sk_test_", tokenSet, 10, 0, unmasked},
	{"sk_prod_", tokenSet, 10, 0, unmasked},
	{"rk_live_", tokenSet, 10, 0, unmasked},
	{"rk_test_", tokenSet, 10, 0, unmasked},
	{"rk_prod_", tokenSet, 10, 0, unmasked},
	{"whsec_", base64Set, 20, 0, distinct},
	{"sk_", tokenSet, 40, 0, digits2},
	{"EAAA", tokenSet, 22, 64, digits2},
	{"EAA", tokenSet, 100, 0, random},
	{"sq0csp-", tokenSet, 22, 0, distinct},
	{"sq0atp-", tokenSet, 22, 0, distinct},
	{"FLWPUBK_TEST-", tokenSet, 12, 0, distinct},
	{"FLWSECK_TEST-", tokenSet, 12, 0, distinct},
	{"FLWSECK-", tokenSet, 12, 0, distinct},
	{"EZAK", tokenSet, 54, 54, random},
	{"EZTK", tokenSet, 54, 54, random},
	{"shippo_live_", tokenSet, 40, 0, hexOnly},
	{"shippo_test_", tokenSet, 40, 0, hexOnly},
	{"rzp_live_", tokenSet, 14, 0, random},
	{"rzp_test_", tokenSet, 14, 0, random},
	{"duffel_test_", base64Set, 40, 0, distinct},
	{"duffel_live_", base64Set, 40, 0, distinct},
	// Messages and mail.
	{"xoxb-", tokenSet, 10, 0, digits2},
	{"xoxp-", tokenSet, 10, 0, digits2},
	{"xoxa-", tokenSet, 10, 0, digits2},
	{"xoxs-", tokenSet, 10, 0, digits2},
	{"xoxr-", tokenSet, 10, 0, digits2},
	{"xoxo-", tokenSet, 10, 0, digits2},
	{"xoxe-", tokenSet, 10, 0, digits2},
	{"xoxe.xox", dottedSet, 10, 0, digits2},
	{"xapp-", tokenSet, 10, 0, digits2},
	{"SG.", base64Set, 40, 0, random},
	{"xkeysib-", tokenSet, 60, 0, distinct},
	{"key-", tokenSet, 32, 32, hexOnly},
	{"pubkey-", tokenSet, 32, 32, hexOnly},
	{"SK", tokenSet, 32, 32, hexOnly},
	{"re_", tokenSet, 24, 0, digits2},
	// The rest.
	{"bkua_", tokenSet, 40, 40, hexOnly},
	{"AKID", tokenSet, 32, 32, mixed},
	{"sl.", tokenSet, 100, 0, mixed},
	{"esecret_", tokenSet, 24, 0, digits2},
	{"IGQV", tokenSet, 100, 0, mixed},
	{"st.", dottedSet, 64, 0, random},
	{"sdk-", tokenSet, 36, 36, hexParts},
	{"api-", tokenSet, 36, 36, hexParts},
	{"shpat_", tokenSet, 28, 0, distinct},
	{"shpca_", tokenSet, 28, 0, distinct},
	{"shppa_", tokenSet, 28, 0, distinct},
	{"shpss_", tokenSet, 28, 0, distinct},
	{"sntrys_", base64Set, 60, 0, distinct},
	{"sntryu_", tokenSet, 60, 0, hexOnly},
	{"PMAK-", tokenSet, 50, 0, distinct},
	{"tfp_", base64Set, 50, 0, distinct},
	{"dp.", dottedSet, 40, 0, random},
	{"NRAK-", tokenSet, 24, 0, distinct},
	{"NRJS-", tokenSet, 18, 0, distinct},
	{"NRII-", tokenSet, 24, 0, distinct},
	{"NRAL-", tokenSet, 24, 0, distinct},
	{"lin_api_", tokenSet, 30, 0, distinct},
	{"lin_oauth_", tokenSet, 30, 0, distinct},
	{"glc_", base64Set, 32, 0, random},
	{"glsa_", tokenSet, 32, 0, distinct},
	{"eyJrIjoi", base64Set, 60, 0, random},
	{"ico-", tokenSet, 32, 32, mixed},
	{"fio-u-", base64Set, 60, 0, distinct},
	{"pat-na1-", tokenSet, 30, 0, distinct},
	{"pat-eu1-", tokenSet, 30, 0, distinct},
	{"pnu_", tokenSet, 30, 0, random},
	{"rdme_", tokenSet, 60, 0, distinct},
	{"sm_aat_", tokenSet, 14, 0, distinct},
	{"sm_pat_", tokenSet, 14, 0, distinct},
	{"sm_sat_", tokenSet, 14, 0, distinct},
	{"secret_", tokenSet, 40, 44, digits2},
	{"API-", tokenSet, 26, 26, capitals},
	{"p8e-", tokenSet, 32, 32, hexOnly},
	{"AGE-SECRET-KEY-1", tokenSet, 50, 0, digitless},
	{"A3-", tokenSet, 30, 40, capitals},
	{"ops_eyJ", base64Set, 100, 0, random},
	{"ATTA", tokenSet, 60, 0, random},
	{"CFPAT-", tokenSet, 40, 0, distinct},
	{"figd_", tokenSet, 30, 0, distinct},
	{"phx_", tokenSet, 30, 0, random},
	{"waka_", tokenSet, 36, 36, distinct},
	{"zpka_", tokenSet, 30, 0, distinct},
	{"wrka-", tokenSet, 30, 0, distinct},
	{"ZXlK", base64Set, 60, 0, random}, // a JSON web token in base64
	{"pk.eyJ", dottedSet, 60, 0, random},
	{"sk.eyJ", dottedSet, 60, 0, random},
	{"s-s4t2ud-", tokenSet, 60, 0, hexOnly},
	{"s-s4t2af-", tokenSet, 60, 0, hexOnly},
}

// byStart are the positions in vendorKeys of the shapes that start with two bytes, in
// the order of the table; startsKey marks the first of the two.
var (
	byStart = func() (t startTable[int]) {
		for i, k := range vendorKeys {
			t.add(k.prefix[0], k.prefix[1], i)
		}
		return t
	}()
	startsKey = func() (t [256][4]uint64) {
		for _, k := range vendorKeys {
			t[k.prefix[0]][k.prefix[1]/64] |= 1 << (k.prefix[1] % 64)
		}
		return t
	}()
)

// maxVendorBytes is more than any shape with an upper bound has: of two runs that are
// longer, only the start tells them apart.
const maxVendorBytes = 512

// vendorKey looks at a vendor's key that starts at s[i].
func (sc *scanner) vendorKey(s string, i int) (span, bool) {
	if i+1 >= len(s) || (startsKey[s[i]][s[i+1]/64]|sc.shapes.firsts[s[i]][s[i+1]/64])>>(s[i+1]%64)&1 == 0 {
		return span{}, false
	}
	long := sc.runEnd(s, i, tokenSet)-i > maxVendorBytes
	if long && sc.rejected.vendor != "" && strings.HasPrefix(s[i:], sc.rejected.vendor) {
		return span{}, false
	}
	sp, ok := sc.tableKey(s, i)
	if !ok {
		sp, ok = sc.prefixedShape(s, i)
	}
	if long && !ok {
		sc.rejected.vendor = s[i : i+maxVendorBytes]
	}
	return sp, ok
}

// tableKey looks at a key of vendorKeys that starts at s[i].
func (sc *scanner) tableKey(s string, i int) (span, bool) {
	for _, n := range byStart.get(s[i], s[i+1]) {
		k := &vendorKeys[n]
		if !strings.HasPrefix(s[i:], k.prefix) {
			continue
		}
		start := i + len(k.prefix)
		if start >= len(s) || !sets[k.set][s[start]] {
			continue
		}
		end := k.end(s, start, sc.runEnd(s, start, k.set))
		for end > start && (s[end-1] == '.' || s[end-1] == '-' && k.set != base64Set) {
			end-- // of a sentence
		}
		if c := at(s, end); c == '#' || c == '*' || c == '-' && (at(s, end+1) == '#' || at(s, end+1) == '*') {
			continue // masked
		}
		if n := end - start; n < k.min || k.max > 0 && n > k.max {
			continue
		}
		if key := s[start:end]; k.gate.open(key) && !isWordy(key) && !(end-i < maxCountedKey && isFiller(key)) {
			return span{i, end, APIKey}, true
		}
	}
	return span{}, false
}

// end returns where a key whose rest starts at s[start] ends, if the run of its set ends
// at end: what is glued to it by '-' or '_' does not hide it.
func (k *vendorKey) end(s string, start, end int) int {
	glue := func(i int) bool { return s[i] == '-' || s[i] == '_' }
	if k.gate == hexOnly {
		hex := start
		for hex < end && isHex(s[hex]) {
			hex++
		}
		if hex < end && glue(hex) {
			return hex
		}
		return end
	}
	if k.max == 0 || end-start <= k.max {
		return end
	}
	for e := start + k.max; e >= start+k.min; e-- {
		if glue(e) {
			return e
		}
	}
	return end
}

// maxCountedKey is the length up to which a key that counts (12345-abcd234) is one of
// documentation.
const maxCountedKey = 24

// gateBytes is how much of a key gates look at.
const gateBytes = 64

// open reports whether s looks random enough.
func (g gate) open(s string) bool {
	if len(s) > gateBytes {
		s = s[:gateBytes]
	}
	var seen [256]bool
	different, digits, changes := 0, 0, 0
	lower := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !seen[c] {
			seen[c] = true
			different++
		}
		switch {
		case isDigit(c):
			digits++
		case isAlpha(c):
			if l := isLower(c); i > 0 && l != lower {
				changes++
				lower = l
			} else {
				lower = l
			}
		}
		switch g {
		case hexOnly:
			if !isHex(c) {
				return false
			}
		case capitals:
			if !isUpper(c) && !isDigit(c) && c != '-' {
				return false
			}
		}
	}
	switch g {
	case digitless:
		return true
	case hexParts:
		return isUUID(s)
	case unmasked:
		return different >= 5 || s[0]|0x20 != 'x' && s[0] != '*'
	case digits2:
		return different >= 5 && digits >= 2
	case random:
		return different >= 5 && (digits >= 2 || changes >= 6)
	case mixed:
		return different >= 5 && digits >= 2 && changes >= 6
	case capitals:
		return different >= 5 && digits >= 1 || different >= 8
	}
	return different >= 5
}
