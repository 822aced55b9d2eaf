package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/rules"
)

// analyzer returns the analyzer that the settings name, and a function that frees what
// it holds.
func (c *call) analyzer(ctx context.Context) (extract.Analyzer, func(), error) {
	if c.cfg.analyzer != "gemini" {
		return rules.New(), func() {}, nil
	}
	a, err := c.gemini(ctx)
	if err != nil {
		return nil, nil, err
	}
	return a, func() { _ = a.Close() }, nil // frees connections; nothing can be lost
}

func (c *call) gemini(ctx context.Context) (*gemini.Analyzer, error) {
	g := &c.cfg.gemini
	o := g.options()
	o.Log = c.log
	if err := g.connect(&o); err != nil {
		return nil, err
	}
	a, err := gemini.New(ctx, o)
	if err != nil {
		return nil, withHint(err, c.doctorHint("the access to the model"))
	}
	return a, nil
}

// options returns what is asked for, whoever is asked.
func (g *geminiConfig) options() gemini.Options {
	return gemini.Options{
		Model: g.model, Successors: g.successors, Tier: g.tier, Prices: g.prices,
		Temperature: g.temperature, MaxOutputTokens: g.maxOutputTokens,
	}
}

// connect fills in who is asked, and how.
func (g *geminiConfig) connect(o *gemini.Options) error {
	if g.replay != "" {
		r, err := gemini.NewReplayer(g.replay)
		if err != nil {
			return withHint(fmt.Errorf("EVALFORGE_REPLAY: %w", err), "name a folder that EVALFORGE_RECORD filled")
		}
		o.Backend, o.APIKey, o.Transport = gemini.GeminiAPI, "replay", r
		return nil
	}
	vertex, err := g.useVertex()
	if err != nil {
		return err
	}
	o.Backend, o.APIKey, o.BaseURL = gemini.GeminiAPI, g.apiKey.reveal(), g.geminiURL
	if vertex {
		o.Backend, o.Project, o.Location, o.BaseURL = gemini.Vertex, g.project, g.location, g.vertexURL
		if g.project != "" {
			o.APIKey = "" // a project is used with the credentials of the environment
		}
	}
	if g.record != "" {
		r, err := gemini.NewRecorder(g.record, g.apiKey.reveal(), g.project)
		if err != nil {
			return withHint(fmt.Errorf("EVALFORGE_RECORD: %w", err), "make the folder first")
		}
		o.Transport = r
	}
	return nil
}

// useVertex decides which service is asked for Gemini: Vertex AI or the Gemini API.
func (g *geminiConfig) useVertex() (bool, error) {
	vertex := g.project != "" && !g.apiKey.set()
	if g.useVertexAI != nil {
		vertex = *g.useVertexAI
	}
	switch {
	case !g.apiKey.set() && (g.project == "" && g.useVertexAI == nil || !vertex):
		return false, withHint(errors.New("the gemini analyzer has no access to Gemini: neither an API key nor a Google Cloud project is set"),
			"for the Gemini API set GEMINI_API_KEY (keys: https://aistudio.google.com/apikey)",
			"for Vertex AI set GOOGLE_CLOUD_PROJECT, and log in with: gcloud auth application-default login",
			"without either, the rules analyzer works offline: -analyzer rules")
	case vertex && !g.apiKey.set() && g.project == "":
		return false, withHint(errors.New("asking Gemini through Vertex AI needs a Google Cloud project"),
			"set GOOGLE_CLOUD_PROJECT; or, for the Gemini API, unset GOOGLE_GENAI_USE_VERTEXAI and set GEMINI_API_KEY")
	}
	return vertex, nil
}

// unasked stands for an analyzer in a dry run, which asks nobody and needs no access.
type unasked struct{ name string }

func (u unasked) Name() string  { return u.name }
func (u unasked) Model() string { return "" }

func (u unasked) Analyze(context.Context, *extract.Input) (*extract.Answer, error) {
	return nil, errors.New("a dry run analyzes nothing")
}

// estimating is an analyzer in a dry run that says what asking would take.
type estimating struct{ *gemini.Analyzer }

func (estimating) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	return unasked{}.Analyze(ctx, in)
}

// unaskedAnalyzer returns a stand-in for the analyzer that the settings name.
func (c *call) unaskedAnalyzer() (extract.Analyzer, error) {
	if c.cfg.analyzer != "gemini" {
		return unasked{c.cfg.analyzer}, nil
	}
	g := &c.cfg.gemini
	e, err := gemini.NewEstimator(g.options())
	if err != nil {
		return nil, err
	}
	return estimating{e}, nil
}

// describeAnalyzer says who is asked, for people.
func (c *call) describeAnalyzer() string {
	if c.cfg.analyzer != "gemini" {
		return c.cfg.analyzer
	}
	g := &c.cfg.gemini
	via := "the Gemini API"
	switch vertex, err := g.useVertex(); {
	case g.replay != "":
		via = "recorded answers in " + g.replay
	case err != nil:
		via = "nothing yet"
	case vertex && g.project == "":
		via = "Vertex AI with a key"
	case vertex:
		via = fmt.Sprintf("Vertex AI, project %s, location %s", g.project, g.location)
	}
	return fmt.Sprintf("gemini, model %s through %s", g.model, via)
}
