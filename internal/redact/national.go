package redact

import "strings"

// A nationalID is a number by which a state knows a person. Nine to twelve digits match
// everything: the check digits must fit, and a word that says what it is must stand
// before it.
type nationalID struct {
	words  map[string]bool
	digits int // 0: letters among them, the check knows the length
	check  func(s []byte) bool
}

// nationalIDs are recognised by the words, which stand within contextBytes before.
var nationalIDs = []nationalID{
	{words("aadhaar aadhar uidai"), 12, verhoeff},
	{words("nhs"), 10, nhs},
	{words("sin"), 9, func(d []byte) bool { return d[0] != '0' && d[0] != '8' && luhn(view(d)) }},
	{words("tfn"), 9, weighted(11, 1, 4, 3, 7, 5, 8, 6, 9, 10)},
	{words("medicare"), 10, medicare},
	{words("pesel"), 11, pesel},
	{words("bsn burgerservicenummer"), 9, weighted(11, 9, 8, 7, 6, 5, 4, 3, 2, -1)},
	{words("steueridentifikationsnummer steuer idnr"), 11, mod11of10},
	{words("personnummer"), 10, func(d []byte) bool { return luhn(view(d)) }},
	{words("personnummer"), 12, func(d []byte) bool { return luhn(view(d[2:])) }},
	{words("cpf"), 11, cpf},
	{words("tckn kimlik"), 11, turkish},
	{words("rrn jumin"), 13, korean},
	{words("npi"), 10, func(d []byte) bool { return (d[0] == '1' || d[0] == '2') && luhn("80840"+view(d)) }},
	{words("aba routing"), 9, weighted(10, 3, 7, 1, 3, 7, 1, 3, 7, 1)},
	{words("rijksregisternummer rijksregister national niss insz"), 11, belgian},
	{words("sozialversicherungsnummer svnr svnummer"), 10, austrian},
	{words("rentenversicherungsnummer sozialversicherungsnummer"), 0, germanPension},
	{words("nif contribuinte"), 9, weighted(11, 9, 8, 7, 6, 5, 4, 3, 2, 1)},
	{words("nip"), 10, weighted(11, 6, 5, 7, 2, 3, 4, 5, 6, 7, -1)},
	{words("oib"), 11, mod11of10},
	{words("zehut teudat"), 9, func(d []byte) bool { return luhn(view(d)) }},
	{words("emirates"), 15, func(d []byte) bool { return luhn(view(d)) }},
	{words("south african rsa identity"), 13, func(d []byte) bool { return d[10] <= '1' && d[2] <= '1' && d[4] <= '3' && luhn(view(d)) }},
	{words("dni nif nie"), 0, spanish},
	{words("nino insurance ni"), 0, nino},
	{words("codice fiscale"), 0, codiceFiscale},
	{words("nric fin"), 0, nric},
	{words("pan"), 0, indianTax},
}

// minNationalChars is the length of the shortest id.
const minNationalChars = 9

// maxNationalBytes bounds an id as it is written, with its separators.
const maxNationalBytes = 24

// nationalHints are the words of all nationalIDs: of most numbers they are all that is
// looked at.
var nationalHints = func() map[string]bool {
	all := make(map[string]bool)
	for _, id := range nationalIDs {
		for w := range id.words {
			all[w] = true
		}
	}
	return all
}()

// national looks at a national id whose first word starts at s[i]: digits, with letters
// where the country has them, in groups of whatever size.
func (sc *scanner) national(s string, i int) (span, bool) {
	if !isAlnum(at(s, i+1)) || at(s, i-1) == ' ' && isDigit(at(s, i-2)) {
		return span{}, false // a group of one character, or a row of figures
	}
	var chars [maxNationalBytes]byte
	plain := chars[:0]
	end := i
	for k := i; k < len(s) && k-i < maxNationalBytes; k++ {
		c := s[k]
		if isAlnum(c) {
			if isLower(c) {
				c &^= 0x20
			}
			plain = append(plain, c)
			end = k + 1
			continue
		}
		if strings.IndexByte(" -./", c) < 0 || k+1 >= len(s) || !isAlnum(s[k+1]) {
			break
		}
		if c == ' ' && !isDigit(s[k+1]) && !(isUpper(s[k+1]) && !isAlnum(at(s, k+2))) {
			break // a word follows
		}
	}
	if len(plain) < minNationalChars {
		return span{}, false
	}
	var buf [2*contextBytes + 1]byte
	text := s[max(0, i-contextBytes):i]
	if i < contextBytes {
		before := append(buf[:0], sc.context[:sc.ncontext]...)
		text = view(append(append(before, ' '), text...))
	}
	var near [6]string
	var letters [2*contextBytes + 1]byte
	low := letters[:0] // of the words
	n, known := 0, false
	for end := len(text); n < len(near); n++ {
		for end > 0 && !isAlpha(text[end-1]) {
			end--
		}
		start := end
		for start > 0 && isAlpha(text[start-1]) {
			start--
		}
		if start == end {
			break
		}
		at := len(low)
		low = lower(low, text[wordStart(text, start, end):end])
		near[n] = view(low[at:])
		known = known || nationalHints[near[n]]
		end = start
	}
	if !known {
		return span{}, false
	}
	for _, id := range nationalIDs {
		if !anyWord(near[:n], id.words) {
			continue
		}
		if id.digits == 0 {
			if len(plain) > 0 && id.check(plain) {
				return span{i, end, NationalID}, true
			}
			continue
		}
		if len(plain) == id.digits && allDigits(view(plain)) && id.check(plain) {
			return span{i, end, NationalID}, true
		}
	}
	return span{}, false
}

func anyWord(list []string, set map[string]bool) bool {
	for _, w := range list {
		if set[w] {
			return true
		}
	}
	return false
}

// weighted returns the check that the weighted sum of the digits is a multiple of mod.
func weighted(mod int, weights ...int) func([]byte) bool {
	return func(d []byte) bool {
		sum := 0
		for i, w := range weights {
			sum += w * int(d[i]-'0')
		}
		return sum > 0 && sum%mod == 0
	}
}

// verhoeff is the check of Aadhaar numbers, by Verhoeff's tables for the dihedral group D5.
func verhoeff(d []byte) bool {
	multiply := [10]string{"0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"}
	permute := [8]string{"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"}
	c := byte(0)
	for i := range d {
		p := permute[i%8][d[len(d)-1-i]-'0'] - '0'
		c = multiply[c][p] - '0'
	}
	return c == 0 && d[0] >= '2'
}

func nhs(d []byte) bool {
	sum := 0
	for i := range 9 {
		sum += (10 - i) * int(d[i]-'0')
	}
	check := (11 - sum%11) % 11
	return sum > 0 && check == int(d[9]-'0')
}

func medicare(d []byte) bool {
	sum := 0
	for i, w := range [8]int{1, 3, 7, 9, 1, 3, 7, 9} {
		sum += w * int(d[i]-'0')
	}
	return d[0] >= '2' && d[0] <= '6' && sum%10 == int(d[8]-'0')
}

func pesel(d []byte) bool {
	return weighted(10, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)(d)
}

// mod11of10 is ISO 7064 MOD 11,10: the German tax number.
func mod11of10(d []byte) bool {
	product := 10
	for _, c := range d[:10] {
		sum := (int(c-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return d[0] != '0' && (11-product)%10 == int(d[10]-'0')
}

func cpf(d []byte) bool {
	for n := 9; n <= 10; n++ {
		sum := 0
		for i := range n {
			sum += (n + 1 - i) * int(d[i]-'0')
		}
		if sum*10%11%10 != int(d[n]-'0') {
			return false
		}
	}
	return strings.Trim(view(d), string(d[:1])) != ""
}

func turkish(d []byte) bool {
	odd, even, sum := 0, 0, 0
	for i := range 10 {
		v := int(d[i] - '0')
		sum += v
		if i < 9 && i%2 == 0 {
			odd += v
		} else if i < 9 {
			even += v
		}
	}
	return d[0] != '0' && ((odd*7-even)%10+10)%10 == int(d[9]-'0') && sum%10 == int(d[10]-'0')
}

func korean(d []byte) bool {
	sum := 0
	for i, w := range [12]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5} {
		sum += w * int(d[i]-'0')
	}
	return (11-sum%11)%10 == int(d[12]-'0')
}

// belgian is mod 97 over the first nine digits, with a 2 before them for who was born
// since 2000.
func belgian(d []byte) bool {
	n := 0
	for _, c := range d[:9] {
		n = n*10 + int(c-'0')
	}
	check := int(d[9]-'0')*10 + int(d[10]-'0')
	return check > 0 && (97-n%97 == check || 97-(n+2_000_000_000)%97 == check)
}

// austrian has its check digit as the fourth.
func austrian(d []byte) bool {
	sum := 0
	for i, w := range [10]int{3, 7, 9, 0, 5, 8, 4, 2, 1, 6} {
		sum += w * int(d[i]-'0')
	}
	return d[0] != '0' && sum%11 == int(d[3]-'0')
}

// germanPension is the form of the numbers of the pension insurance: 12 characters, the
// ninth of them the first letter of the name.
func germanPension(s []byte) bool {
	return len(s) == 12 && allDigits(view(s[:8])) && isUpper(s[8]) && allDigits(view(s[9:]))
}

func spanish(s []byte) bool {
	if len(s) != 9 {
		return false
	}
	n := 0
	for i, c := range s[:8] {
		switch {
		case isDigit(c):
			n = n*10 + int(c-'0')
		case i == 0 && c >= 'X' && c <= 'Z':
			n = int(c - 'X')
		default:
			return false
		}
	}
	return s[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[n%23]
}

// nino is the form of British national insurance numbers, which have no check digit.
func nino(s []byte) bool {
	if len(s) != 9 || strings.IndexByte("DFIQUV", s[0]) >= 0 || !isUpper(s[0]) || !isUpper(s[1]) || strings.IndexByte("DFIOQUV", s[1]) >= 0 {
		return false
	}
	return allDigits(view(s[2:8])) && s[8] >= 'A' && s[8] <= 'D'
}

func codiceFiscale(s []byte) bool {
	if len(s) != 16 {
		return false
	}
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, c := range s[:15] {
		if letter := i < 6 || i == 8 || i == 11; letter != isUpper(c) {
			return false
		}
		v := int(c - 'A')
		if isDigit(c) {
			v = int(c - '0')
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return s[15] == byte('A'+sum%26)
}

func nric(s []byte) bool {
	if len(s) != 9 || !allDigits(view(s[1:8])) {
		return false
	}
	sum := 0
	for i, w := range [7]int{2, 7, 6, 5, 4, 3, 2} {
		sum += w * int(s[i+1]-'0')
	}
	switch s[0] {
	case 'S':
		return s[8] == "JZIHGFEDCBA"[sum%11]
	case 'T':
		return s[8] == "JZIHGFEDCBA"[(sum+4)%11]
	case 'F':
		return s[8] == "XWUTRQPNMLK"[sum%11]
	case 'G':
		return s[8] == "XWUTRQPNMLK"[(sum+4)%11]
	}
	return false
}

// indianTax checks a Permanent Account Number of India: five letters, the fourth of which says
// whose it is, four digits and a letter.
func indianTax(s []byte) bool {
	if len(s) != 10 || strings.IndexByte("ABCFGHLJPTK", s[3]) < 0 {
		return false
	}
	for i, c := range s {
		if number := i >= 5 && i < 9; number != isDigit(c) {
			return false
		}
	}
	return true
}
