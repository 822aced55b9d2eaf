package pages

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
)

// Sources are URL templates by the name of the system that traces come from. {trace_id} and {span_id}
// in a template, behind the host, stand for the ids there; a template with {span_id} is used only where a failing step has one.
type Sources map[string]string

// systems are the names that Sources may have, and which formats of traces they stand for.
func systems() map[string][]string {
	return map[string][]string{
		"datadog":   {"datadog", "datadog-export", "evalforge/datadog"},
		"langfuse":  {"langfuse"},
		"langsmith": {"langsmith", "otlp/langsmith"},
		"phoenix":   {"phoenix", "openinference"},
		"other":     nil, // whatever no other template is for
	}
}

// ParseSources reads templates from a JSON object, such as
//
//	{"langfuse": "https://cloud.langfuse.com/project/p/traces/{trace_id}"}
func ParseSources(text string) (Sources, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var s Sources
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf(`is not a JSON object of texts such as {"langfuse": "https://example.com/traces/{trace_id}"}`)
	}
	names := sortedKeys(systems())
	for _, name := range sortedKeys(s) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("names the system %.40q; known are %s", name, strings.Join(names, ", "))
		}
		u, err := url.Parse(strings.NewReplacer("{trace_id}", "t", "{span_id}", "s").Replace(s[name]))
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("has for %s no address that begins with https:// or http://", name)
		}
		_, host, _ := strings.Cut(s[name], "://")
		if end := strings.IndexAny(host, "/?#"); end >= 0 {
			host = host[:end]
		}
		if strings.Contains(host, "{") {
			return nil, fmt.Errorf("has for %s a placeholder before the path: a trace must not choose the host", name)
		}
		if !strings.Contains(s[name], "{trace_id}") && !strings.Contains(s[name], "{span_id}") {
			return nil, fmt.Errorf("has for %s an address without {trace_id}", name)
		}
	}
	return s, nil
}

// links returns the addresses of a pattern's trace. traceID is the id in the trace itself, or "".
func (s Sources) links(p evalforge.Pattern, traceID string) []link {
	if traceID == "" {
		traceID = p.SourceTraceID
	}
	span := ""
	if f := p.FailingStep; f != nil {
		span = f.SpanID
	}
	var list []link
	for _, name := range sortedKeys(s) {
		if !slices.Contains(systems()[name], p.Provenance.Format) || strings.Contains(s[name], "{span_id}") && span == "" {
			continue
		}
		list = append(list, s.link(name, traceID, span))
	}
	if other, ok := s["other"]; ok && list == nil && (span != "" || !strings.Contains(other, "{span_id}")) {
		list = append(list, s.link("other", traceID, span))
	}
	return list
}

func (s Sources) link(name, traceID, span string) link {
	shown := map[string]string{"datadog": "Datadog", "langfuse": "Langfuse", "langsmith": "LangSmith", "phoenix": "Phoenix", "other": "its source"}
	return link{shown[name], strings.NewReplacer("{trace_id}", url.PathEscape(traceID), "{span_id}", url.PathEscape(span)).Replace(s[name])}
}
