package redact

import (
	"slices"
	"strings"
)

// foreignPasswords are the words for a password in scripts without an ASCII part, and
// foreignLinks what is glued to them.
var (
	foreignPasswords = []string{"пароль", "Пароль", "ПАРОЛЬ", "парола", "Парола", "лозинка", "密码", "密碼", "口令", "パスワード",
		"暗証番号", "비밀번호", "비번", "암호", "패스워드", "κωδικός", "Κωδικός", "รหัสผ่าน", "كلمة المرور", "كلمة السر", "رمز عبور",
		"סיסמה", "סיסמא", "पासवर्ड", "পাসওয়ার্ড", "ật khẩu"}
	foreignLinks = []string{"是", "为", "為", "は", "が", "를", "는", "은", "이", "가", "：", "—", "–", "→", "改成", "改为", "改為", "设为", "設為", "设成", "就是", "了", "叫"}
)

// linkStarts are the first bytes of foreignLinks.
var linkStarts = func() (t [256]bool) {
	for _, link := range foreignLinks {
		t[link[0]] = true
	}
	return t
}()

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
			before := k
			if linkStarts[at(s, k)] {
				for _, link := range foreignLinks {
					if strings.HasPrefix(s[k:], link) {
						k, linked = k+len(link), true
					}
				}
			}
			for at(s, k) == ' ' && k < len(s) || at(s, k) == ':' || at(s, k) == '=' {
				linked = linked || s[k] != ' '
				k++
			}
			if k == before {
				break
			}
		}
		if sc.digitAfter(s, k)-k > maxSaidBytes {
			return span{}, false
		}
		// Latin letters and figures in a text of another script are no word of it.
		return sc.said(s, k, passwordTopic, false, linked || isAlpha(at(s, k)) && beginsMixed(s, k))
	}
	return span{}, false
}

// beginsMixed reports whether what stands at s[i] has eight characters or more without a
// space, of which three or more are digits.
func beginsMixed(s string, i int) bool {
	digits, k := 0, i
	for k < len(s) && k-i < maxNameBytes && s[k] > ' ' && s[k] < 0x80 {
		if isDigit(s[k]) {
			digits++
		}
		k++
	}
	return k-i >= 8 && digits >= 3
}
