package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/pages"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/evalforge/evalforge/internal/store/firestore"
	"github.com/evalforge/evalforge/internal/trace"
)

// A group is a set of settings that a command uses or does not.
type group string

// The groups, each with the heading it has in the documentation.
const (
	groupGeneral   group = "General"
	groupStore     group = "Store"
	groupAnalyzer  group = "Analyzer"
	groupPace      group = "Pace"
	groupRun       group = "Runs"
	groupRedaction group = "Redaction"
	groupAccess    group = "Access"
	groupTelemetry group = "Telemetry"
	groupService   group = "Service"
)

func groups() []group {
	return []group{groupStore, groupAnalyzer, groupPace, groupRun, groupRedaction, groupService, groupAccess, groupTelemetry, groupGeneral}
}

// A setting is one thing that can be set. A flag beats the environment, which beats the
// default. An empty variable counts as not set.
type setting struct {
	group group
	flag  string   // name of the flag, or ""
	vars  []string // environment variables, the first that is set wins
	value string   // what the value is, for usage lines
	def   string   // the default, parsed like any value; "" is the zero value
	// cloudDef is the default on Cloud Run where it differs.
	cloudDef string
	// shown describes the default where def is "".
	shown  string
	doc    string
	secret bool
	set    func(c *config, v string) error // its error says what is allowed
}

// settings returns the table of settings: the one place that defines them. The help
// text and docs/config.md are generated from it.
func settings() []setting {
	return []setting{
		{
			group: groupStore, flag: "store", vars: []string{"EVALFORGE_STORE"}, value: "STORE",
			def: "sqlite:evalforge.db", cloudDef: "firestore:",
			doc: "Where traces, patterns and runs are kept: sqlite:FILE, firestore:PROJECT/DATABASE, or mem: (gone when the command ends). firestore: alone takes the project from GOOGLE_CLOUD_PROJECT or the credentials, and the database from FIRESTORE_DATABASE_ID.",
			set: func(c *config, v string) (err error) { c.store, err = parseStore(v); return err },
		},
		{
			group: groupStore, vars: []string{"FIRESTORE_DATABASE_ID"}, value: "DATABASE", def: firestore.DefaultDatabase,
			doc: "The Firestore database, where the store names none.",
			set: func(c *config, v string) error { c.firestore.database = v; return nil },
		},
		{
			group: groupStore, vars: []string{"FIRESTORE_COLLECTION_PREFIX"}, value: "PREFIX", def: firestore.DefaultPrefix,
			doc: "What the names of the Firestore collections begin with. Every service on one backlog needs the same.",
			set: func(c *config, v string) error { c.firestore.prefix = v; return nil },
		},
		{
			group: groupAnalyzer, flag: "analyzer", vars: []string{"EVALFORGE_ANALYZER"}, value: "NAME",
			def: "rules", cloudDef: "gemini",
			doc: "Who analyzes a trace: rules (deterministic, offline, free) or gemini (asks a model).",
			set: func(c *config, v string) error { return setOneOf(&c.analyzer, v, "rules", "gemini") },
		},
		{
			group: groupAnalyzer, flag: "model", vars: []string{"GEMINI_MODEL"}, value: "MODEL", def: gemini.DefaultModel,
			doc: "The Gemini model. When the service no longer has it, a successor takes over with a warning.",
			set: func(c *config, v string) error { c.gemini.model = v; return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_MODEL_SUCCESSORS"}, value: "MODEL,MODEL",
			def: strings.Join(gemini.DefaultSuccessors(), ","),
			doc: "The models that take over, in this order, from one that is retired, unknown or blocked; none for none. Each is warned of once, and not asked again for six hours.",
			set: func(c *config, v string) error {
				c.gemini.successors = []string{}
				if v != "none" {
					c.gemini.successors = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
				}
				return nil
			},
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_SERVICE_TIER"}, value: "standard|flex", def: string(gemini.Standard),
			doc: "How Gemini is served and billed: flex costs half, takes longer, and is refused more often when the service is busy; raise PER_TRACE_TIMEOUT_SEC with it. Vertex AI has it at the location global only.",
			set: func(c *config, v string) error {
				c.gemini.tier = gemini.Tier(v)
				return setOneOf((*string)(&c.gemini.tier), v, string(gemini.Standard), string(gemini.Flex))
			},
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_PRICES"}, value: "FILE",
			shown: "list prices of " + gemini.DefaultPrices().AsOf,
			doc:   "A JSON file with prices of your own, in USD per million tokens: {\"as_of\": \"2026-11-23\", \"models\": [{\"prefix\": \"gemini-2.5-flash\", \"input\": 0.3, \"cached\": 0.03, \"output\": 2.5}]}. Its rows replace the built-in ones with the same prefix; from adds a first day of validity, and without cached there is no discount for cached input.",
			set:   setPrices,
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_RECORD"}, value: "DIR", shown: "none",
			doc: "An existing folder in which answers of the real Gemini service are kept, redacted and without keys and project, for EVALFORGE_REPLAY.",
			set: func(c *config, v string) error { c.gemini.record = v; return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_REPLAY"}, value: "DIR", shown: "none",
			doc: "A folder of recorded answers that Gemini is played from, without network or key. What was not recorded fails.",
			set: func(c *config, v string) error { c.gemini.replay = v; return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"GOOGLE_API_KEY", "GEMINI_API_KEY"}, value: "KEY", secret: true,
			shown: "none",
			doc:   "Key of the Gemini API. With a key, and without GOOGLE_GENAI_USE_VERTEXAI, the Gemini API is used.",
			set:   func(c *config, v string) error { c.gemini.apiKey = newSecret(v); return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"GOOGLE_GENAI_USE_VERTEXAI"}, value: "true|false",
			shown: "true if GOOGLE_CLOUD_PROJECT is set and no key is",
			doc:   "Whether Gemini is asked through Vertex AI, with the credentials of the environment.",
			set: func(c *config, v string) error {
				b, err := parseBool(v)
				c.gemini.useVertexAI = &b
				return err
			},
		},
		{
			group: groupAnalyzer, vars: []string{"GOOGLE_CLOUD_PROJECT"}, value: "PROJECT",
			shown: "none",
			doc:   "The Google Cloud project that Vertex AI is used in. It never chooses a store, but is the project of the store firestore:.",
			set:   func(c *config, v string) error { c.gemini.project = v; return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"VERTEX_AI_LOCATION"}, value: "LOCATION", def: gemini.DefaultLocation,
			doc: "The Vertex AI location. The newer models are served at global first.",
			set: func(c *config, v string) error { c.gemini.location = v; return nil },
		},
		{
			group: groupAnalyzer, vars: []string{"GEMINI_TEMPERATURE"}, value: "NUMBER",
			def: strconv.FormatFloat(gemini.DefaultTemperature, 'g', -1, 64),
			doc: "Sampling temperature, 0 to 2. It is not sent to models that do not take it.",
			set: func(c *config, v string) error {
				f, err := parseFloat(v, 0, 2)
				c.gemini.temperature = &f
				return err
			},
		},
		{
			group: groupAnalyzer, vars: []string{"GEMINI_MAX_OUTPUT_TOKENS"}, value: "N",
			def: strconv.Itoa(gemini.DefaultMaxOutputTokens),
			doc: "The most tokens an answer may have, 1 to 65536. For models that cannot stop thinking, room for thoughts is added.",
			set: func(c *config, v string) error { return setInt(&c.gemini.maxOutputTokens, v, 1, 65536) },
		},
		{
			group: groupAnalyzer, vars: []string{"GOOGLE_GEMINI_BASE_URL"}, value: "URL",
			shown: "Google's",
			doc:   "Another address of the Gemini API: a proxy or a gateway.",
			set:   func(c *config, v string) error { return setURL(&c.gemini.geminiURL, v) },
		},
		{
			group: groupAnalyzer, vars: []string{"GOOGLE_VERTEX_BASE_URL"}, value: "URL",
			shown: "Google's",
			doc:   "Another address of Vertex AI: a proxy or a gateway.",
			set:   func(c *config, v string) error { return setURL(&c.gemini.vertexURL, v) },
		},
		{
			group: groupAnalyzer, vars: []string{"EVALFORGE_TRACE_BUDGET_BYTES"}, value: "N",
			def: strconv.Itoa(extract.DefaultBudget),
			doc: fmt.Sprintf("How many bytes of a trace an analyzer is sent at most, 1024 to %d.", trace.MaxBytes),
			set: func(c *config, v string) error { return setInt(&c.budget, v, 1024, trace.MaxBytes) },
		},
		{
			group: groupRun, flag: "batch", vars: []string{"BATCH_SIZE"}, value: "N",
			def: strconv.Itoa(extract.DefaultBatchSize),
			doc: fmt.Sprintf("How many traces a run picks up at most, 1 to %d.", extract.MaxBatchSize),
			set: func(c *config, v string) error { return setInt(&c.engine.BatchSize, v, 1, extract.MaxBatchSize) },
		},
		{
			group: groupPace, flag: "concurrency", vars: []string{"EVALFORGE_CONCURRENCY"}, value: "N", def: "1",
			doc: "How many traces are worked on at once, 1 to 64.",
			set: func(c *config, v string) error { return setInt(&c.engine.Concurrency, v, 1, 64) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_REQUESTS_PER_MINUTE"}, value: "N", shown: "no limit",
			doc: "How many calls of the model are made per minute at most, by this process: its share of the quota. They are spread evenly. A quota that is not set is learned from refusals.",
			set: func(c *config, v string) error { return setInt(&c.pace.RequestsPerMinute, v, 1, 1_000_000) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_TOKENS_PER_MINUTE"}, value: "N", shown: "no limit",
			doc: "How many tokens of prompts are sent per minute at most, by this process: its share of the quota.",
			set: func(c *config, v string) error { return setInt(&c.pace.TokensPerMinute, v, 1000, 1_000_000_000) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_RUN_BUDGET_USD"}, value: "USD", shown: "no limit",
			doc: "What one run, or one evaluation, may spend on calls of a model. A run that has no room for the next call, at its worst case, ends early; what is left waits for the next run.",
			set: func(c *config, v string) error { return setMoney(&c.engine.Budgets.Run, v) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_DAILY_BUDGET_USD"}, value: "USD", shown: "no limit",
			doc: "What all runs and evaluations on one store together may spend in a day (UTC).",
			set: func(c *config, v string) error { return setMoney(&c.engine.Budgets.Day, v) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_RUN_BUDGET_TOKENS"}, value: "N", shown: "no limit",
			doc: "How many tokens, in and out, one run or evaluation may use.",
			set: func(c *config, v string) error { return setTokens(&c.engine.Budgets.Run, v) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_DAILY_BUDGET_TOKENS"}, value: "N", shown: "no limit",
			doc: "How many tokens, in and out, all runs and evaluations on one store together may use in a day (UTC).",
			set: func(c *config, v string) error { return setTokens(&c.engine.Budgets.Day, v) },
		},
		{
			group: groupPace, vars: []string{"EVALFORGE_REUSE"}, value: "true|false", def: "true",
			doc: "Whether answers of a model are kept and used again: after a crash, and for copies of one failure that differ only in ids, times and the like. Such a pattern says in provenance.derived_from which trace was analyzed.",
			set: func(c *config, v string) (err error) { c.reuse, err = parseBool(v); return err },
		},
		{
			group: groupPace, vars: []string{"PER_TRACE_TIMEOUT_SEC"}, value: "SECONDS",
			def: strconv.Itoa(int(extract.DefaultTraceTimeout / time.Second)),
			doc: "How long the analysis of one trace may take, with all attempts, up to 3600 seconds. Waiting for a turn within quotas is not counted.",
			set: func(c *config, v string) error {
				f, err := parseFloat(v, 0.1, 3600)
				c.engine.TraceTimeout = time.Duration(f * float64(time.Second))
				return err
			},
		},
		{
			group: groupRun, vars: []string{"EVALFORGE_MAX_ATTEMPTS"}, value: "N",
			def: strconv.Itoa(extract.DefaultMaxAttempts),
			doc: "After how many failed runs a trace is quarantined, 1 to 100.",
			set: func(c *config, v string) error { return setInt(&c.engine.MaxAttempts, v, 1, 100) },
		},
		{
			group: groupRun, vars: []string{"EVALFORGE_RETRY_BACKOFF"}, value: "DURATION",
			def: extract.DefaultBackoff.String(),
			doc: "How long a trace waits after its first failed run, such as 90s or 5m; it doubles with each failure, up to an hour. 0 is no wait.",
			set: setBackoff,
		},
		{
			group: groupService, vars: []string{"EVALFORGE_SOURCE_URLS"}, value: "JSON", shown: "none",
			doc: `Where traces can be looked at in the systems they come from, as a JSON object of addresses with {trace_id} and, where it helps, {span_id} in them: {"langfuse": "https://cloud.langfuse.com/project/P/traces/{trace_id}"}. Systems are datadog, langfuse, langsmith, phoenix, and other for all the rest. Pages link to them.`,
			set: func(c *config, v string) (err error) { c.service.sources, err = pages.ParseSources(v); return err },
		},
		{
			group: groupRedaction, vars: []string{"EVALFORGE_REDACTION_KEY"}, value: "KEY", secret: true,
			shown: "the store's own random key",
			doc:   fmt.Sprintf("The key that placeholders such as [REDACTED:EMAIL:3f9a] are derived from: at least %d hex digits, or a text of at least %d bytes. Equal values get equal placeholders under one key.", 2*minKeyBytes, minKeyBytes),
			set:   setRedactionKey,
		},
		{
			group: groupRedaction, vars: []string{"EVALFORGE_REDACTION_RULES"}, value: "FILE",
			shown: "none",
			doc:   "A JSON file with rules and names of keys of your own, described in docs/security.md. It is checked before anything else is done.",
			set:   setRedactionRules,
		},
		{
			group: groupRedaction, vars: []string{"EVALFORGE_PHONE_REGIONS"}, value: "CC,CC",
			shown: "none",
			doc:   "Countries whose national phone numbers are recognised without a country code, such as DE,GB. International and North American numbers always are.",
			set:   setPhoneRegions,
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_AUTH"}, value: "MODE",
			shown: "none; on Cloud Run iam",
			doc:   "Who checks callers of the service, as docs/security.md explains: iam (Cloud Run), oidc (the service verifies ID tokens), iap (it verifies the header of Identity-Aware Proxy), or none (only on a loopback address).",
			set:   func(c *config, v string) (err error) { c.access.mode, err = auth.ParseMode(v); return err },
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_AUDIENCE"}, value: "AUD,AUD", shown: "none",
			doc: "What tokens must be made out for: with oidc the service's URL, with iap the audience that its page shows. One of several is enough.",
			set: func(c *config, v string) error { c.access.audiences = fieldsOf(v); return nil },
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_ISSUER"}, value: "URL", shown: "Google",
			doc: "Whose ID tokens oidc accepts.",
			set: func(c *config, v string) error { return setURL(&c.access.issuer, v) },
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_JWKS_URL"}, value: "URL", shown: "Google's",
			doc: "Where the issuer publishes its keys. Another issuer than Google needs it.",
			set: func(c *config, v string) error { return setURL(&c.access.keysURL, v) },
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_INVOKERS"}, value: "WHO,WHO", shown: "nobody; with iam, as long as nobody has any role, everybody whom Cloud Run lets in",
			doc: "Who may start runs: e-mail addresses, @DOMAIN, sub:SUBJECT, or * for everybody who is authenticated. The scheduler's service account is one.",
			set: setRole(route.Invoker),
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_VIEWERS"}, value: "WHO,WHO", shown: "nobody",
			doc: "Who may read patterns, runs and errors.",
			set: setRole(route.Viewer),
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_OPERATORS"}, value: "WHO,WHO", shown: "nobody",
			doc: "Who may read, retry, extract again and import.",
			set: setRole(route.Operator),
		},
		{
			group: groupAccess, vars: []string{"EVALFORGE_SENDERS"}, value: "WHO,WHO", shown: "nobody",
			doc: "Who may deliver traces over OTLP.",
			set: setRole(route.Sender),
		},
		{
			group: groupService, flag: "addr", vars: []string{"EVALFORGE_ADDR"}, value: "HOST:PORT",
			shown: "127.0.0.1:8080, only for this machine; on Cloud Run all addresses",
			doc:   "Where the service listens. Port 0 takes a free one, which is printed.",
			set:   setAddr,
		},
		{
			group: groupService, vars: []string{"PORT"}, value: "PORT", def: "8080",
			doc: "The port to listen on, where -addr does not say.",
			set: func(c *config, v string) error { return setInt(&c.service.port, v, 0, 65535) },
		},
		{
			group: groupService, flag: "every", vars: []string{"EVALFORGE_EVERY"}, value: "DURATION",
			shown: "never: runs are started by requests",
			doc:   "Makes a run at once and then one this often, such as 30m, where nothing else calls the service on a schedule. These runs never overlap each other. From 1s to 24h.",
			set:   func(c *config, v string) error { return setDuration(&c.service.every, v, time.Second, 24*time.Hour) },
		},
		{
			group: groupService, vars: []string{"EVALFORGE_REQUEST_TIMEOUT"}, value: "DURATION", def: server.DefaultRunTimeout.String(),
			doc: "How long a request that makes a run may take. The run stops claiming traces early enough to be answered in this time. Set it to the request timeout of the Cloud Run service, or to the scheduler's attempt deadline if that is shorter. From 10s to 1h.",
			set: func(c *config, v string) error {
				return setDuration(&c.service.requestTimeout, v, 10*time.Second, time.Hour)
			},
		},
		{
			group: groupService, vars: []string{"EVALFORGE_OTLP_KEEP"}, value: "failed|all", def: "failed",
			doc: "Which traces that are received over OTLP are stored: those that failed, by an error status or a deciding signal, or all.",
			set: func(c *config, v string) error { return setOneOf(&c.service.otlpKeep, v, "failed", "all") },
		},
		{
			group: groupTelemetry, vars: []string{"OTEL_EXPORTER_OTLP_ENDPOINT"}, value: "URL", shown: "none",
			doc: "Where OpenTelemetry traces and metrics are sent, such as http://localhost:4318. The other variables of OpenTelemetry's exporters and SDK work as well.",
			set: func(c *config, v string) error { return setURL(&c.telemetry.endpoint, v) },
		},
		{
			group: groupTelemetry, vars: []string{"OTEL_EXPORTER_OTLP_HEADERS"}, value: "NAME=VALUE,…", shown: "none", secret: true,
			doc: "Headers that are sent with them, such as a key of the receiver.",
			set: func(c *config, v string) error { c.telemetry.headers = newSecret(v); return nil },
		},
		{
			group: groupGeneral, flag: "log-level", vars: []string{"EVALFORGE_LOG_LEVEL"}, value: "LEVEL",
			def: "warn", cloudDef: "info",
			doc: "What is logged to stderr: debug, info, warn, error. A service that logs JSON logs from info.",
			set: func(c *config, v string) error {
				if err := c.logLevel.UnmarshalText([]byte(v)); err != nil {
					return fmt.Errorf("must be debug, info, warn or error")
				}
				return nil
			},
		},
		{
			group: groupGeneral, vars: []string{"EVALFORGE_LOG_FORMAT"}, value: "FORMAT", def: "auto",
			doc: "How logs are written: json, as Cloud Logging reads them, or text. auto is json on Cloud Run, and for a service whose stderr is no terminal.",
			set: func(c *config, v string) error { return setOneOf(&c.logFormat, v, "auto", "json", "text") },
		},
		{
			group: groupGeneral, vars: []string{"NO_COLOR"}, value: "1", shown: "none",
			doc: "Any value turns colour off. Without a terminal there is none anyway.",
			set: func(*config, string) error { return nil }, // read by the terminal, for errors before settings too
		},
	}
}

// settingsOf returns the settings of the given groups and the general ones, in the
// order of the table.
func settingsOf(uses []group) []setting {
	return slices.DeleteFunc(settings(), func(s setting) bool {
		return s.group != groupGeneral && !slices.Contains(uses, s.group)
	})
}
