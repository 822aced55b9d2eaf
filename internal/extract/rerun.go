package extract

import (
	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
)

// A Making is what patterns are made with: two patterns of one trace that were made with
// the same differ only in the model's mood.
type Making struct {
	Analyzer  string `json:"analyzer"`
	Model     string `json:"model"` // as requested
	Prompt    string `json:"prompt_sha256"`
	Schema    string `json:"schema_sha256"`
	Redaction string `json:"redaction_version"`
	// configured is the model of the settings where a successor of it answered. A pattern
	// made so is what the same settings make again.
	configured string
}

// MadeWith returns what a pattern was made with.
func MadeWith(p *evalforge.Pattern) Making {
	v := &p.Provenance
	return Making{v.Analyzer, v.Model, v.PromptSHA256, v.SchemaSHA256, v.RedactionVersion, v.ConfiguredModel}
}

// MakesWith returns what an analyzer makes patterns with now, with the given version of
// the prompts.
func MakesWith(a Analyzer, prompt string) Making {
	model := a.Model()
	if c, ok := a.(interface{ ConfiguredModel() string }); ok {
		model = c.ConfiguredModel()
	}
	return Making{a.Name(), model, prompt, evalforge.AnalysisSchemaSHA256(), redact.Version, ""}
}

// The parts of a [Making] by name, as selections and reports write them.
const (
	PartAnalyzer  = "analyzer"
	PartModel     = "model"
	PartPrompt    = "prompt"
	PartSchema    = "schema"
	PartRedaction = "redaction"
)

// Parts returns the names of the parts of a [Making].
func Parts() []string {
	return []string{PartAnalyzer, PartModel, PartPrompt, PartSchema, PartRedaction}
}

// Differs names the parts in which m and n differ, in the order of [Parts].
func (m Making) Differs(n Making) []string {
	parts := []string{}
	for _, p := range []struct{ name, a, b string }{
		{PartAnalyzer, m.Analyzer, n.Analyzer}, {PartModel, m.Model, n.Model}, {PartPrompt, m.Prompt, n.Prompt},
		{PartSchema, m.Schema, n.Schema}, {PartRedaction, m.Redaction, n.Redaction},
	} {
		if p.a != p.b && !(p.name == PartModel && m.configured == n.Model && n.Model != "") {
			parts = append(parts, p.name)
		}
	}
	return parts
}
