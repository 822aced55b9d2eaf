// Package gemini is the analyzer that asks a Gemini model, on Vertex AI or on the
// Gemini API. It is the only package that imports the genai SDK.
//
// [New] makes an [Analyzer]; its Analyze method builds the request (prompt.go,
// schema.go), sends it at most three times within the trace's deadline (analyze.go,
// failure.go, over the transport of transport.go), and reads the answer (answer.go).
// What differs between models is one table (models.go), what they cost another
// (prices.go); lineup.go is who is asked when a model is gone, cost.go what a call can
// cost, record.go how answers of the real service are kept and played.
//
// No error and no log line of this package holds the API key or anything of the trace
// or the answer. Package geminitest is the service for tests.
package gemini

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/genai"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// A Backend is the service that is asked.
type Backend string

// The backends.
const (
	Vertex    Backend = "vertex" // Vertex AI: application default credentials, or an API key in express mode
	GeminiAPI Backend = "gemini" // the Gemini API: an API key
)

// A Tier is how a request is served and billed.
type Tier string

// The tiers. Flex costs half, is slower, and is refused more often when the service is
// busy; Vertex AI has it at the location global only.
const (
	Standard Tier = "standard"
	Flex     Tier = "flex"
)

// Defaults of [Options].
const (
	DefaultLocation        = "global"
	DefaultTemperature     = 0.2
	DefaultMaxOutputTokens = 8192
	DefaultBackoff         = time.Second
)

// Options configure an [Analyzer].
type Options struct {
	Backend Backend
	// Project and Location are for Vertex; an empty Location is [DefaultLocation].
	Project, Location string
	// APIKey is for the Gemini API, and for Vertex without a project; else it is not used.
	APIKey string
	// BaseURL replaces the service's address, or is "". Over plain http (a local server
	// or proxy) Google credentials are never sent.
	BaseURL string
	Model   string // "" is [DefaultModel]
	// Successors take over, in order, from a model that is gone. Nil is
	// [DefaultSuccessors]; an empty list is none.
	Successors []string
	Tier       Tier    // "" is [Standard]
	Prices     *Prices // nil is [DefaultPrices]
	// Temperature is 0 to 2; nil is [DefaultTemperature]. It is not sent to models that
	// do not take it.
	Temperature *float64
	// MaxOutputTokens bounds the answer; 0 is [DefaultMaxOutputTokens]. For models that
	// cannot stop thinking, room for thoughts is added.
	MaxOutputTokens int
	// Backoff is the bound of the first random wait between attempts, doubled each time;
	// 0 is [DefaultBackoff], which is also the least that Google asks for after a 429.
	Backoff time.Duration
	// Transport carries the requests, or nil for the default one.
	Transport http.RoundTripper
	Log       *slog.Logger // nil discards
}

// An Analyzer asks a Gemini model. It is used by many goroutines at once.
type Analyzer struct {
	opt         Options
	client      *genai.Client
	idle        func() // closes idle connections
	lineup      *lineup
	instruction string
	schema      map[string]any // as sent; the SDK only reads it
	fixed       int64          // bytes of instruction and schema
	answer      *jsonschema.Resolved
	version     string // of the prompt
	log         *slog.Logger

	// Time and randomness, replaced in tests.
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
	jitter    func(time.Duration) time.Duration // uniform in [0, d]
	newMarker func() string
}

var _ extract.Analyzer = (*Analyzer)(nil)

// New returns an analyzer. It reports what is missing or malformed in opt, and missing
// Google credentials; it does not ask the service ([Analyzer.Check] does).
func New(ctx context.Context, opt Options) (*Analyzer, error) {
	a, err := offline(opt)
	if err != nil {
		return nil, err
	}
	if err := a.connect(ctx); err != nil {
		return nil, fmt.Errorf("gemini: %w", err)
	}
	return a, nil
}

// offline returns an analyzer that is not connected.
func offline(opt Options) (*Analyzer, error) {
	if err := opt.complete(); err != nil {
		return nil, fmt.Errorf("gemini: %w", err)
	}
	a := &Analyzer{
		opt:         opt,
		instruction: instruction(),
		version:     prompts.Version(),
		log:         opt.Log,
		now:         time.Now,
		sleep:       sleep,
		jitter:      func(d time.Duration) time.Duration { return mathrand.N(d + 1) },
		newMarker:   newMarker,
	}
	a.lineup = newLineup(opt.Model, opt.Successors, func() time.Time { return a.now() })
	var err error
	if a.schema, err = requestSchema(); err != nil {
		return nil, fmt.Errorf("gemini: schema: %w", err)
	}
	if a.answer, err = evalforge.AnalysisSchema().Resolve(nil); err != nil {
		return nil, fmt.Errorf("gemini: schema: %w", err)
	}
	a.fixed = fixedBytes(a.instruction, a.schema)
	return a, nil
}

var (
	modelForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/-]*$`)
	locationForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`) // part of a host name
	projectForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)
)

// complete fills in defaults and reports values that cannot work.
func (o *Options) complete() error {
	if o.Model == "" {
		o.Model = DefaultModel
	}
	if err := checkModel(o.Model, "GEMINI_MODEL"); err != nil {
		return err
	}
	if o.Successors == nil {
		o.Successors = DefaultSuccessors()
	}
	for _, m := range o.Successors {
		if err := checkModel(m, "EVALFORGE_MODEL_SUCCESSORS"); err != nil {
			return err
		}
	}
	switch o.Tier {
	case "":
		o.Tier = Standard
	case Standard, Flex:
	default:
		return fmt.Errorf("service tier %q is none of %s, %s; set EVALFORGE_SERVICE_TIER", o.Tier, Standard, Flex)
	}
	if o.Prices == nil {
		o.Prices = DefaultPrices()
	}
	switch o.Backend {
	case GeminiAPI:
		if o.APIKey == "" {
			return errors.New("no key for the Gemini API; set GEMINI_API_KEY (keys: https://aistudio.google.com/apikey), or use Vertex AI with GOOGLE_GENAI_USE_VERTEXAI=true and GOOGLE_CLOUD_PROJECT")
		}
	case Vertex:
		if o.Project == "" && o.APIKey == "" {
			return errors.New("no project for Vertex AI; set GOOGLE_CLOUD_PROJECT")
		}
		if o.Location == "" {
			o.Location = DefaultLocation
		}
		if !locationForm.MatchString(o.Location) {
			return fmt.Errorf("%q is no location; set VERTEX_AI_LOCATION to one such as global or us-central1", o.Location)
		}
		if o.Tier == Flex && o.Location != DefaultLocation {
			return fmt.Errorf("the Flex tier is at the location %s of Vertex AI only, not at %s; set VERTEX_AI_LOCATION, or EVALFORGE_SERVICE_TIER=%s", DefaultLocation, o.Location, Standard)
		}
		if o.Project != "" && !projectForm.MatchString(o.Project) {
			return fmt.Errorf("%q is no project id; set GOOGLE_CLOUD_PROJECT", o.Project)
		}
	default:
		return fmt.Errorf("backend %q is none of %s, %s", o.Backend, Vertex, GeminiAPI)
	}
	if o.BaseURL != "" {
		if u, err := url.Parse(o.BaseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("the base URL must start with http:// or https:// and a host") // not quoted: it may hold credentials
		}
	}
	if o.Temperature == nil {
		o.Temperature = genai.Ptr(DefaultTemperature)
	}
	if t := *o.Temperature; !(t >= 0 && t <= 2) {
		return fmt.Errorf("temperature %v is not between 0 and 2; set GEMINI_TEMPERATURE", t)
	}
	if o.MaxOutputTokens == 0 {
		o.MaxOutputTokens = DefaultMaxOutputTokens
	}
	if n := o.MaxOutputTokens; n < 1 || n > 65536 {
		return fmt.Errorf("an output limit of %d tokens is not between 1 and 65536; set GEMINI_MAX_OUTPUT_TOKENS", n)
	}
	if o.Backoff <= 0 {
		o.Backoff = DefaultBackoff
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func checkModel(id, setting string) error {
	if !modelForm.MatchString(id) || strings.Contains(id, "..") {
		return fmt.Errorf("%q is no model id; set %s to one such as %s", id, setting, DefaultModel)
	}
	return nil
}

// connect makes the SDK's client over a [transport].
func (a *Analyzer) connect(ctx context.Context) error {
	base := a.opt.Transport
	if base == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 32 // as many as calls run at once, within reason
		base = t
	}
	hc := &http.Client{
		Transport: &transport{base: base, now: func() time.Time { return a.now() }},
		// The service does not redirect; the key must not follow whoever does.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a.idle = func() {
		if c, ok := base.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
	cc := &genai.ClientConfig{HTTPClient: hc, HTTPOptions: genai.HTTPOptions{BaseURL: a.opt.BaseURL, Headers: http.Header{}}}
	if a.opt.Backend == Vertex && a.opt.Tier == Flex {
		// https://docs.cloud.google.com/vertex-ai/generative-ai/docs/flex-paygo: without
		// provisioned throughput, and as Flex.
		cc.HTTPOptions.Headers.Set("X-Vertex-AI-LLM-Request-Type", "shared")
		cc.HTTPOptions.Headers.Set("X-Vertex-AI-LLM-Shared-Request-Type", "flex")
	}
	switch {
	case a.opt.Backend == GeminiAPI:
		cc.Backend, cc.APIKey = genai.BackendGeminiAPI, a.opt.APIKey
	case a.opt.Project == "":
		cc.Backend, cc.APIKey = genai.BackendVertexAI, a.opt.APIKey
	default:
		cc.Backend, cc.Project, cc.Location = genai.BackendVertexAI, a.opt.Project, a.opt.Location
		if strings.HasPrefix(strings.ToLower(a.opt.BaseURL), "http://") {
			break
		}
		if err := cc.UseDefaultCredentials(); err != nil {
			return fmt.Errorf("no Google Cloud credentials; run \"gcloud auth application-default login\", or set GOOGLE_APPLICATION_CREDENTIALS to a key file: %s", a.scrub(err.Error()))
		}
		quota, err := cc.Credentials.QuotaProjectID(ctx)
		if err != nil {
			return fmt.Errorf("quota project of the Google Cloud credentials: %s", a.scrub(err.Error()))
		}
		if quota != "" {
			cc.HTTPOptions.Headers.Set("X-Goog-User-Project", quota)
		}
	}
	client, err := genai.NewClient(ctx, cc)
	if err != nil {
		// The SDK's text prints its whole configuration, the key included.
		text, _, _ := strings.Cut(err.Error(), "ClientConfig:")
		return fmt.Errorf("client: %s", a.scrub(text))
	}
	a.client = client
	return nil
}

// Name implements [extract.Analyzer].
func (a *Analyzer) Name() string { return "gemini" }

// Model returns the model that is asked for: the configured one, or after it was found
// gone, the successor that took over.
func (a *Analyzer) Model() string { return a.lineup.current() }

// ConfiguredModel is the model of the settings, which may be gone.
func (a *Analyzer) ConfiguredModel() string { return a.lineup.configured }

// Close frees idle connections. Calls must have returned.
func (a *Analyzer) Close() error {
	a.idle()
	return nil
}

// scrub removes the API key from a text.
func (a *Analyzer) scrub(s string) string {
	if a.opt.APIKey == "" {
		return s
	}
	return strings.ReplaceAll(s, a.opt.APIKey, "<secret>")
}

// newMarker returns 14 random letters, of 65 bits, which nobody who wrote a trace can guess.
// Letters have fewer tokens than digits, and a longer marker would be billed five times per
// request.
func newMarker() string {
	var b [14]byte
	rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = 'a' + b[i]%26 // the first letters are a tenth likelier
	}
	return string(b[:])
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
