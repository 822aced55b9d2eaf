package redact

import (
	"strings"
	"testing"
)

// Fake secrets are put together here, so that no scanner takes this file for a leak.
var (
	hex32   = strings.Repeat("0a1b2c3d", 4)
	hex40   = strings.Repeat("0a1b2c3d", 5)
	hex64   = strings.Repeat("0a1b2c3d", 8)
	mixed36 = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
	fakeJWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NSJ9" + ".c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
	fakePEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow" + hex64 + "\n" + hex64 + "\n-----END RSA " + "PRIVATE KEY-----"
)

// Every kind, with what must go and what looks like it and must stay.
func TestText(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ name, in, want string }{
		{"email", "write to ann.lee+x@mail.example.co.uk.", "write to «EMAIL»."},
		{"email in angle brackets", "Ann <ann@example.com>", "Ann <«EMAIL»>"},
		{"email in a query", "/u?email=ann@example.com&x=1", "/u?email=«EMAIL»&x=1"},
		{"email, percent-encoded", "/u?email=ann%40example.com&x=1", "/u?email=«EMAIL»&x=1"},
		{"email after an escape of a program", `print("\nann@example.com")`, `print("\n«EMAIL»")`},
		{"email, international", "用户 jörg@exämple.de", "用户 «EMAIL»"},
		{"email, no domain", "ann@localhost", "ann@localhost"},
		{"email, remote of a repository", "git@github.com:owner/repo.git", "git@github.com:owner/repo.git"},
		{"email, package version", "left-pad@1.3.0 and foo@git+https://x.y/z", "left-pad@1.3.0 and foo@git+https://x.y/z"},
		{"email, image", "logo@2x.png", "logo@2x.png"},
		{"email, model version", "claude-3-5-sonnet@20241022", "claude-3-5-sonnet@20241022"},

		{"email, spelled", "ann (at) example.com, ann[at]example[dot]co[dot]uk or ann at example dot com", "«EMAIL», «EMAIL» or «EMAIL»"},
		{"email, as characters of HTML", "ann&#64;example.com &#x40; ann&commat;example.com", "«EMAIL» &#x40; «EMAIL»"},
		{"email, escaped", `ann\u0040example.com`, "«EMAIL»"},
		{"email, not spelled", "we met (at) noon, look at example.com and at the dot com boom", "we met (at) noon, look at example.com and at the dot com boom"},
		{"email, with a name that it is made of", "From: \"Mia Vandersloot\" <m.vandersloot@example.com>, Acme Support <support@example.com>", "From: \"«NAME»\" <«EMAIL»>, Acme Support <«EMAIL»>"},

		{"phone, international", "call +44 20 7946 0958 now", "call «PHONE» now"},
		{"phone, with a trunk digit", "+44 (0)20 7946 0958", "«PHONE»"},
		{"phone, North American", "(415) 555-0132, 415-555-0132, 415.555.0132, 1-415-555-0132", "«PHONE», «PHONE», «PHONE», «PHONE»"},
		{"phone, extension", "415-555-0132 ext. 77 or 415-555-0132x77", "«PHONE» or «PHONE»"},
		{"phone, bare with context", "phone: 4155550132", "phone: «PHONE»"},
		{"phone, national with context", "Tel. 030 901820 in Berlin", "Tel. «PHONE» in Berlin"},
		{"phone, number is", "my number is 090-1234-5678", "my number is «PHONE»"},
		{"phone, context inside a finding", "phone@example.com 4155550132", "«EMAIL» 4155550132"},
		{"phone, order number", "item_id 1814201849 in order 4155550132", "item_id 1814201849 in order 4155550132"},
		{"phone, epoch", "created at 1765115898 by worker", "created at 1765115898 by worker"},
		{"phone, dates", "2012-01-02 08:00, 1979-2011 100, +2024-01-31", "2012-01-02 08:00, 1979-2011 100, +2024-01-31"},
		{"phone, money", "$1234567890 or $415-555-0132", "$1234567890 or $415-555-0132"},
		{"phone, columns", "415 555 0132 17 4", "415 555 0132 17 4"},
		{"phone, postal code", "Philadelphia, PA 47105-2560", "Philadelphia, PA 47105-2560"},
		{"phone, isbn", "ISBN 978-0-84-164954-2", "ISBN 978-0-84-164954-2"},
		{"phone, international with zeros", "0044 20 7946 0958 or 0049-171-2345678", "«PHONE» or «PHONE»"},
		{"phone, groups of zeros in a row of figures", "XX50 0040 0440 1162 44 and 0012 7946 095, S0019-1035(22)00489-4 10.1016/j", "XX50 0040 0440 1162 44 and 0012 7946 095, S0019-1035(22)00489-4 10.1016/j"},
		{"phone, field of a row", "17,+390612345678,Rome\n18,415-555-0132,x", "17,«PHONE»,Rome\n18,«PHONE»,x"},
		{"phone, words of other languages", "número 06 12 34 56 78, Handynummer 0171 2345678, teléfono 612345678", "número «PHONE», Handynummer «PHONE», teléfono «PHONE»"},
		{"phone, words of other scripts", "电话：138 1234 5678，Телефон: 8 916 123 45 67", "电话：«PHONE»，Телефон: «PHONE»"},
		{"phone, figures one by one", "phone 1 2 3 4 5 6 7 8 9 0", "phone 1 2 3 4 5 6 7 8 9 0"},

		{"card, field of a row", "17,4111111111111111,12.50", "17,«CARD»,12.50"},
		{"card, thousands", "4,111,111,111,111,111", "4,111,111,111,111,111"},

		{"card", "4111111111111111 and 4111 1111 1111 1111 and 4111-1111-1111-1111", "«CARD» and «CARD» and «CARD»"},
		{"cards, one after the other", "4111111111111111 5555555555554444 4111 1111 1111 1111 5555 5555 5555 4444", "«CARD» «CARD» «CARD» «CARD»"},
		{"card, American Express", "amex 3714 496353 98431.", "amex «CARD»."},
		{"card, wrong check digit", "4111111111111112", "4111111111111112"},
		{"card, unknown issuer", "1765115898095392", "1765115898095392"},
		{"card, unknown issuer with context", "card 122000000000003", "card «CARD»"},
		{"card, after a slash", "Visa/4111 1111 1111 1111, orders/4111111111111111", "Visa/«CARD», orders/4111111111111111"},
		{"card, id", "order id 4111111111111111", "order id 4111111111111111"},
		{"card, ad id", "ca-pub-4111111111111111", "ca-pub-4111111111111111"},
		{"card, fraction", "0.4111111111111111", "0.4111111111111111"},
		{"card, nanoseconds", "start 1765115898095392705", "start 1765115898095392705"},

		{"ssn", "SSN 078-05-1123", "SSN «SSN»"},
		{"ssn, bare with context", "social security number: 078051123", "social security number: «SSN»"},
		{"ssn, taxpayer number", "911-70-1234", "«SSN»"},
		{"ssn, impossible", "000-12-3456 666-12-3456 123-00-4567 123-45-0000", "000-12-3456 666-12-3456 123-00-4567 123-45-0000"},
		{"ssn, bare", "078051123", "078051123"},
		{"ssn, figures", "100 20 3000 400", "100 20 3000 400"},
		{"ssn, field of a row", "17,078-05-1123,x", "17,«SSN»,x"},

		{"iban", "DE89370400440532013000, GB82 WEST 1234 5698 7654 32", "«IBAN», «IBAN»"},
		{"iban, wrong check", "DE88370400440532013000", "DE88370400440532013000"},
		{"iban, unknown country", "ZZ89370400440532013000", "ZZ89370400440532013000"},

		{"ipv4", "host 10.1.2.3, 192.168.0.17:8080, http://54.12.9.1/x, 10.0.0.0/8", "host «IP», «IP»:8080, http://«IP»/x, «IP»"},
		{"ipv4, strong alone", "then 203.0.113.7 failed", "then «IP» failed"},
		{"ipv4, nothing else", "10.1.2.3", "«IP»"},
		{"ipv4, list", "IPs: 10.1.2.3, 10.1.2.4, 10.1.2.5", "IPs: «IP», «IP», «IP»"},
		{"ipv4, versions", "nvidia-cublas-cu12   11.5.5.14, Chrome/102.0.75.170, v1.3.3.9, pkg==12.4.5.8", "nvidia-cublas-cu12   11.5.5.14, Chrome/102.0.75.170, v1.3.3.9, pkg==12.4.5.8"},
		{"ipv4, an upgrade", "upgraded from 4.18.2.1 to 4.18.3.0, connection from 4.18.2.1", "upgraded from 4.18.2.1 to 4.18.3.0, connection from «IP»"},
		{"ipv4, field of a row", "1763000000,web1,203.0.113.88", "1763000000,web1,«IP»"},
		{"ipv4, of every machine", "listen on 127.0.0.1 and 0.0.0.0", "listen on «IP» and «IP»"},
		{"ipv4, of every machine, not in a sentence", "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
		{"ipv4, where a service listens", "bind 127.0.0.1:8000, inet 127.0.0.1/8, listen 0.0.0.0:80, from 0.0.0.0/0", "bind 127.0.0.1:8000, inet 127.0.0.1/8, listen 0.0.0.0:80, from 0.0.0.0/0"},
		{"ipv4, mask", "netmask 255.255.255.0, broadcast 255.255.255.255", "netmask 255.255.255.0, broadcast «IP»"},
		{"ipv4, impossible", "host 256.1.1.1 and 1.2.3", "host 256.1.1.1 and 1.2.3"},
		{"ipv6", "[2001:db8::1]:80, fe80::1%eth0, ::ffff:192.0.2.1, 2001:db8::/32.", "[«IP»]:80, «IP», «IP», «IP»."},
		{"ipv6, code and times", "std::vector foo::bar::baz 12:30:45 16:9:2 a[1::2] ::1 ::", "std::vector foo::bar::baz 12:30:45 16:9:2 a[1::2] ::1 ::"},
		{"mac", "00:1A:2B:3C:4D:5E or 00-1a-2b-3c-4d-5e", "«MAC» or «MAC»"},
		{"mac, broadcast and parts", "FF:FF:FF:FF:FF:FF 00:1A:2B:3C:4D", "FF:FF:FF:FF:FF:FF 00:1A:2B:3C:4D"},
		{"mac, dotted", "part 001b.4411.3ab7, cisco 001b.4411.3ab7", "part 001b.4411.3ab7, cisco «MAC»"},
		{"passphrase of a new key", "ssh-keygen -N Zq8LVvjx4 -f id", "ssh-keygen -N «SECRET» -f id"},

		{"private key", "key:\n" + fakePEM + "\nend", "key:\n«PRIVATE_KEY»\nend"},
		{"private key, cut", fakePEM[:120] + "~ rest", "«PRIVATE_KEY»~ rest"},
		{"public key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"},

		{"jwt", "got " + fakeJWT + ".", "got «JWT»."},
		{"jwt, unsigned", "eyJhbGciOiJub25lIn0" + ".eyJzdWIiOiIxMjM0NSJ9.", "«JWT»"},
		{"jwt, too short", "eyJAAAA.eyJBBB", "eyJAAAA.eyJBBB"},

		{"bearer", "sent Bearer " + hex32, "sent Bearer «BEARER»"},
		{"bearer, prose", "a bearer token is required, Bearer authentication", "a bearer token is required, Bearer authentication"},
		{"basic", "Authorization: Basic " + "YWxhZGRpbjpvcGVuc2VzYW1l", "Authorization: Basic «BEARER»"},
		{"basic, prose", "Basic knowledge of the basic principles", "Basic knowledge of the basic principles"},
		{"authorization, quoted", `-H "Authorization: Token ` + hex40 + `" -x`, `-H "Authorization: Token «BEARER»" -x`},
		{"authorization, no scheme", "Authorization: " + hex40, "Authorization: «BEARER»"},
		{"authorization, placeholder", "Authorization: Bearer <token>, Authorization: Bearer $TOKEN", "Authorization: Bearer <token>, Authorization: Bearer $TOKEN"},
		{"authorization, prose", "Authorization: required", "Authorization: required"},

		{"api key, OpenAI", "sk-" + "proj-" + mixed36 + " sk-" + mixed36, "«API_KEY» «API_KEY»"},
		{"api key, Anthropic", "sk-" + "ant-api03-" + mixed36, "«API_KEY»"},
		{"api key, Google", "AIza" + "SyA" + mixed36[:32], "«API_KEY»"},
		{"api key, AWS", "AKIA" + "IOSFODNN7EXAMPLE.", "«API_KEY»."},
		{"api key, GitHub", "ghp_" + mixed36 + ",github_" + "pat_" + mixed36, "«API_KEY»,«API_KEY»"},
		{"api key, GitLab", "glpat-" + mixed36[:20], "«API_KEY»"},
		{"api key, Slack", "xoxb-" + "123456789012-abcdefABCDEF", "«API_KEY»"},
		{"api key, Stripe", "sk_" + "live_" + mixed36, "«API_KEY»"},
		{"api key, npm", "npm_" + mixed36, "«API_KEY»"},
		{"api key, PyPI", "pypi-" + "AgEIcHlwaS5vcmc" + mixed36, "«API_KEY»"},
		{"api key, Hugging Face", "hf_" + mixed36[:34], "«API_KEY»"},
		{"api key, Vault", "hvs." + mixed36, "«API_KEY»"},
		{"api key, Groq", "gsk_" + mixed36, "«API_KEY»"},
		{"api key, SendGrid", "SG." + mixed36[:22] + "." + mixed36 + mixed36[:7], "«API_KEY»"},
		{"api key, Telegram", "bot 123456789:" + mixed36[:35], "bot «API_KEY»"},
		{"api key, Mailchimp", hex32 + "-us12", "«API_KEY»"},
		{"api key, Azure", "aB3" + "7Q~" + mixed36[:34], "«API_KEY»"},
		{"api key behind an underscore", "MY_ghp_" + mixed36, "MY_«API_KEY»"},
		{"api key after an escape of a program", `'\nghp_` + mixed36 + `'`, `'\n«API_KEY»'`},
		{"api key, mask", "ghp_" + strings.Repeat("x", 36), "ghp_" + strings.Repeat("x", 36)},
		{"api key, words", "hf_requiredCharacteristicTypesForDisplayMetadata sk-learn-contrib-examples", "hf_requiredCharacteristicTypesForDisplayMetadata sk-learn-contrib-examples"},
		{"ids of tool calls", "call_" + mixed36[:24] + " toolu_" + mixed36[:24] + " chatcmpl-" + mixed36[:29], "call_" + mixed36[:24] + " toolu_" + mixed36[:24] + " chatcmpl-" + mixed36[:29]},
		{"hashes", "commit " + hex40 + " sha256:" + hex64, "commit " + hex40 + " sha256:" + hex64},

		{"password", "password=" + "hunter22 x", "password=«SECRET» x"},
		{"password, quoted", `db_password: "` + `correcthorse"`, `db_password: "«SECRET»"`},
		{"password, in a string of a program", `"{\"password\": \"` + `hunter22\"}"`, `"{\"password\": \"«SECRET»\"}"`},
		{"password, environment", "export DB_PASSWORD=" + "horsebattery\n", "export DB_PASSWORD=«SECRET»\n"},
		{"password, connection string", "Server=db;User Id=sa;Password=" + "horsebattery;", "Server=db;User Id=sa;Password=«SECRET»;"},
		{"password, code", "password = os.environ['X']; password=get_password(); self.password = config.password", "password = os.environ['X']; password=get_password(); self.password = config.password"},
		{"password, template", "password: ${PW} password: {{ pw }} password: <password>", "password: ${PW} password: {{ pw }} password: <password>"},
		{"password, stand-in", `password="your-password-here", secret: changeme`, `password="your-password-here", secret: changeme`},
		{"password, prose", "Password: Remember me, the password is required", "Password: Remember me, the password is required"},
		{"token", "token: " + hex32 + " GITHUB_TOKEN := '" + mixed36 + "'", "token: «SECRET» GITHUB_TOKEN := '«SECRET»'"},
		{"token, element", "<apiToken>\n  " + hex40 + "\n</apiToken>", "<apiToken>\n  «SECRET»\n</apiToken>"},
		{"token, call", `setProperty("API_TOKEN", "` + mixed36 + `")`, `setProperty("API_TOKEN", "«SECRET»")`},
		{"token, flag", "run --token " + mixed36 + " --verbose", "run --token «SECRET» --verbose"},
		{"token, attribute", `<add key="Password" value="` + `hunter22x" />`, `<add key="Password" value="«SECRET»" />`},
		{"token, query", "?access_token=" + mixed36 + "&sig=" + mixed36, "?access_token=«SECRET»&sig=«SECRET»"},
		{"token counts", "max_tokens: 4096, total_tokens=223206 prompt_token_count: 414034, tokens: 12345678", "max_tokens: 4096, total_tokens=223206 prompt_token_count: 414034, tokens: 12345678"},
		{"keys that are none", "cache key: user:670:profile, keyword: alpha, primary_key: id, next_page_token=" + mixed36, "cache key: user:670:profile, keyword: alpha, primary_key: id, next_page_token=" + mixed36},
		{"query in a query", "?next=https%3A%2F%2Fx.y%2Fcb%3Faccess_token%3D" + mixed36 + "%26state%3D9&a=b", "?next=https%3A%2F%2Fx.y%2Fcb%3Faccess_token%3D«SECRET»%26state%3D9&a=b"},
		{"query in a query in a query", "u%3Fapi_key%253D" + hex32 + "%2526b%253Dc", "u%3Fapi_key%253D«SECRET»%2526b%253Dc"},
		{"JSON in a query", "q=%7B%22password%22%3A%22" + "hunter22%22%2C%22a%22%3A1%7D", "q=%7B%22password%22%3A%22«SECRET»%22%2C%22a%22%3A1%7D"},
		{"no secret in a query", "u%3Fpage_token%3D" + mixed36 + "%26password%3D%7Bpassword%7D", "u%3Fpage_token%3D" + mixed36 + "%26password%3D%7Bpassword%7D"},
		{"variables of a container", "env:\n- name: DB_PASSWORD\n  value: horsebattery\n- name: LOG_LEVEL\n  value: info\n- name: API_KEY\n  value: $(API_KEY)", "env:\n- name: DB_PASSWORD\n  value: «SECRET»\n- name: LOG_LEVEL\n  value: info\n- name: API_KEY\n  value: $(API_KEY)"},
		{"pairs in running text", `cut {"name": "DB_PASSWORD", "value": "` + `horsebattery"}, ParameterKey=AdminPassword,ParameterValue=Hunter22`, `cut {"name": "DB_PASSWORD", "value": "«SECRET»"}, ParameterKey=AdminPassword,ParameterValue=«SECRET»`},
		{"names of files in variables", "- name: DB_PASSWORD_FILE\n  value: /run/secrets/db\n- name: DB_PASSWORD\n  value: /run/secrets/db", "- name: DB_PASSWORD_FILE\n  value: /run/secrets/db\n- name: DB_PASSWORD\n  value: /run/secrets/db"},
		{"converted", `KEY = bytes.fromhex("` + hex64 + `"), api_key=SecretStr('` + mixed36 + `'), secret=get("` + hex40 + `")`, `KEY = bytes.fromhex("«SECRET»"), api_key=SecretStr('«SECRET»'), secret=get("` + hex40 + `")`},
		{"key of a signature", `jwt.sign({a: f(x, y)}, "` + `s3cr3tkey", o), jwt.verify(token, publicKey, "x")`, `jwt.sign({a: f(x, y)}, "«SECRET»", o), jwt.verify(token, publicKey, "x")`},
		{"secret in the name of a resource", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf1", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf1"},
		{"commands", "echo " + "hunter22 | sudo -S ls; net use Z: \\\\nas\\s /user:a\\b Hunter22x", "echo «SECRET» | sudo -S ls; net use Z: \\\\nas\\s /user:a\\b «SECRET»"},
		{"logins of machines", "machine x.io\n login ann\n password 0a1b2c3d-0a1b-4c3d-8e2f-0a1b2c3d4e5f", "machine x.io\n login ann\n password «SECRET»"},
		{"names of other languages", "senha: " + "praia4821x, mdp=Lune99x; kennwort: " + "Apfel77x", "senha: «SECRET», mdp=«SECRET»; kennwort: «SECRET»"},
		{"members in running text", `Here: {'first_name': 'Mia', "dob": "1990-04-05", 'city': 'Rome'`, `Here: {'first_name': '«NAME»', "dob": "«BIRTH_DATE»", 'city': 'Rome'`},

		{"url", "postgres://app:" + "s3cr3t@db.example.com/x", "postgres://«URL_CREDENTIALS»"},
		{"url, '@' in the password", "mongodb://app:" + "s3@cr3t@db/x", "mongodb://«URL_CREDENTIALS»"},
		{"url, template", "https://${USER}:${PASS}@host and https://user@host/", "https://${USER}:${PASS}@host and https://user@host/"},
		{"url, example", "postgres://user:password@localhost:5432/db", "postgres://user:password@localhost:5432/db"},
		{"url, path", "https://example.com/a:b@c", "https://example.com/a:b@c"},
		{"curl", "curl -u ann:" + "hunter22 https://x.y", "curl -u «URL_CREDENTIALS» https://x.y"},
		{"webhook", "https://hooks.slack.com/" + "services/T0AB1CD2E/B0AB1CD2E/" + mixed36[:24], "https://hooks.slack.com/services/«WEBHOOK»"},
		{"cookie", "Cookie: sid=" + mixed36 + "; theme=dark\nAccept: */*", "Cookie: «COOKIE»\nAccept: */*"},
		{"cookie, prose", "cookie: a small cake", "cookie: a small cake"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, counts := r.Text(tc.in)
			if shorten(got) != tc.want {
				t.Errorf("Text(%q)\n got %q\nwant %q", tc.in, shorten(got), tc.want)
			}
			if want := strings.Count(tc.want, "«"); counts.Total() != want {
				t.Errorf("counts %v, want %d in all", counts, want)
			}
			if again, counts := r.Text(got); again != got || counts.Total() != 0 {
				t.Errorf("second pass changed %q to %q (%v)", got, again, counts)
			}
		})
	}
}

// What the content says about redaction does not matter.
func TestContentCannotSwitchItOff(t *testing.T) {
	r := newRedactor(t)
	for _, marker := range []string{
		"gitleaks:allow", "pragma: allowlist secret", "nosec", "[REDACTED:", "[REDACTED:EMAIL:abcd]",
		"[REDACTED:EMAIL:zzzz]", "-----BEGIN ", "data:image/png;base64,", "```", "<!--", "\x00", "\xff\xfe",
	} {
		for _, in := range []string{marker + " ann@example.com", "ann@example.com " + marker, marker + "\nann@example.com\n" + marker} {
			if got, _ := r.Text(in); strings.Contains(got, "ann@") {
				t.Errorf("Text(%q) = %q", in, got)
			}
		}
	}
}
