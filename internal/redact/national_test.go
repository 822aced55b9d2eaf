package redact

import "testing"

// A national id goes where a word says what it is and its check digits fit.
func TestNationalIDs(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ in, want string }{
		{"Aadhaar: 2341 2341 2346.", "Aadhaar: «NATIONAL_ID»."},
		{"NHS number 943 476 5919", "NHS number «NATIONAL_ID»"},
		{"my SIN is 046-454-286", "my SIN is 046-454-286"}, // starts with a zero
		{"my SIN is 130 692 544", "my SIN is «NATIONAL_ID»"},
		{"PESEL 44051401359", "PESEL «NATIONAL_ID»"},
		{"BSN 111222333", "BSN «NATIONAL_ID»"},
		{"CPF 529.982.247-25", "CPF «NATIONAL_ID»"},
		{"DNI 12345678Z", "DNI «NATIONAL_ID»"},
		{"NIE X1234567L", "NIE «NATIONAL_ID»"},
		{"NRIC S1234567D", "NRIC «NATIONAL_ID»"},
		{"codice fiscale RSSMRA85T10A562S", "codice fiscale «NATIONAL_ID»"},
		{"national insurance AB123456C", "national insurance «NATIONAL_ID»"},
		{"National Insurance number AB 12 34 56 C", "National Insurance number «NATIONAL_ID»"},
		{"rijksregisternummer 85.07.30-033.28, national number 85073003327", "rijksregisternummer «NATIONAL_ID», national number 85073003327"},
		{"SVNR 1237 010180, SVNR 1236 010180", "SVNR «NATIONAL_ID», SVNR 1236 010180"},
		{"Rentenversicherungsnummer 65170839J003", "Rentenversicherungsnummer «NATIONAL_ID»"},
		{"NIF 123456789, NIF 123456788", "NIF «NATIONAL_ID», NIF 123456788"},
		{"NIP 123-456-32-18, NIP 123-456-32-17", "NIP «NATIONAL_ID», NIP 123-456-32-17"},
		{"OIB 69435151530", "OIB «NATIONAL_ID»"},
		{"teudat zehut 123456782, zehut 123456783", "teudat zehut «NATIONAL_ID», zehut 123456783"},
		{"Emirates ID 784-1984-1234567-4", "Emirates ID «NATIONAL_ID»"},
		{"South African id 8001015009087", "South African id «NATIONAL_ID»"},
		{"CNIC 42101-1234567-1, BVN 22212345678, NIN 12345678901", "CNIC «NATIONAL_ID», BVN «NATIONAL_ID», NIN «NATIONAL_ID»"},
		{"NIK: 3171011708450001, CUIT 20-12345678-3, RUT 12.345.678-5", "NIK: «NATIONAL_ID», CUIT «NATIONAL_ID», RUT «NATIONAL_ID»"},
		{"bvn 2221234567, nin 123", "bvn 2221234567, nin 123"},
		{"account number 4402 1189 33, Kontonummer: 1234567890", "account number «BANK_ACCOUNT», Kontonummer: «BANK_ACCOUNT»"},
		{"account 440211893300 and 12 account numbers", "account 440211893300 and 12 account numbers"},
		{"PESEL 44051401358", "PESEL 44051401358"},
		{"DNI 12345678A", "DNI 12345678A"},
		{"order 44051401359, part 12345678Z", "order 44051401359, part 12345678Z"},
		{"a sin of 130 kinds", "a sin of 130 kinds"},
	} {
		if got, _ := r.Text(tc.in); shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
}

// Text that is plainly random goes, ids and hashes and names of programs stay.
func TestOpaque(t *testing.T) {
	r := newRedactor(t)
	token := "aB3dE6gH9jK2mN5p" + "Q8sT1vW4yZ7bC0eF3hJ6"
	for _, tc := range []struct{ in, want string }{
		{"use " + token + " for that", "use «OPAQUE» for that"},
		{"'" + token + "'", "'«OPAQUE»'"},
		{"id: " + token + ", sha256 " + token, "id: " + token + ", sha256 " + token},
		{"/files/" + token + " x=" + token + "&", "/files/" + token + " x=" + token + "&"},
		{"call_" + token, "call_" + token},
		{"getUserAccountByIdAndRegion2WithRetry4Times", "getUserAccountByIdAndRegion2WithRetry4Times"},
		{"0a1b2c3d4e5f60718293a4b5c6d7e8f9", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"},
	} {
		if got, _ := r.Text(tc.in); shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
}
