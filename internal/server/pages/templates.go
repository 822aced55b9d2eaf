package pages

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages' templates by name; each has the layout and the shared parts.
type templates map[string]*template.Template

// loadTemplates parses layout.html and parts.html once with each of the other files.
func loadTemplates(a assets) (templates, error) {
	base, err := template.New("").Funcs(funcs(a)).Option("missingkey=error").
		ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	all := templates{}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		all[name] = t
	}
	return all, nil
}

func funcs(a assets) template.FuncMap {
	return template.FuncMap{
		"asset":   a.url,
		"words":   func(v any) string { return words(fmt.Sprint(v)) },
		"utc":     func(t evalforge.Timestamp) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"iso":     func(t evalforge.Timestamp) string { return t.UTC().Format(time.RFC3339) },
		"short":   func(t evalforge.Timestamp) string { return t.UTC().Format("2006-01-02 15:04") },
		"percent": percent,
		"points":  func(f float64) string { return fmt.Sprintf("%+.0f", 100*f) },
		"wide":    func(f float64) int { return int(100*f + 0.5) },
		"usd":     usd,
		"took":    took,
		"bytes":   byteSize,
		"count":   func(n any) string { return thousands(int(reflect.ValueOf(n).Int())) }, // any integer
		"visible": visible,
		"segment": url.PathEscape,
		"types":   evalforge.FailureTypes,
		"severities": func() []evalforge.Severity {
			return []evalforge.Severity{evalforge.Critical, evalforge.High, evalforge.Medium, evalforge.Low}
		},
		"digest": func(s string) string { return s[:min(len(s), 12)] },
		"inc":    func(n int) int { return n + 1 },
	}
}

// words writes an enum's value as people do.
func words[T ~string](v T) string {
	switch s := string(v); s {
	case "pii_leak":
		return "PII leak"
	case "invalid_json":
		return "Invalid JSON"
	default:
		s = strings.ReplaceAll(s, "_", " ")
		return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):]
	}
}

// percent takes a number or a pointer to one.
func percent(v any) string {
	switch f := v.(type) {
	case float64:
		return fmt.Sprintf("%.0f %%", 100*f)
	case *float64:
		return fmt.Sprintf("%.0f %%", 100**f)
	}
	return ""
}

func usd(f float64) string {
	switch {
	case f == 0:
		return "$0"
	case f < 0.01:
		return fmt.Sprintf("$%.4f", f)
	}
	return fmt.Sprintf("$%.2f", f)
}

// took writes a duration with the precision that matters at its size.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func byteSize(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000_000)
}

// thousands groups the digits of n.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
