package redact

import "testing"

// What a sentence says of a value, in the languages that users write, and what it only
// seems to say.
func TestProse(t *testing.T) {
	r := newRedactor(t)
	pw := "Zq8LV" + "!vjx4"
	token := mixed36[:24]
	for _, tc := range []struct{ name, in, want string }{
		{"is", "The admin password is " + pw + ".", "The admin password is «SECRET»."},
		{"words between", "password for the staging box is " + pw, "password for the staging box is «SECRET»"},
		{"set to", "I set the root password to " + pw + " yesterday", "I set the root password to «SECRET» yesterday"},
		{"quoted", "My password is '" + pw + "', please reset it", "My password is '«SECRET»', please reset it"},
		{"adjacent", "login u password " + pw, "login u password «SECRET»"},
		{"before", "Use " + pw + " as the password", "Use «SECRET» as the password"},
		{"pair", "default credentials are admin/" + pw, "default credentials are admin/«SECRET»"},
		{"German", "Das Passwort lautet " + pw, "Das Passwort lautet «SECRET»"},
		{"compound", "das WLAN-Passwort ist " + pw, "das WLAN-Passwort ist «SECRET»"},
		{"possessive", "the sudo password's " + pw, "the sudo password's «SECRET»"},
		{"Russian, words between", "пароль от базы: " + pw, "пароль от базы: «SECRET»"},
		{"French", "mot de passe : " + pw, "mot de passe : «SECRET»"},
		{"Spanish", "La contraseña es " + pw, "La contraseña es «SECRET»"},
		{"Polish", "hasło: " + pw, "hasło: «SECRET»"},
		{"Swedish", "lösenord: " + pw, "lösenord: «SECRET»"},
		{"Russian", "пароль " + pw, "пароль «SECRET»"},
		{"Chinese", "密码是 " + pw + "，密码：" + pw, "密码是 «SECRET»，密码：«SECRET»"},
		{"Japanese", "パスワードは " + pw + " です", "パスワードは «SECRET» です"},
		{"Korean", "비밀번호: " + pw, "비밀번호: «SECRET»"},
		{"French, is", "mon mot de passe est Lune-9976", "mon mot de passe est «SECRET»"},
		{"Polish, to", "hasło to " + pw, "hasło to «SECRET»"},
		{"Finnish, on", "salasana on talvi4436", "salasana on «SECRET»"},
		{"Turkish", "şifrem deniz9241", "şifrem «SECRET»"},
		{"Vietnamese", "mật khẩu là hoasen239", "mật khẩu là «SECRET»"},
		{"Hindi", "पासवर्ड है raja1152", "पासवर्ड है «SECRET»"},
		{"Japanese quotes", "パスワードは「sakura3150」です", "パスワードは「«SECRET»」です"},
		{"arrow", "pwd → " + pw + ", pw -> " + pw, "pwd → «SECRET», pw -> «SECRET»"},
		{"code of a card", "exp 04/29 cvc 771, CVV: 1234", "exp 04/29 cvc «SECRET», CVV: «SECRET»"},
		{"codes", "backup codes: 65975269 95851459, 1234-5678 and", "backup codes: «SECRET» «SECRET», «SECRET» and"},
		{"born", "she was born on 12 March 1984 in Leeds; He was born on March 14, 1879; geboren am 12.03.1984", "she was born on «BIRTH_DATE» in Leeds; He was born on March 14, 1879; geboren am «BIRTH_DATE»"},
		{"numbers of documents", "passport no. X70279876, account no. 5851915916, PAN card ABCPK1480L, MRN 7399980", "passport no. «NATIONAL_ID», account no. «BANK_ACCOUNT», PAN card «NATIONAL_ID», MRN «NATIONAL_ID»"},
		{"token", "use this token " + token + " to call", "use this token «SECRET» to call"},
		{"key is", "the API key is " + hex32, "the API key is «SECRET»"},
		{"vendor", "my key is ghp_" + mixed36, "my key is «API_KEY»"},
		{"code", "Your verification code is 420567.", "Your verification code is «SECRET»."},
		{"code, split", "one-time code: 123-456", "one-time code: «SECRET»"},
		{"SQL", "CREATE USER bob IDENTIFIED BY 'pear';", "CREATE USER bob IDENTIFIED BY '«SECRET»';"},
		{"Dockerfile", "ENV DB_PASSWORD " + pw, "ENV DB_PASSWORD «SECRET»"},
		{"seed", "seed phrase: abandon ability able about above absent absorb abstract absurd abuse access accident", "seed phrase: «SECRET»"},
		{"name", "My name is Zoë Vandersloot, hello", "My name is «NAME», hello"},
		{"label", "**Passenger:** Raj Vandersloot\nDOB: 03/14/1987", "**Passenger:** «NAME»\nDOB: «BIRTH_DATE»"},
		{"birth", "date of birth is April 12, 2001. Thanks", "date of birth is «BIRTH_DATE». Thanks"},
		{"address", "I live at 17 Hawthorn Road, Leeds LS8 4AP. Thanks", "I live at «ADDRESS». Thanks"},

		{"required", "The password is required and must be at least 8 characters", "The password is required and must be at least 8 characters"},
		{"to what", "the password to db-prod-01 is wrong", "the password to db-prod-01 is wrong"},
		{"policy", "Password policy is ISO27001", "Password policy is ISO27001"},
		{"algorithm", "the password is SHA256 hashed, base64-encoded", "the password is SHA256 hashed, base64-encoded"},
		{"page token", "page token " + token, "page token " + token},
		{"id", "token call_" + token, "token call_" + token},
		{"hash", "key " + hex40, "key " + hex40},
		{"status code", "status code is 404123, error code: 420567, zip code 94105", "status code is 404123, error code: 420567, zip code 94105"},
		{"path", "/api-1a2b3c4d5e6f7a8b9c0d/key.json", "/api-1a2b3c4d5e6f7a8b9c0d/key.json"},
		{"identified", "a pattern identified by '0-4-0'", "a pattern identified by '0-4-0'"},
		{"name of a thing", "File name: Annual Report. Tool name: Search Engine. Your name is Helper", "File name: Annual Report. Tool name: Search Engine. Your name is Helper"},
		{"address of a shop", "**Address:** 148 Lafayette St, New York, NY 10013", "**Address:** 148 Lafayette St, New York, NY 10013"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _ := r.Text(tc.in)
			if got := shorten(got); got != tc.want {
				t.Errorf("Text(%q)\n got %q\nwant %q", tc.in, got, tc.want)
			}
			if again, _ := r.Text(got); again != got {
				t.Errorf("Text(%q)\n once %q\ntwice %q", tc.in, got, again)
			}
		})
	}
}
