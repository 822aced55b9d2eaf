package redact

import (
	"strings"
	"testing"
)

// National numbers go where their region is set, and nowhere else.
func TestPhoneRegions(t *testing.T) {
	plain := newRedactor(t)
	r, err := New(Options{Key: []byte("key"), PhoneRegions: []string{"nz", "DE"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ in, want string }{
		{"reach us on 03 331 6005 today", "reach us on «PHONE» today"},
		{"call 03-331 6005 ext 34", "call «PHONE»"},
		{"0800-2491234\n", "«PHONE»\n"},
		{"order 03 331 6005", "order 03 331 6005"},
		{"on 3/10/1984 and 2012-0102 08", "on 3/10/1984 and 2012-0102 08"},
		{"0.033316005 and 5033316005", "0.033316005 and 5033316005"},
	} {
		if got, _ := r.Text(tc.in); shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
	if got, _ := plain.Text("reach us on 03 331 6005 today"); strings.Contains(got, placeholderOpen) {
		t.Errorf("without a region: %q", got)
	}
	if got, _ := plain.Text("我的电话号码是４１５-６６６-７７７７。"); shorten(got) != "我的电话号码是«PHONE»。" {
		t.Errorf("wide digits: %q", got)
	}
	if _, err := New(Options{Key: []byte("key"), PhoneRegions: []string{"Germany"}}); err == nil || !strings.Contains(err.Error(), `"GERMANY"`) {
		t.Errorf("a region that is none: %v", err)
	}
}
