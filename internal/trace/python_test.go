package trace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Python prints of a dict means what its JSON does; what is not certain is nothing.
func TestPythonValue(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{'city': 'Rome'}`, `{"city":"Rome"}`},
		{`{'a': None, 'b': True, 'c': [1, 2.5, False]}`, `{"a":null,"b":true,"c":[1,2.5,false]}`},
		{`{'q': "it's", "r": 'say "x"\n'}`, `{"q":"it's","r":"say \"x\"\n"}`},
		{`{'t': ('a', 'b')}`, `{"t":["a","b"]}`},
		{`{'name': 'Zoë 💡'}`, `{"name":"Zoë 💡"}`},
		{`{'None': 'True'}`, `{"None":"True"}`},
		{`['x']`, `["x"]`},
		{`{'when': datetime(2026, 1, 1)}`, ""},
		{`{'o': <object at 0x7f>}`, ""},
		{`{'o': Order(id=1)}`, ""},
		{`{'b': '\x1b'}`, ""},
		{`{'a': 'cut`, ""},
		{`plain`, ""},
		{``, ""},
	} {
		got := ""
		if v, ok := pythonValue(tc.in); ok {
			got = canonical(v)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.in, diff)
		}
	}
}
