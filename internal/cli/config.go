package cli

import (
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/server/pages"
)

// A config is what the settings of one call come to.
type config struct {
	cloudRun bool // running as a Cloud Run service or job
	logLevel slog.Level
	store    storeSpec
	analyzer string // "rules" or "gemini"

	firestore firestoreConfig
	gemini    geminiConfig
	engine    extract.Options
	reuse     bool        // keep answers, and use them again
	pace      pace.Limits // without the concurrency, which is the engine's
	access    accessConfig
	budget    int // bytes of a trace that an analyzer is sent

	redactionKey   []byte // nil: the store's
	redactionRules *redact.Rules
	phoneRegions   []string

	service   serviceConfig
	logFormat string // "auto", "json" or "text"
	telemetry telemetryConfig
	// given lists the settings that a flag or a variable set, for doctor to show.
	given []givenSetting
}

// A firestoreConfig says which documents a Firestore store works on, where the store's
// own name does not.
type firestoreConfig struct{ database, prefix string }

// A geminiConfig says which model to ask, and how to reach it.
type geminiConfig struct {
	project, location string
	model             string
	temperature       *float64 // nil: the model family's
	maxOutputTokens   int      // 0: the model family's
	successors        []string
	tier              gemini.Tier
	prices            *gemini.Prices // nil: the built-in table
	record, replay    string         // folders of recorded answers, or ""
	apiKey            secret
	useVertexAI       *bool // nil: follows from the other settings
	geminiURL         string
	vertexURL         string
}

// A serviceConfig says where "evalforge serve" is reached, and what bounds it.
type serviceConfig struct {
	addr           string // host:port, or "": follows from port and where it runs
	port           int
	every          time.Duration // 0: no schedule of its own
	requestTimeout time.Duration
	otlpKeep       string // which received traces are stored: failed or all
	sources        pages.Sources
}

// A givenSetting is a setting that has not its default.
type givenSetting struct {
	source string // flag or variable
	value  string // as given, or <secret>
}

// resolve reads the settings of the given groups from the flags given and from the
// environment.
func resolve(uses []group, flags map[string]string, getenv func(string) string) (*config, error) {
	c := &config{cloudRun: onCloudRun(getenv)}
	for _, s := range settingsOf(uses) {
		source, value := s.find(flags, getenv)
		if source != "" {
			c.given = append(c.given, givenSetting{source, s.showable(value)})
		} else if value = s.def; c.cloudRun && s.cloudDef != "" {
			value = s.cloudDef
		}
		if value == "" {
			continue
		}
		if err := s.set(c, value); err != nil {
			if source == "" {
				source = "default of " + s.name()
			}
			return nil, usagef("", "%s: %q %w", source, s.showable(value), err)
		}
	}
	c.store = c.store.complete(getenv("GOOGLE_CLOUD_PROJECT"), c.firestore.database)
	return c, nil
}

// onCloudRun reports whether this is a service or a job of Cloud Run.
func onCloudRun(getenv func(string) string) bool {
	return getenv("K_SERVICE") != "" || getenv("CLOUD_RUN_JOB") != ""
}

// find returns the flag or variable that sets s, with its value; "" when none does.
func (s *setting) find(flags map[string]string, getenv func(string) string) (source, value string) {
	if v, ok := flags[s.flag]; ok && s.flag != "" {
		return "-" + s.flag, v
	}
	for _, name := range s.vars {
		if v := strings.TrimSpace(getenv(name)); v != "" {
			return name, v
		}
	}
	return "", ""
}

// showable returns value as it may be printed: an address without its password, a
// secret not at all.
func (s *setting) showable(value string) string {
	switch u, err := url.Parse(value); {
	case s.secret:
		return secretText
	case !strings.Contains(value, "@"):
		return value
	case err != nil:
		return secretText
	default:
		return u.Redacted()
	}
}

func (s *setting) name() string {
	if s.flag != "" {
		return "-" + s.flag
	}
	return s.vars[0]
}
