package pages

import (
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
)

// Every template fits its struct: with nothing in it, and with something everywhere.
func TestTemplatesFitTheirStructs(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	all, err := loadTemplates(a)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]func() any{
		"overview": func() any { return new(overviewPage) }, "patterns": func() any { return new(patternsPage) }, "pattern": func() any { return new(patternPage) },
		"runs": func() any { return new(runsPage) }, "run": func() any { return new(runPage) }, "quarantine": func() any { return new(quarantinePage) },
		"waiting": func() any { return new(waitingPage) },
		"problem": func() any { return new(problemPage) },
	}
	for name, tmpl := range all {
		page, ok := structs[name]
		if !ok {
			t.Errorf("the template %s has no struct in this test", name)
			continue
		}
		for _, full := range []bool{false, true} {
			for _, operator := range []bool{false, true} {
				p := page()
				if full {
					fill(reflect.ValueOf(p).Elem(), 0)
				}
				if err := tmpl.ExecuteTemplate(io.Discard, "layout", frame{Title: "t", Nav: name, Operator: operator, Version: "v", Page: p}); err != nil {
					t.Errorf("%s, full %v: %v", name, full, err)
				}
			}
		}
	}
}

// fill sets every exported field that can be reached.
func fill(v reflect.Value, depth int) {
	if depth > 8 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text <b>")
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[evalforge.Timestamp]() {
			v.Set(reflect.ValueOf(evalforge.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() || v.Type().Field(i).Anonymous {
				fill(v.Field(i), depth+1)
			}
		}
	}
}
