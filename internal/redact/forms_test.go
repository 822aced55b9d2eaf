package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testForms redacts each text as it is and as a string in a document, twice.
func testForms(t *testing.T, forms []form) {
	t.Helper()
	r := newRedactor(t)
	for _, tc := range forms {
		t.Run(tc.name, func(t *testing.T) {
			got, _ := r.Text(tc.in)
			if diff := cmp.Diff(tc.want, shorten(got)); diff != "" {
				t.Errorf("Text(%q) (-want +got)\n%s", tc.in, diff)
			}
			if again, _ := r.Text(got); again != got {
				t.Errorf("Text(%q)\n once %q\ntwice %q", tc.in, got, again)
			}
			doc, err := json.Marshal(map[string]string{"note": tc.in})
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := r.JSON(doc)
			if err != nil {
				t.Fatal(err)
			}
			var inner struct{ Note string }
			if err := json.Unmarshal(out, &inner); err != nil || inner.Note != got {
				t.Errorf("in a document %q, %v; as a text %q", inner.Note, err, got)
			}
		})
	}
}

// A form is a way to write a value, or what looks like it.
type form struct{ name, in, want string }

// What is typed at prompts and in shells, and what is written about that.
func TestCommands(t *testing.T) {
	pw := "Dune515" + "tiger"
	testForms(t, []form{
		{"redis prompt", "127.0.0.1:6379> AUTH " + pw + "\nOK", "127.0.0.1:6379> AUTH «SECRET»\nOK"},
		{"redis prompt, user, a word", "cache:6379[3]> auth ops sunflower\nOK", "cache:6379[3]> auth ops «SECRET»\nOK"},
		{"redis, by itself", "AUTH " + pw, "AUTH «SECRET»"},
		{"redis, client", "redis-cli -h c auth " + pw, "redis-cli -h c auth «SECRET»"},
		{"redis, flag, a word", "redis-cli -a sunflower ping", "redis-cli -a «SECRET» ping"},
		{"mail", "AUTH PLAIN AGtp" + "bQBEdW5lNTE1", "AUTH PLAIN «SECRET»"},
		{"file of passwords", "htpasswd -bc .htpasswd kim " + pw, "htpasswd -bc .htpasswd kim «SECRET»"},
		{"file of passwords, none", "htpasswd -nb kim " + pw, "htpasswd -nb kim «SECRET»"},
		{"rabbit", "rabbitmqctl change_password ops " + pw, "rabbitmqctl change_password ops «SECRET»"},
		{"piped", "echo 'kim:" + pw + "' | sudo chpasswd", "echo 'kim:«SECRET»' | sudo chpasswd"},
		{"bmc", "ipmitool -U admin -P " + pw + " power on", "ipmitool -U admin -P «SECRET» power on"},
		{"list of arguments", `run(["mysqldump", "--password", "` + pw + `"])`, `run(["mysqldump", "--password", "«SECRET»"])`},
		{"line of env", "DEBUG=1\nSECRET_KEY=2ud" + "(rojn8&960^l3z*g8no)\nLANG=C", "DEBUG=1\nSECRET_KEY=«SECRET»\nLANG=C"},
		{"SQL", "SET PASSWORD FOR 'bob'@'%' = PASSWORD('" + pw + "');", "SET PASSWORD FOR 'bob'@'%' = PASSWORD('«SECRET»');"},
		{"HCL", "variable \"db_password\" {\n  default = \"" + pw + "\"\n}", "variable \"db_password\" {\n  default = \"«SECRET»\"\n}"},
		{"HTML", `<input type="password" name="p" value="` + pw + `">`, `<input type="password" name="p" value="«SECRET»">`},
		{"kubeconfig", "client-key-data: " + mixed36 + mixed36, "client-key-data: «SECRET»"},

		{"no credentials", "AUTH LOGIN\nAUTH CRAM-MD5\n250-AUTH LOGIN PLAIN CRAM-MD5\n> auth is required\nAUTH failed: x1", "AUTH LOGIN\nAUTH CRAM-MD5\n250-AUTH LOGIN PLAIN CRAM-MD5\n> auth is required\nAUTH failed: x1"},
		{"variables", "redis-cli -a $PASS ping; redis-cli --help", "redis-cli -a $PASS ping; redis-cli --help"},
		{"no password", "htpasswd -c .htpasswd kim2024\nrabbitmqctl list_users --formatter json2\nchpasswd < users1.txt", "htpasswd -c .htpasswd kim2024\nrabbitmqctl list_users --formatter json2\nchpasswd < users1.txt"},
		{"a call", "PASSWORD=hash(user12)&salt34567890", "PASSWORD=hash(user12)&salt34567890"},
		{"other blocks", "variable \"password\" {}\nvariable \"size\" {\n  default = \"t3.micro\"\n}", "variable \"password\" {}\nvariable \"size\" {\n  default = \"t3.micro\"\n}"},
		{"other inputs", `<input type="password"><input name="q" value="plover842">`, `<input type="password"><input name="q" value="plover842">`},
		{"build secret", `["docker","build","--secret","id=npmrc,src=.npmrc2"]`, `["docker","build","--secret","id=npmrc,src=.npmrc2"]`},
	})
}

// What proves who somebody is besides passwords.
func TestAnswersAndCodes(t *testing.T) {
	testForms(t, []form{
		{"answer", "Security answer: raven", "Security answer: «SECRET»"},
		{"answer, words", "**Secret answer:** Grandma Rose.\nThanks", "**Secret answer:** «SECRET».\nThanks"},
		{"answer to a question", "Security question: first pet? Answer: Biscuit", "Security question: first pet? Answer: «SECRET»"},
		{"codes with letters", "recovery codes: 0a78e-24583 e01c3-6d6f8", "recovery codes: «SECRET» «SECRET»"},
		{"PIN for", "the PIN for my card is 6769", "the PIN for my card is «SECRET»"},
		{"German", "Ihr Bestätigungscode lautet 420602.", "Ihr Bestätigungscode lautet «SECRET»."},
		{"Markdown", "- **Password**: `Plover" + "@9699`", "- **Password**: `«SECRET»`"},
		{"columns of words", "Access key ID,Secret access key\nx1,0X9ZXvRSY1AW0Vi6" + "bN2tADFo65Y3tPEQAU3u1kaz\n", "Access key ID,Secret access key\nx1,«SECRET»\n"},

		{"about answers", "Security answer: required\nSecurity question and answer: see the profile\nFinal answer: 42 degrees", "Security answer: required\nSecurity question and answer: see the profile\nFinal answer: 42 degrees"},
		{"other codes", "error codes: 4041-2210a, backup codes: none yet. The code for my component is 4821 lines", "error codes: 4041-2210a, backup codes: none yet. The code for my component is 4821 lines"},
		{"other columns", "Primary key,Foreign key\n18273645,99182736\n", "Primary key,Foreign key\n18273645,99182736\n"},
	})
}

// What an agent types into the form of a page.
func TestFormFields(t *testing.T) {
	pw := "Plover808" + "bishop"
	testForms(t, []form{
		{"call", `page.fill("input[name=password]", "` + pw + `")`, `page.fill("input[name=password]", "«SECRET»")`},
		{"method", `page.get_by_label("Password").fill("` + pw + `")`, `page.get_by_label("Password").fill("«SECRET»")`},
		{"keyword", `fill(selector="#password", value="` + pw + `")`, `fill(selector="#password", value="«SECRET»")`},
		{"text", `{"element":"Password field","ref":"e4","text":"` + pw + `"}`, `{"element":"Password field","ref":"e4","text":"«SECRET»"}`},
		{"value", `{"selector":"input[type=\"password\"]","value":"` + pw + `"}`, `{"selector":"input[type=\"password\"]","value":"«SECRET»"}`},

		{"other fields", `page.fill("#search", "order48211"); click("#password", "left12345")`, `page.fill("#search", "order48211"); click("#password", "left12345")`},
		{"captions", `{"label":"Password","text":"Enter your password"}`, `{"label":"Password","text":"Enter your password"}`},
		{"other elements", `{"element":"Password strength meter","text":"Weak2"}`, `{"element":"Password strength meter","text":"Weak2"}`},
		{"variable", `page.fill("#password", process.env.PASS)`, `page.fill("#password", process.env.PASS)`},
	})
}

// A schema says what a value looks like: it stays under whatever name, unless there is a
// place for a value in it.
func TestDeclares(t *testing.T) {
	r := newRedactor(t)
	pw := "hunter2" + "hunter"
	for in, want := range map[string]string{
		`{"password":{"type":"string"}}`: "",
		`{"secret":{"type":["string","null"],"title":"Secret","description":"The secret of the user","minLength":8,"writeOnly":true}}`: "",
		`{"ssn": { "type" : "string", "pattern": "^[0-9]{3}-[0-9]{2}-[0-9]{4}$" } }`:                                                   "",
		`{"api_key":{"$ref":"#/definitions/ApiKey"}}`:                                                                                  "",
		`{"api_key":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}}`:                                                     "",
		`{"password":{}}`: "",

		`{"password":{"type":"string","value":"` + pw + `"}}`:        `{"password":{"type":"«SECRET»","value":"«SECRET»"}}`,
		`{"password":{"type":"string","title":"` + pw + `"}}`:        `{"password":{"type":"«SECRET»","title":"«SECRET»"}}`,
		`{"password":{"type":"` + pw + `"}}`:                         `{"password":{"type":"«SECRET»"}}`,
		`{"password":{"title":"Password"}}`:                          `{"password":{"title":"«SECRET»"}}`,
		`{"password":{"type":"integer","default":4711}}`:             `{"password":{"type":"«SECRET»","default":"«SECRET»"}}`,
		`{"password":{"type":"string","default":"` + pw + `"}}`:      `{"password":{"type":"«SECRET»","default":"«SECRET»"}}`,
		`{"password":{"anyOf":[{"type":"string"},"` + pw + `"]}}`:    `{"password":{"anyOf":[{"type":"«SECRET»"},"«SECRET»"]}}`,
		`{"password":{"type":"string","title":"a\u0041` + pw + `"}}`: `{"password":{"type":"«SECRET»","title":"«SECRET»"}}`,
	} {
		got, _, err := r.JSON([]byte(in))
		if want == "" {
			want = in
		}
		if err != nil || shorten(string(got)) != want {
			t.Errorf("JSON(%s)\n got %s, %v\nwant %s", in, shorten(string(got)), err, want)
		}
	}
}

// The data of a Kubernetes Secret goes wherever its kind stands, and only a Secret's.
func TestSecretManifestJSON(t *testing.T) {
	r := newRedactor(t)
	data := `{"ca.crt":"YWJj","host":"ZGI="}`
	hidden := `{"ca.crt":"«SECRET»","host":"«SECRET»"}`
	for in, want := range map[string]string{
		`{"kind":"Secret","apiVersion":"v1","data":` + data + `}`:                                              `{"kind":"Secret","apiVersion":"v1","data":` + hidden + `}`,
		`{"kind": "Secret", "stringData": ` + data + `}`:                                                       `{"kind": "Secret", "stringData": ` + hidden + `}`,
		"{\n \"apiVersion\": \"v1\",\n \"data\": " + data + ",\n \"kind\": \"Secret\"\n}":                      "{\n \"apiVersion\": \"v1\",\n \"data\": " + hidden + ",\n \"kind\": \"Secret\"\n}",
		`{"items":[{"apiVersion":"v1","data":` + data + `,"immutable":true,"kind":"Secret"}]}`:                 `{"items":[{"apiVersion":"v1","data":` + hidden + `,"immutable":true,"kind":"Secret"}]}`,
		`{"apiVersion":"v1","data":` + data + `,"kind":"ConfigMap"}`:                                           `{"apiVersion":"v1","data":` + data + `,"kind":"ConfigMap"}`,
		`{"kind":"ConfigMap","apiVersion":"v1","data":` + data + `}`:                                           `{"kind":"ConfigMap","apiVersion":"v1","data":` + data + `}`,
		`{"data":` + data + `,"type":"Secret"}`:                                                                `{"data":` + data + `,"type":"Secret"}`,
		`{"a":` + strings.Repeat(`{"apiVersion":"v1","data":`, 90) + data + strings.Repeat(`,"kind":"x"}`, 91): "",
	} {
		got, _, err := r.JSON([]byte(in))
		if want == "" {
			if !json.Valid(got) || err != nil {
				t.Errorf("JSON(%.60s…) = %.200s, %v", in, got, err)
			}
			continue
		}
		if err != nil || shorten(string(got)) != want {
			t.Errorf("JSON(%s)\n got %s, %v\nwant %s", in, shorten(string(got)), err, want)
		}
	}
}
