package pages

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
)

func TestSources(t *testing.T) {
	s, err := ParseSources(`{"langfuse": "https://lf.example/p/traces/{trace_id}", "datadog": "https://dd.example/llm?trace={trace_id}&span={span_id}", "other": "https://x.example/{trace_id}"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		format, span, trace string
		want                []link
	}{
		{"langfuse", "", "in the trace", []link{{"Langfuse", "https://lf.example/p/traces/in%20the%20trace"}}},
		{"langfuse", "", "", []link{{"Langfuse", "https://lf.example/p/traces/a%2Fb"}}},
		{"datadog-export", "s&1", "", []link{{"Datadog", "https://dd.example/llm?trace=a%2Fb&span=s&1"}}},
		{"datadog", "", "", []link{{"its source", "https://x.example/a%2Fb"}}},
		{"openai", "", "", []link{{"its source", "https://x.example/a%2Fb"}}},
	} {
		p := evalforge.Pattern{SourceTraceID: "a/b"}
		p.Provenance.Format = test.format
		p.FailingStep = &evalforge.FailingStep{SpanID: test.span}
		if d := cmp.Diff(test.want, s.links(p, test.trace)); d != "" {
			t.Errorf("%+v: -want +got:\n%s", test, d)
		}
	}
	for _, bad := range []string{"x", "[]", `{"langfuse": 1}`, `{"jira": "https://x/{trace_id}"}`, `{"langfuse": "javascript:alert({trace_id})"}`, `{"langfuse": "https://x/"}`, `{"langfuse": "//x/{trace_id}"}`,
		`{"langfuse": "https://{trace_id}/x"}`, `{"langfuse": "https://{trace_id}"}`, `{"langfuse": "https://x.{span_id}?{trace_id}"}`, `{"langfuse": "https://u:{trace_id}@x.example/"}`, `{"langfuse": "https://x.example:{trace_id}/"}`} {
		if _, err := ParseSources(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if s, err := ParseSources(" "); s != nil || err != nil {
		t.Errorf("nothing: got %v and %v", s, err)
	}
}
