package redact

import "testing"

// What a header says of its columns counts for the rows below it.
func TestTables(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ name, in, want string }{
		{"CSV", "id,username,password,created\n4,rsingh,kBdL0h4d01,2026-01-02\n5,lhansen,sunshine,2026-01-03\n\nid,note", "id,username,password,created\n4,«NAME»,«SECRET»,2026-01-02\n5,«NAME»,«SECRET»,2026-01-03\n\nid,note"},
		{"quotes and separators in them", "\"id\",\"db_password\",\"host\"\n1,\"a,\"\"b4!\",h", "\"id\",\"db_password\",\"host\"\n1,\"«SECRET»\",h"},
		{"Markdown", "| id | Password |\n|---:|:---|\n| 1 | hunter22x |\n", "| id | Password |\n|---:|:---|\n| 1 | «SECRET» |\n"},
		{"output of a database", " id | email     | dob\n----+-----------+------------\n  1 | a@b.co    | 1990-07-21\n(1 row)", " id | email     | dob\n----+-----------+------------\n  1 | «EMAIL»    | «BIRTH_DATE»\n(1 row)"},
		{"tabs", "user_id\tapi_token\n88\t" + mixed36, "user_id\tapi_token\n88\t«SECRET»"},
		{"persons", "name,email,ssn\nMia Vandersloot,m@x.io,078-05-1123", "name,email,ssn\n«NAME»,«EMAIL»,«SSN»"},
		{"INSERT", "INSERT INTO users (id, email, password) VALUES (3, 'x', 'it''s4me'), (4, 'y', NULL);", "INSERT INTO users (id, email, password) VALUES (3, 'x', '«SECRET»'), (4, 'y', NULL);"},

		{"rows of another length", "id,password\n1,2,hunter22x", "id,password\n1,2,hunter22x"},
		{"things", "name,price\nWater Bottle,12.50", "name,price\nWater Bottle,12.50"},
		{"a shop", "name,address\nThe Blue Door,12 Main St", "name,address\nThe Blue Door,12 Main St"},
		{"a sentence", "Enter user, password, then\nclick Login1, wait, and go", "Enter user, password, then\nclick Login1, wait, and go"},
		{"declared", "| field | password |\n|---|---|\n| type | string |\n| value | ${PASSWORD} |", "| field | password |\n|---|---|\n| type | string |\n| value | ${PASSWORD} |"},
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
