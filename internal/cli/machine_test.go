package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// On Cloud Run every line of stderr is an entry of the log, errors and their remedies
// with them, whenever in the life of the program they come.
func TestMachinesReadEveryLine(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		vars       map[string]string
		args       []string
	}{
		{"a setting that is not allowed", "BATCH_SIZE", map[string]string{"BATCH_SIZE": "many"}, []string{"run"}},
		{"no such command", "unknown command", nil, []string{"rnu"}},
		{"a secret that cannot be read", "check that it is mounted", map[string]string{"EVALFORGE_REDACTION_KEY": "file:///no/such/file"}, []string{"run"}},
		{"no store", "there is no such file", map[string]string{"EVALFORGE_STORE": "sqlite:no/such.db"}, []string{"run"}},
		{"a run", "store mem:", map[string]string{"EVALFORGE_STORE": "mem:"}, []string{"run"}},
		{"a service that would be open", "everybody on the internet", map[string]string{"EVALFORGE_STORE": "mem:", "EVALFORGE_AUTH": "none"}, []string{"serve"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vars := map[string]string{"CLOUD_RUN_JOB": "evalforge", "EVALFORGE_ANALYZER": "rules"}
			for k, v := range tt.vars {
				vars[k] = v
			}
			var out, errs bytes.Buffer
			status := Main(context.Background(), tt.args, Env{Getenv: getenv(vars), Stdout: &out, Stderr: &errs, Now: time.Now})
			severity := ""
			for _, line := range strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n") {
				var l struct{ Severity, Message string }
				if err := json.Unmarshal([]byte(line), &l); err != nil || l.Message == "" {
					t.Errorf("no entry: %q, %v", line, err)
				}
				severity = l.Severity
			}
			if !strings.Contains(errs.String(), tt.want) {
				t.Errorf("it does not say %q:\n%s", tt.want, &errs)
			}
			if (status == statusFailed) != (severity == "ERROR") {
				t.Errorf("exit status %d, last severity %s\n%s", status, severity, &errs)
			}
		})
	}
}
