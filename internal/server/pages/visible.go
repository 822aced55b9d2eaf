package pages

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/evalforge/evalforge/internal/excerpt"
)

// visible returns s with what a reader could not see written out: control characters, such as those of
// terminals, as their symbols, and what changes the direction of text or takes no room by its code.
// Line breaks and tabs stay.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune(0x2400 + r)
		case r == 0x7f:
			b.WriteRune('␡')
		default:
			fmt.Fprintf(&b, "‹U+%04X›", r)
		}
	}
	return b.String()
}

// hidden reports whether r has no glyph. The joiners are part of scripts and of emoji, and so are the variation selectors;
// characters for private use are shown as boxes.
func hidden(r rune) bool {
	switch {
	case r == '\u2028', r == '\u2029':
		return true
	case r >= 0xFE00 && r <= 0xFE0F, unicode.Is(unicode.Co, r):
		return false
	}
	return excerpt.Invisible(r)
}

// visibleAll makes every string in what v points to visible, map keys aside.
func visibleAll(v any) { walkStrings(reflect.ValueOf(v).Elem()) }

func walkStrings(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); v.CanSet() && strings.ContainsFunc(s, hidden) {
			v.SetString(visible(s))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walkStrings(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() > 0 { // what others hold is left as it is
			c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(c, v)
			v.Set(c)
		}
		for i := range v.Len() {
			walkStrings(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(v.Elem())
			v.Set(c)
			walkStrings(c.Elem())
		}
	}
}
