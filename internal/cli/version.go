package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/redact"
)

// A versionInfo says what this program is, as far as it decides about results.
type versionInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Redaction string `json:"redaction"`
	Prompt    string `json:"promptSha256"`
	Schema    string `json:"schemaSha256"`
}

func thisVersion() versionInfo {
	v := versionInfo{
		Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Redaction: redact.Version, Prompt: prompts.Version(), Schema: evalforge.SchemaSHA256(evalforge.AnalysisSchema()),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	if v.Version == "" {
		v.Version = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

func versionCommand() command {
	return command{
		name: "version", maxArgs: 0,
		short:    "print the version of the program, the prompt and the redaction policy",
		long:     `Prints the version of the program, and of what decides about its results: the prompt, the schema of answers and the redaction policy. Patterns record the same digests.`,
		examples: []string{"evalforge version -o json"},
		formats:  anyFormat(),
		run: func(_ context.Context, c *call) error {
			v := thisVersion()
			if c.format != formatTable {
				return writeJSON(c.term.out, v, c.format)
			}
			fmt.Fprintf(c.term.out, "evalforge %s %s %s\n", v.Version, v.Go, v.Platform)
			fmt.Fprintf(c.term.out, "redaction policy %s, prompt %.12s, schema %.12s\n", v.Redaction, v.Prompt, v.Schema)
			return nil
		},
	}
}
