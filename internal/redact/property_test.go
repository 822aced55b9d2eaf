package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fragments are what random texts are made of: values of all kinds, their contexts,
// halves of them, and what separates them.
var fragments = []string{
	"ann@example.com", "ann%40example.com", "@", "ann", "example.com", "+44 20 7946 0958", "(415) 555-0132", "4155550132",
	"phone ", "card ", "ssn ", "host ", "version ", "order ", "number ", "4111111111111111", "4111 1111 ", "078-05-1123",
	"DE89370400440532013000", "DE89 3704 ", "10.1.2.3", "192.168.0.17", "2001:db8::1", "::1", "00:1A:2B:3C:4D:5E", fakeJWT, fakePEM,
	"-----BEGIN RSA " + "PRIVATE KEY-----", "-----END ", "-----", "Bearer ", "Basic ", "Authorization: ", "Cookie: ", "sid=" + mixed36,
	"ghp_" + mixed36, "sk-" + mixed36, "ghp_", "sk-", mixed36, hex32, hex40, "password", "token", "api_key", "secret", "=", ": ", ":",
	":=", "=>", `"`, `'`, "`", `\`, `\"`, `\n`, "\n", " ", ",", ";", "&", "?", "<", ">", "{", "}", "[", "]", "(", ")", "|", "-", "--token ",
	"curl -u ", "ann:hunter22", "://", "postgres://app:s3cr3t@db", "[REDACTED:EMAIL:12ab]", "[REDACTED:", "EMAIL:12ab]", "hunter22",
	"password is ", " as the password", "Zq8LV!vjx4", "пароль ", "密码：", "verification code ", "IDENTIFIED BY '", "ENV DB_PASSWORD ", "my name is ", "Zoë Vandersloot",
	"DOB ", "1987-03-14", "I live at ", "17 Hawthorn Road, Leeds", "passport ", "X1234567", "mysql ", " -p", "setPassword(", "$2b$12$", "Private-Lines: 2\n",
	`{"user": {"name": "Mia Vandersloot"}}`, `["authorization", "`, "sonar_login", "jdbc:oracle:thin:", "Digest ", "1//0", "key ", "is ",
	"%3Faccess_token%3D", "%26", "%22password%22%3A%22", "%253D", "- name: DB_PASSWORD\n  value: ", `"name": "API_KEY", "value": "`, "id,password,email\n", "7,", "| user | password |\n|---|---|\n| ",
	"(id, password) VALUES (1, '", " (at) ", " at example dot com", "&#64;", "Mia Vandersloot <mia@example.com>", `"email": "mia@example.com"`, "jwt.sign(x, \"", "echo hunter22 | sudo -S ",
	"net use /user:ann ", "machine x login y password ", "she was born on ", "backup codes: 12345678 ", "bytes.fromhex(\"", "cvv ", "hasło to ", "「",
	"é", "\xff", "中", "0", "1", "42", ".", "/", "x", `"first_name": "Mia"`, `{"password": "p"}`, "%40", "a", "#", "$", "own-secret-value",
}

func randomText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(fragments), 0, 24).Draw(t, "fragments"), "")
}

func TestTextIsIdempotent(t *testing.T) {
	r := newRedactor(t, "own-secret-value")
	rapid.Check(t, func(t *rapid.T) {
		in := randomText(t)
		once, _ := r.Text(in)
		twice, counts := r.Text(once)
		if once != twice {
			t.Fatalf("Text(%q)\n once %q\ntwice %q (%v)", in, once, twice, counts)
		}
		if strings.Contains(once, "own-secret-value") {
			t.Fatalf("Text(%q) left a secret of the service's own: %q", in, once)
		}
	})
}

func TestJSONIsIdempotentAndValid(t *testing.T) {
	r := newRedactor(t, "own-secret-value")
	keys := []string{"sonar_login", "guest_name", "otp", "auth", "content", "password", "phone", "token", "id", "user", "name", "key", "value", "address", "properties", "card", "ip", "stringValue", "email", "dob"}
	rapid.Check(t, func(t *rapid.T) {
		var build func(depth int) any
		build = func(depth int) any {
			shape := rapid.IntRange(0, 6).Draw(t, "shape")
			switch {
			case depth > 3 || shape < 3:
				return strings.ToValidUTF8(randomText(t), "?")
			case shape == 3:
				return rapid.SampledFrom([]any{1, 4155550132, 4111111111111111, -0.5, true, nil}).Draw(t, "literal")
			case shape == 4:
				s, err := json.Marshal(build(depth + 1))
				if err != nil {
					t.Fatal(err)
				}
				return string(s)
			case shape == 5:
				return []any{build(depth + 1), build(depth + 1)}
			}
			m := make(map[string]any)
			for range 3 {
				key := rapid.SampledFrom(keys).Draw(t, "key")
				if rapid.Bool().Draw(t, "random key") {
					key = strings.ToValidUTF8(randomText(t), "?")
				}
				m[key] = build(depth + 1)
			}
			return m
		}
		in, err := json.Marshal(build(0))
		if err != nil {
			t.Fatal(err)
		}
		once, counts, err := r.JSON(in)
		if err != nil {
			t.Fatalf("JSON(%s): %v", in, err)
		}
		if !json.Valid(once) {
			t.Fatalf("JSON(%s) is not valid: %s", in, once)
		}
		if counts.Total() == 0 && string(once) != string(in) {
			t.Fatalf("JSON(%s) changed to %s without a finding", in, once)
		}
		twice, _, err := r.JSON(once)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("JSON(%s)\n once %s\ntwice %s, %v", in, once, twice, err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range fragments {
		f.Add(s)
	}
	r := newRedactor(f, "own-secret-value")
	f.Fuzz(func(t *testing.T, in string) {
		once, counts := r.Text(in)
		if counts[Dropped] > 0 && !strings.Contains(in, placeholderOpen) {
			t.Fatalf("dropped: %q", in)
		}
		if counts.Total() == 0 && once != in {
			t.Fatalf("changed without a finding: %q to %q", in, once)
		}
		if twice, _ := r.Text(once); once != twice {
			t.Fatalf("Text(%q)\n once %q\ntwice %q", in, once, twice)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range fragments {
		quoted, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(quoted)
		f.Add([]byte(`{"key": "password", "value": [` + string(quoted) + `]}`))
	}
	f.Add([]byte(`{"a": -0.1e+5, "b": [true, false, null, "\ud83d\ude00\ud800"]}`))
	r := newRedactor(f, "own-secret-value")
	f.Fuzz(func(t *testing.T, in []byte) {
		once, counts, err := r.JSON(in)
		if valid := json.Valid(in); valid != (err == nil) {
			t.Fatalf("JSON(%q): %v, but json.Valid is %t", in, err, valid)
		}
		if err != nil {
			return
		}
		if !json.Valid(once) {
			t.Fatalf("JSON(%q) is not valid: %q", in, once)
		}
		if counts.Total() == 0 && string(once) != string(in) {
			t.Fatalf("changed without a finding: %q to %q", in, once)
		}
		if twice, _, err := r.JSON(once); err != nil || string(once) != string(twice) {
			t.Fatalf("JSON(%q)\n once %q\ntwice %q, %v", in, once, twice, err)
		}
	})
}
