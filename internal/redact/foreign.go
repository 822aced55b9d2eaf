package redact

import (
	"slices"
	"strings"
)

// foreignPasswords are the words for a password in scripts without an ASCII part, and
// foreignLinks what is glued to them.
var (
	foreignPasswords = []string{"пароль", "Пароль", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호",
		"κωδικός", "รหัสผ่าน", "كلمة المرور", "סיסמה"}
	foreignLinks = []string{"是", "为", "為", "は", "が", "를", "는", "은", "이", "가", "："}
)

// foreignWords are the words by their first byte.
var foreignWords = func() (t [256][]string) {
	for _, w := range slices.Concat(foreignPasswords, foreignIDs) {
		t[w[0]] = append(t[w[0]], w)
	}
	return t
}()

// foreign looks at a password, or the number of a citizen, behind a word of another script that starts at s[i].
func (sc *scanner) foreign(s string, i int) (span, bool) {
	for _, w := range foreignWords[s[i]] {
		if !strings.HasPrefix(s[i:], w) {
			continue
		}
		if slices.Contains(foreignIDs, w) {
			return sc.foreignID(s, i+len(w))
		}
		k, linked := i+len(w), false
		for n := 0; n < 4; n++ {
			for _, link := range foreignLinks {
				if strings.HasPrefix(s[k:], link) {
					k, linked = k+len(link), true
				}
			}
			for at(s, k) == ' ' && k < len(s) || at(s, k) == ':' || at(s, k) == '=' {
				linked = linked || s[k] != ' '
				k++
			}
		}
		if sc.digitAfter(s, k)-k > maxSaidBytes {
			return span{}, false
		}
		return sc.said(s, k, passwordTopic, false, linked)
	}
	return span{}, false
}
