package redact

import "strings"

// A documentID is the form of a number on an identity document that a word announces:
// how many letters and digits it has, and at least how many digits. Most have no public
// check digit, so that the word must stand directly before.
type documentID struct{ least, most, digits int }

// documentIDs are the numbers by the words.
var documentIDs = map[string]documentID{
	"passport": {6, 10, 5}, "pasaporte": {6, 10, 5}, "reisepass": {6, 10, 5}, "passeport": {6, 10, 5}, "passaporto": {6, 10, 5},
	"license": {5, 18, 5}, "licence": {5, 18, 5}, // a driver's
	"ein": {9, 9, 9}, "nino": {9, 9, 6}, "cnpj": {14, 14, 14}, "cpf": {11, 11, 11}, "nir": {13, 15, 13}, "insee": {13, 15, 13},
	"sociale": {13, 15, 13}, "hetu": {10, 11, 9}, "tunnus": {10, 11, 9}, "dselsnummer": {11, 11, 11}, "ahv": {13, 13, 13},
	"curp": {18, 18, 7}, "voter": {10, 10, 7}, "cnic": {13, 13, 13}, "bvn": {11, 11, 11}, "nin": {11, 11, 11}, "nik": {16, 16, 16},
	"ktp": {16, 16, 16}, "mykad": {12, 12, 12}, "hkid": {8, 9, 6}, "ppsn": {8, 9, 7}, "pps": {8, 9, 7}, "cpr": {10, 10, 10},
	"cuit": {11, 11, 11}, "cuil": {11, 11, 11}, "rut": {8, 9, 7}, "iqama": {10, 10, 10}, "kennitala": {10, 10, 10},
	"mrn": {6, 10, 6}, "plate": {5, 8, 2}, "jmbg": {13, 13, 13}, "egn": {10, 10, 10}, "cnp": {13, 13, 13}, "isikukood": {11, 11, 11},
	"account": {8, 18, 8}, "acct": {8, 18, 8}, "kontonummer": {7, 12, 7}, // of a bank
}

// driverWords stand before "license" when it is one to drive.
var driverWords = words(`driver drivers driving s`)

// saidDocument looks at the number of an identity document behind the word s[i:j].
func (sc *scanner) saidDocument(s string, i, j int, word string) (span, bool) {
	form := documentIDs[word]
	if strings.HasSuffix(word, "nse") || strings.HasSuffix(word, "nce") {
		before := at(s, i-1)
		if owner := sc.wordBefore(s, i); !driverWords[owner] || owner == "s" && before != ' ' {
			return span{}, false
		}
	}
	if owner := sc.wordBefore(s, i); word == "plate" && owner != "license" && owner != "licence" && owner != "registration" {
		return span{}, false
	}
	kind := NationalID
	switch word {
	case "account", "acct":
		// "account 12345678" may be anybody's at any shop.
		rest := strings.TrimLeft(s[j:min(len(s), j+8)], " ")
		if !foldPrefix(rest, "number") && !foldPrefix(rest, "no") && !strings.HasPrefix(rest, "#") {
			return span{}, false
		}
		kind = BankAccount
	case "kontonummer":
		kind = BankAccount
	}
	k, _ := skipLink(s, j)
	if at(s, k) == '.' && k == j+4 {
		k++ // No.
	}
	n, digits, end := 0, 0, k
	for p := k; p < len(s) && p-k < maxNationalBytes; p++ {
		c := s[p]
		if isAlnum(c) {
			if isDigit(c) {
				digits++
			}
			n++
			end = p + 1
			continue
		}
		// Groups go on with digits or capitals; a word that follows is none.
		if strings.IndexByte(" -./", c) < 0 || !isAlnum(at(s, p+1)) || c == ' ' && !isDigit(s[p+1]) && !(isUpper(s[p+1]) && !isAlnum(at(s, p+2))) {
			break
		}
	}
	if n < form.least || n > form.most || digits < form.digits || isAlnum(at(s, end)) || at(s, end) == '_' {
		return span{}, false
	}
	return span{k, end, kind}, true
}

// foreignIDs are the words for the number of a citizen in scripts without an ASCII part.
var foreignIDs = []string{"주민등록번호", "身份证", "身分證", "マイナンバー"}

// foreignID looks at the number of a citizen behind a word that ends at s[i].
func (sc *scanner) foreignID(s string, i int) (span, bool) {
	k := i
	for k < len(s) && k-i < 16 && !isAlnum(s[k]) {
		k++
	}
	n, end := 0, k
	for end < len(s) && (isDigit(s[end]) || s[end] == '-' || s[end]|0x20 == 'x') {
		if isDigit(s[end]) {
			n++
		}
		end++
	}
	return span{k, end, NationalID}, n >= 12 && n <= 18 && !isAlnum(at(s, end))
}
