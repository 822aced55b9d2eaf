package evalforge

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

func validPattern() Pattern {
	excerpt, step := "HTTP 503 from the catalog service", 3
	return Pattern{
		PatternID: "pattern_t1", SourceTraceID: "t1", ExtractedAt: At(time.Unix(1767322800, 0)),
		Analysis: Analysis{
			Title: "Catalog lookup failed", FailureType: InfrastructureError, TriggerCondition: "dependency unavailable",
			Summary: "s", RootCauseHypothesis: "r",
			Evidence:            Evidence{Signals: []string{"503"}, Excerpt: &excerpt, Refs: []EvidenceRef{{Step: &step, Quote: excerpt}}},
			RecommendedActions:  []string{"retry"},
			ReproductionContext: ReproductionContext{InputPattern: "any lookup", ToolsInvolved: []string{}},
			Severity:            High, Confidence: 0.9, ConfidenceRationale: "c",
		},
	}
}

func TestPatternValidateNamesTheField(t *testing.T) {
	if p := validPattern(); p.Validate() != nil {
		t.Fatalf("a valid pattern is refused: %v", p.Validate())
	}
	blank, long := " \n", strings.Repeat("ü", MaxExcerptRunes+1)
	tests := map[string]func(*Pattern){
		"pattern_id":                           func(p *Pattern) { p.PatternID = "t1" },
		"trace_id":                             func(p *Pattern) { p.SourceTraceID = "" },
		"title":                                func(p *Pattern) { p.Title = blank },
		"failure_type":                         func(p *Pattern) { p.FailureType = "timeout" },
		"trigger_condition":                    func(p *Pattern) { p.TriggerCondition = "order 4711 missing" },
		"summary":                              func(p *Pattern) { p.Summary = "" },
		"root_cause_hypothesis":                func(p *Pattern) { p.RootCauseHypothesis = "" },
		"evidence.signals":                     func(p *Pattern) { p.Evidence.Signals = nil },
		"evidence.signals[0]":                  func(p *Pattern) { p.Evidence.Signals = []string{blank} },
		"evidence.excerpt":                     func(p *Pattern) { p.Evidence.Excerpt = &long },
		"evidence.refs[0].quote":               func(p *Pattern) { p.Evidence.Refs[0].Quote = "" },
		"recommended_actions":                  func(p *Pattern) { p.RecommendedActions = []string{} },
		"reproduction_context.input_pattern":   func(p *Pattern) { p.ReproductionContext.InputPattern = "" },
		"reproduction_context.required_state":  func(p *Pattern) { p.ReproductionContext.RequiredState = &blank },
		"reproduction_context.tools_involved":  func(p *Pattern) { p.ReproductionContext.ToolsInvolved = nil },
		"severity":                             func(p *Pattern) { p.Severity = "" },
		"confidence":                           func(p *Pattern) { p.Confidence = math.NaN() },
		"confidence_rationale":                 func(p *Pattern) { p.ConfidenceRationale = "" },
		"failing_step.index":                   func(p *Pattern) { p.FailingStep = &FailingStep{Index: -1} },
		"extracted_at":                         func(p *Pattern) { p.ExtractedAt = Timestamp{} },
		"reproduction_context.tools_involved[": func(p *Pattern) { p.ReproductionContext.ToolsInvolved = []string{""} },
	}
	for field, breakIt := range tests {
		p := validPattern()
		breakIt(&p)
		err := p.Validate()
		var fe *FieldError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error naming the field", field, err)
		}
	}
}

func TestPatternDocumentShape(t *testing.T) {
	p := validPattern()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	// What the services that read this collection require by key.
	for _, key := range []string{"pattern_id", "source_trace_id", "title", "failure_type", "trigger_condition", "summary",
		"root_cause_hypothesis", "evidence", "recommended_actions", "reproduction_context", "severity", "confidence",
		"confidence_rationale", "extracted_at", "processed"} {
		if _, ok := doc[key]; !ok {
			t.Errorf("the document has no %s", key)
		}
	}
	if got := doc["processed"]; got != false {
		t.Errorf("processed = %v, want false: it is the next service's flag", got)
	}
	if got := doc["extracted_at"]; got != "2026-01-02T03:00:00.000000+00:00" {
		t.Errorf("extracted_at = %v", got)
	}
}

func TestSchemaAndValidateAgree(t *testing.T) {
	schema, err := PatternSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := validPattern()
	p.Evidence.Refs[0].Match = "exact"
	p.Provenance.Redactions, p.Provenance.Warnings = map[string]int{}, []string{}
	if err := schema.Validate(asMap(t, p)); err != nil {
		t.Errorf("a valid pattern breaks its schema: %v", err)
	}
	for name, breakIt := range map[string]func(*Pattern){
		"null signals":   func(p *Pattern) { p.Evidence.Signals = nil },
		"no actions":     func(p *Pattern) { p.RecommendedActions = []string{} },
		"null tools":     func(p *Pattern) { p.ReproductionContext.ToolsInvolved = nil },
		"unknown type":   func(p *Pattern) { p.FailureType = "timeout" },
		"confidence > 1": func(p *Pattern) { p.Confidence = 1.5 },
	} {
		p := validPattern()
		p.Provenance.Redactions, p.Provenance.Warnings = map[string]int{}, []string{}
		breakIt(&p)
		if schema.Validate(asMap(t, p)) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
		if p.Validate() == nil {
			t.Errorf("%s: Validate accepts it", name)
		}
	}
}

func asMap(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// geminiKeywords are the JSON Schema keywords that Gemini's responseJsonSchema documents.
var geminiKeywords = []string{"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
	"prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required"}

func TestAnalysisSchemaUsesOnlyWhatModelsAccept(t *testing.T) {
	b, err := json.Marshal(AnalysisSchema())
	if err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any, isProps bool)
	walk = func(path string, v any, isProps bool) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		for k, sub := range m {
			if !isProps && !slices.Contains(geminiKeywords, k) {
				t.Errorf("%s uses the keyword %s", path, k)
			}
			walk(path+"/"+k, sub, k == "properties" && !isProps)
		}
	}
	var doc any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	walk("", doc, false)
	for _, engineOnly := range []string{"verified", "span_id", "match", "agent", "provenance", "pattern_id"} {
		if strings.Contains(string(b), `"`+engineOnly+`":`) {
			t.Errorf("the model is asked for %s, which only the engine sets", engineOnly)
		}
	}
}

func TestAnalysisSchemaIsStable(t *testing.T) {
	if a, b := SchemaSHA256(AnalysisSchema()), SchemaSHA256(AnalysisSchema()); a != b {
		t.Errorf("two calls differ: %s and %s", a, b)
	}
	s := AnalysisSchema()
	s.Properties["title"] = &jsonschema.Schema{Type: "number"}
	if AnalysisSchema().Properties["title"].Type != "string" {
		t.Error("changing a returned schema changes the next one")
	}
}

func TestNormalizeLabel(t *testing.T) {
	for in, want := range map[string]string{
		"Rate-limit  exceeded.":      "rate limit exceeded",
		"rate_limit_exceeded":        "rate limit exceeded",
		" TOOL: missing “argument” ": "tool missing argument",
		"":                           "",
	} {
		if got := NormalizeLabel(in); got != want {
			t.Errorf("NormalizeLabel(%q) = %q, want %q", in, got, want)
		}
	}
}
