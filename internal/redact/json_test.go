package redact

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ name, in, want string }{
		{"values", `{"a": "ann@example.com", "b": [1, true, null, "x"]}`, `{"a": "«EMAIL»", "b": [1, true, null, "x"]}`},
		{"only what changed", "{ \"a\" :\t\"\\u0061 \\/\" ,\n \"b\": \"ann@example.com\\u0021\\n\" }", "{ \"a\" :\t\"\\u0061 \\/\" ,\n \"b\": \"«EMAIL»!\\n\" }"},
		{"escape before a value", `{"a": "x\nann@example.com"}`, `{"a": "x\n«EMAIL»"}`},
		{"escape inside a value", `{"a": "\u0061nn@ex\u0061mple.com"}`, `{"a": "«EMAIL»"}`},
		{"surrogates", `{"a": "\ud83d\ude00 ann@example.com \ud83d"}`, "{\"a\": \"😀 «EMAIL» \ufffd\"}"},
		{"JSON in a string", `{"a": "{\"password\": \"p\", \"n\": [\"ann@example.com\"]}"}`, `{"a": "{\"password\": \"«SECRET»\", \"n\": [\"«EMAIL»\"]}"}`},
		{"JSON in a string in JSON in a string", `"{\"a\": \"{\\\"b\\\": \\\"\\\\nann@example.com\\\"}\"}"`, `"{\"a\": \"{\\\"b\\\": \\\"\\\\n«EMAIL»\\\"}\"}"`},
		{"keys", `{"ann@example.com": 1, "bob@example.com": 2}`, `{"«EMAIL»": 1, "«EMAIL»": 2}`},
		{"a string alone", `"ann@example.com"`, `"«EMAIL»"`},

		{"always, whatever it looks like", `{"password": "p", "apiKey": "k", "Client-Secret": "c", "X-API-Key": "x", "db_password": "d"}`,
			`{"password": "«SECRET»", "apiKey": "«SECRET»", "Client-Secret": "«SECRET»", "X-API-Key": "«SECRET»", "db_password": "«SECRET»"}`},
		{"always, but nothing to hide", `{"password": "", "secret": null, "cookie": true}`, `{"password": "", "secret": null, "cookie": true}`},
		{"always, number", `{"ssn": 78051123, "pin": 1234, "credit_card": 4111111111111111}`, `{"ssn": "«SSN»", "pin": 1234, "credit_card": "«CARD»"}`},
		{"always, everything inside", `{"cookies": {"sid": "a"}, "authorization": ["Bearer x"], "address": {"city": "Rome", "zip": "1"}}`,
			`{"cookies": {"sid": "«COOKIE»"}, "authorization": ["«BEARER»"], "address": {"city": "«ADDRESS»", "zip": "«ADDRESS»"}}`},
		{"persons", `{"user": {"name": "Mia", "id": "u1"}, "customer": {"first_name": "Mia", "dateOfBirth": "1990-04-05"}, "user.full_name": "Mia Li"}`,
			`{"user": {"name": "«NAME»", "id": "u1"}, "customer": {"first_name": "«NAME»", "dateOfBirth": "«BIRTH_DATE»"}, "user.full_name": "«NAME»"}`},
		{"persons, by what stands beside the name", `[{"name": "Mia Lund", "age": 34, "email": "m.lund@example.com"}, {"email": "zoe@example.com", "name": "Zoe Berg"}, {"id": 1, "dob": "1990-07-21", "name": "Kim Stone"}, {"name": "Jo Adler", "x": "y", "birth_date": "1990-07-21"}]`,
			`[{"name": "«NAME»", "age": 34, "email": "«EMAIL»"}, {"email": "«EMAIL»", "name": "«NAME»"}, {"id": 1, "dob": "«BIRTH_DATE»", "name": "«NAME»"}, {"name": "«NAME»", "x": "y", "birth_date": "«BIRTH_DATE»"}]`},
		{"things, whatever stands beside the name", `[{"name": "Blue Bottle", "email": "hello@example.com"}, {"name": "get_user", "email": "get_user@example.com"}, {"name": "Mia Lund", "tags": {"email": "m.lund@example.com"}}]`,
			`[{"name": "Blue Bottle", "email": "«EMAIL»"}, {"name": "get_user", "email": "«EMAIL»"}, {"name": "Mia Lund", "tags": {"email": "«EMAIL»"}}]`},
		{"passwords in other languages", `{"senha": "x1", "mot_de_passe": "y", "пароль": "z", "密码": "w"}`, `{"senha": "«SECRET»", "mot_de_passe": "«SECRET»", "пароль": "«SECRET»", "密码": "«SECRET»"}`},
		{"dotted", `{"http.request.header.authorization": "x", "user.name": "mia", "enduser.email": "ann@example.com"}`,
			`{"http.request.header.authorization": "«BEARER»", "user.name": "«NAME»", "enduser.email": "«EMAIL»"}`},
		{"OTLP attributes", `[{"key": "user.name", "value": {"stringValue": "mia"}}, {"key": "server.address", "value": {"stringValue": "api.example.com"}}]`,
			`[{"key": "user.name", "value": {"stringValue": "«NAME»"}}, {"key": "server.address", "value": {"stringValue": "api.example.com"}}]`},
		{"headers", `[{"name": "Cookie", "value": "a=b"}, {"value": "x", "name": "Authorization"}]`,
			`[{"name": "Cookie", "value": "«COOKIE»"}, {"value": "«BEARER»", "name": "Authorization"}]`},
		{"phones and addresses by key", `{"phone": "5550132 7", "mobile": 4155550132, "client_ip": "8.8.8.8", "server.address": "10.1.2.3"}`,
			`{"phone": "«PHONE»", "mobile": "«PHONE»", "client_ip": "«IP»", "server.address": "«IP»"}`},
		{"names that end like those of ids", `{"format": "415-555-0132", "params": "SSN 078-05-1123", "status": "10.1.2.3:80", "id": "see the notes of the last call: dial 415-555-0132 and ask for extension 7"}`,
			`{"format": "«PHONE»", "params": "SSN «SSN»", "status": "«IP»:80", "id": "see the notes of the last call: dial «PHONE» and ask for extension 7"}`},
		{"tokens", `{"github_token": "0a1b2c3d4e5f6a7b8c9d", "token": " the", "logprobs": {"tokens": ["a", "b"]}, "eos_token": "<|endoftext|>"}`,
			`{"github_token": "«SECRET»", "token": " the", "logprobs": {"tokens": ["a", "b"]}, "eos_token": "<|endoftext|>"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, counts, err := r.JSON([]byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if shorten(string(got)) != tc.want {
				t.Errorf("got  %s\nwant %s", shorten(string(got)), tc.want)
			}
			if !json.Valid(got) {
				t.Errorf("not valid any more: %s", got)
			}
			if want := strings.Count(tc.want, "«"); counts.Total() != want {
				t.Errorf("counts %v, want %d in all", counts, want)
			}
		})
	}
}

// What other packages decode, and what joins traces, stays byte for byte.
func TestJSONLeavesStructureAlone(t *testing.T) {
	r := newRedactor(t)
	for _, in := range []string{
		`{"role": "tool", "name": "get_user", "tool_call_id": "call_IY7uq6T2bwGfcCvJAXrF6bnZ", "content": "ok"}`,
		`{"tool_calls": [{"id": "toolu_013eBZclIvRY6iEjH5UH1RSC", "type": "function", "function": {"name": "get_weather", "arguments": "{\"name\": \"Rome\", \"city\": \"Rome\"}"}}]}`,
		`{"tools": [{"name": "login", "parameters": {"type": "object", "properties": {"password": {"type": "string", "description": "The user's password"}, "address": {"type": "object", "properties": {"city": {"type": "string"}}}}, "required": ["password"]}}]}`,
		`{"trace_id": "65f53e9421ce50211670eae679f02e8d", "span_id": 4111111111111111, "parentSpanId": "4111111111111111", "session_id": "728a6fcf-303a-07b2-8f2d-f760ae9ca08b"}`,
		`{"startTimeUnixNano": "1765115898095392705", "created": 1765115898, "time": "2026-09-07T23:49:08.439595Z", "ts": "4155550132"}`,
		`{"usage": {"prompt_tokens": 414034, "total_tokens": 223206, "max_tokens": "4096"}, "gen_ai.usage.input_tokens": 12}`,
		`{"model": "claude-3-5-sonnet@20241022", "system_fingerprint": "fp_6948f6d30c", "version": "11.5.5.14", "seed": 4155550132}`,
		`{"commit": "c222670bbe4f4c54977656cf2d133187c8df9524", "image": "app@sha256:2d0f0cc022238daceee2092f073ff80b9465aef7ac86d66c7a644fb12853ef86", "etag": "W/\"850f1578b5c72dc4ee60caea63367c29\""}`,
		`[{"key": "gen_ai.prompt.0.content", "value": {"stringValue": "hi"}}, {"key": "llm.input_messages.10.message.tool_calls.0.tool_call.function.name", "value": {"stringValue": "get_user"}}]`,
		`{"reservation": "4WQ150", "order_id": "#W2928490", "item_id": 2875804046, "flight": "HAT001", "price": 4155550132}`,
		`{"embedding": [0.995807437, -0.960738581], "score": 1e-7, "logprob": -0.5}`,
		`{"crew_key": "4d5b21867b638a1846a38dc4af8e29a4", "agent_key": "9ac73818a528f9f1a3f1067bc358e549"}`,
		`{"placeholder": "[REDACTED:EMAIL:12ab]", "password": "[REDACTED:SECRET:12ab]"}`,
		" \n[ ] ", `"\ud83d\ude00 \ud800 \u0000"`, `-0.5e+10`, `{"": {"a": [[], {}]}}`,
	} {
		got, counts, err := r.JSON([]byte(in))
		if err != nil {
			t.Errorf("JSON(%s): %v", in, err)
			continue
		}
		if string(got) != in || counts.Total() != 0 {
			t.Errorf("changed (%v)\n  in %s\n got %s", counts, in, got)
		}
	}
}

func TestUntouchedInputIsReturnedItself(t *testing.T) {
	in := []byte(`{"a": "b"}`)
	got, _, err := newRedactor(t).JSON(in)
	if err != nil || &got[0] != &in[0] {
		t.Errorf("JSON returned a copy, or %v", err)
	}
}

// Depth must not matter: the same text is found as a text, in a document, and in a
// document inside a string of a document.
func TestDepthDoesNotMatter(t *testing.T) {
	r := newRedactor(t)
	for _, secret := range []string{
		"ann@example.com", "call +44 20 7946 0958", "4111 1111 1111 1111", "SSN 078-05-1123", "DE89370400440532013000",
		"host 10.1.2.3", fakePEM, fakeJWT, "Bearer " + hex32, "ghp_" + mixed36, `password="hunter22"`,
		"postgres://app:" + "s3cr3t@db/x", "Cookie: sid=" + mixed36,
	} {
		text := "first line\n" + secret + "\n\"quoted\" \\ last"
		want, _ := r.Text(text)
		if want == text {
			t.Errorf("%q was not found at all", secret)
		}
		var value any = text
		for depth := 1; depth <= 4; depth++ {
			doc, err := json.Marshal(map[string]any{"content": value})
			if err != nil {
				t.Fatal(err)
			}
			clean, _, err := r.JSON(doc)
			if err != nil {
				t.Fatal(err)
			}
			got := string(clean)
			for range depth {
				var m map[string]string
				if err := json.Unmarshal([]byte(got), &m); err != nil {
					t.Fatalf("depth %d: %v in %s", depth, err, got)
				}
				got = m["content"]
			}
			if got != want {
				t.Errorf("depth %d: got %q, want %q", depth, got, want)
			}
			value = string(doc)
		}
	}
}

// Two values may share a placeholder; two keys of one object must not.
func TestKeysStayUnique(t *testing.T) {
	r := newRedactor(t)
	first, _ := r.Text("ann@example.com")
	in := `{"` + first + `": 1, "ann@example.com": 2, "` + first + `#2": 3}`
	got, _, err := r.JSON([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]int
	if err := json.Unmarshal(got, &m); err != nil {
		t.Fatal(err)
	}
	if len(m) != 3 {
		t.Errorf("keys were merged: %s", got)
	}
	if again, _, err := r.JSON(got); err != nil || string(again) != string(got) {
		t.Errorf("second pass: %s, %v", again, err)
	}
}

func TestJSONRefusesWhatIsNone(t *testing.T) {
	r := newRedactor(t)
	for _, in := range []string{
		``, ` `, `{`, `{"a"`, `{"a":`, `{"a": 1,}`, `[1,]`, `[1 2]`, `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, `"\`, `01`, `1.`, `1e`, `-`,
		`tru`, `nul`, `{a: 1}`, `{"a": 1} x`, `ann@example.com`, `{"a": "ann@example.com"`, "\ufeff{}",
		strings.Repeat("[", maxNesting+2) + strings.Repeat("]", maxNesting+2),
	} {
		got, counts, err := r.JSON([]byte(in))
		if err == nil || got != nil || counts != nil {
			t.Errorf("JSON(%.40q) = %.40q, %v, %v, want only an error", in, got, counts, err)
		} else if strings.Contains(err.Error(), "ann") {
			t.Errorf("error quotes the content: %v", err)
		}
	}
}
