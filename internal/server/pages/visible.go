package pages

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
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

func hidden(r rune) bool {
	switch r {
	case '\n', '\t', '\u200c', '\u200d': // joiners are part of scripts and of emoji
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, blanks)
}

// blanks are characters without a glyph that Unicode counts as letters, marks or symbols: fillers, the blank pattern of
// Braille, and those reserved for such uses, which can carry hidden bytes. The variation selectors that emoji need are
// not among them.
var blanks = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x034F, 0x034F, 1}, {0x115F, 0x1160, 1}, {0x17B4, 0x17B5, 1}, {0x180B, 0x180F, 1}, {0x2028, 0x2029, 1}, {0x2065, 0x2065, 1}, {0x2800, 0x2800, 1},
		{0x3164, 0x3164, 1}, {0xFFA0, 0xFFA0, 1}, {0xFFF0, 0xFFF8, 1},
	},
	R32: []unicode.Range32{{0xE0000, 0xE0FFF, 1}},
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
