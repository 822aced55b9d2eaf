// Package deploy_test holds the deployment to the code: what the Terraform module, the
// Dockerfile and the alerts name must exist.
package deploy_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module reads the Terraform module as one block.
func module(t *testing.T) *block {
	t.Helper()
	files, err := filepath.Glob("terraform/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no Terraform files: %v", err)
	}
	all := &block{}
	for _, name := range files {
		b, err := parse(name, read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		all.blocks = append(all.blocks, b.blocks...)
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// one returns the only block of its kind.
func one(t *testing.T, b *block, kind string, labels ...string) *block {
	t.Helper()
	found := b.find(kind, labels...)
	if len(found) != 1 {
		t.Fatalf("%d blocks %s %v; want 1", len(found), kind, labels)
	}
	return found[0]
}

// local returns the expression of a local value.
func local(t *testing.T, m *block, name string) string {
	t.Helper()
	for _, b := range m.find("locals") {
		if expr, ok := b.attrs[name]; ok {
			return expr
		}
	}
	t.Fatalf("there is no local.%s", name)
	return ""
}

func TestEnvironmentNamesAreSettings(t *testing.T) {
	m := module(t)
	known := regexp.MustCompile("`([A-Z][A-Z0-9_]+)`").FindAllString(read(t, "../docs/config.md"), -1)
	name := regexp.MustCompile(`(?m)^\s*([A-Z][A-Z0-9_]+)\s*=`)
	var used int
	for _, l := range []string{"environment", "roles"} {
		for _, match := range name.FindAllStringSubmatch(local(t, m, l), -1) {
			used++
			if !slices.Contains(known, "`"+match[1]+"`") {
				t.Errorf("local.%s sets %s, which docs/config.md does not know", l, match[1])
			}
		}
	}
	if used < 10 {
		t.Errorf("only %d variables were found; is the test blind?", used)
	}
}

func TestIndexesAreTheCodesOwn(t *testing.T) {
	m := module(t)
	if got := local(t, m, "firestore"); !strings.Contains(got, `/../../firestore.indexes.json"`) {
		t.Errorf("local.firestore = %s; want the file that the store's tests check", got)
	}
	var list struct {
		Indexes        []struct{ CollectionGroup, QueryScope string }
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			TTL                        bool
			Indexes                    []any
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../firestore.indexes.json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, ix := range list.Indexes {
		if !strings.HasPrefix(ix.CollectionGroup, "evalforge_") {
			t.Errorf("collection %s has not the prefix that the module replaces", ix.CollectionGroup)
		}
	}
	expiring := map[string]bool{}
	for _, f := range list.FieldOverrides {
		if len(f.Indexes) > 0 {
			t.Errorf("%s.%s has indexes of its own; the module only turns indexing off", f.CollectionGroup, f.FieldPath)
		}
		if f.TTL {
			expiring[f.CollectionGroup] = true
		}
	}
	for _, c := range []string{"evalforge_extraction_runs", "evalforge_extraction_errors"} {
		if !expiring[c] {
			t.Errorf("%s has no expiry", c)
		}
	}
}

// TestDeadlines: whoever waits for a run waits longer than the run may take.
func TestDeadlines(t *testing.T) {
	m := module(t)
	const formula = "min(1740, max(300, var.batch_size * var.per_trace_timeout_sec + 60))"
	if got := local(t, m, "request_timeout"); got != formula {
		t.Fatalf("local.request_timeout = %s; want %s, which this test computes with", got, formula)
	}
	service := one(t, m, "resource", "google_cloud_run_v2_service")
	if got := one(t, service, "template").attrs["timeout"]; got != `"${local.request_timeout}s"` {
		t.Errorf("the service's timeout is %s", got)
	}
	job := one(t, m, "resource", "google_cloud_scheduler_job")
	if got := job.attrs["attempt_deadline"]; !strings.HasPrefix(got, `"${local.request_timeout + 30}s"`) {
		t.Errorf("the scheduler's deadline is %s; want 30 s more than the service's timeout", got)
	}
	batch, each := number(t, m, "batch_size"), number(t, m, "per_trace_timeout_sec")
	if timeout := min(1740, max(300, batch*each+60)); timeout < batch*each || timeout+30 > 1800 {
		t.Errorf("by default a run has %d s for %d traces of %d s each, and the scheduler waits %d s of 1800", timeout, batch, each, timeout+30)
	}
}

func number(t *testing.T, m *block, variable string) int {
	t.Helper()
	n, err := strconv.Atoi(one(t, m, "variable", variable).attrs["default"])
	if err != nil {
		t.Fatalf("variable %s: %v", variable, err)
	}
	return n
}

func TestLeastPrivilege(t *testing.T) {
	m := module(t)
	allowed := []string{
		`"roles/datastore.user"`, `"roles/secretmanager.secretAccessor"`, `"roles/run.invoker"`,
		"google_project_iam_custom_role.ask.id",
	}
	var given int
	for _, r := range m.find("resource") {
		role, ok := r.attrs["role"]
		if !ok {
			continue
		}
		given++
		if !slices.Contains(allowed, role) {
			t.Errorf("%v gives %s", r.labels, role)
		}
		if role == `"roles/datastore.user"` && len(r.find("condition")) == 0 {
			t.Errorf("%v is not limited to one database", r.labels)
		}
		if strings.Contains(r.attrs["member"], "allUsers") || strings.Contains(r.attrs["member"], "allAuthenticatedUsers") {
			t.Errorf("%v is open to everybody", r.labels)
		}
	}
	if given < 4 {
		t.Errorf("only %d roles were found; is the test blind?", given)
	}
	if got := one(t, m, "resource", "google_project_iam_custom_role").attrs["permissions"]; got != `["aiplatform.endpoints.predict"]` {
		t.Errorf("the custom role has %s", got)
	}
}

// TestTheRunbookCanBeFollowed: what docs/operations.md asks people to do, the module lets them do.
func TestTheRunbookCanBeFollowed(t *testing.T) {
	m := module(t)
	// A run by hand, in "Deploy": an operator is not an invoker by itself.
	invokers := regexp.MustCompile(`EVALFORGE_INVOKERS\s*=.*`).FindString(local(t, m, "roles"))
	if !strings.Contains(invokers, "google_service_account.scheduler.email") || !strings.Contains(invokers, "var.operators") {
		t.Errorf("%s; want the scheduler and the operators", invokers)
	}
	// Any setting, in several runbooks; those that the module computes win.
	if env := local(t, m, "environment"); !strings.HasPrefix(env, "merge(var.settings, {") {
		t.Errorf("local.environment = %.40s…; want var.settings beneath the module's own", env)
	}
	// Artifact Registry has REPOSITORY/IMAGE behind the project.
	for _, file := range []string{"../docs/operations.md", "../.ko.yaml"} {
		repo := regexp.MustCompile(`KO_DOCKER_REPO=\S+ ko build --bare`).FindString(read(t, file))
		if !strings.Contains(repo, "/PROJECT/evalforge/evalforge ") {
			t.Errorf("%s: %s; want a repository and an image", file, repo)
		}
	}
}

// TestLogMetricsMatchTheLog: each message and field that an alert counts is logged.
func TestLogMetricsMatchTheLog(t *testing.T) {
	source := goSource(t)
	messages := regexp.MustCompile(`jsonPayload\.message=\\"([^"\\]+)\\"`)
	fields := regexp.MustCompile(`jsonPayload\.(\w+)=`)
	metrics := local(t, module(t), "log_metrics")
	found := messages.FindAllStringSubmatch(metrics, -1)
	if len(found) < 4 {
		t.Fatalf("only %d messages were found; is the test blind?", len(found))
	}
	for _, match := range found {
		if !strings.Contains(source, strconv.Quote(match[1])) {
			t.Errorf("nothing logs %q", match[1])
		}
	}
	for _, match := range fields.FindAllStringSubmatch(metrics, -1) {
		if match[1] != "message" && !strings.Contains(source, strconv.Quote(match[1])) {
			t.Errorf("nothing logs the field %q", match[1])
		}
	}
}

// goSource returns the code of all packages, without tests.
func goSource(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("../internal", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			b.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEveryAlertHasARunbook: the link of each alert leads to a heading.
func TestEveryAlertHasARunbook(t *testing.T) {
	m := module(t)
	headings := map[string]bool{}
	for line := range strings.Lines(read(t, "../docs/operations.md")) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			headings[strings.ReplaceAll(strings.ToLower(text), " ", "-")] = true
		}
	}
	anchor := regexp.MustCompile(`#([a-z-]+)"|anchor\s*=\s*"([a-z-]+)"`)
	var anchors []string
	for _, policy := range m.find("resource", "google_monitoring_alert_policy") {
		doc := one(t, policy, "documentation").attrs["content"]
		if match := anchor.FindStringSubmatch(doc); match != nil {
			anchors = append(anchors, match[1])
		} else if !strings.Contains(doc, "each.value.anchor") {
			t.Errorf("alert %v has no runbook", policy.labels)
		}
	}
	for _, match := range anchor.FindAllStringSubmatch(local(t, m, "log_alerts"), -1) {
		anchors = append(anchors, match[2])
	}
	if len(anchors) < 6 {
		t.Errorf("only %d alerts were found; is the test blind?", len(anchors))
	}
	for _, a := range anchors {
		if !headings[a] {
			t.Errorf("docs/operations.md has no heading for #%s", a)
		}
	}
}

// TestEveryVariableSaysWhatItIs, with its type.
func TestEveryVariableSaysWhatItIs(t *testing.T) {
	m := module(t)
	text := ""
	files, _ := filepath.Glob("terraform/*.tf")
	for _, name := range files {
		text += read(t, name)
	}
	for _, v := range m.find("variable") {
		if v.attrs["description"] == "" || v.attrs["type"] == "" {
			t.Errorf("variable %v has no description or no type", v.labels)
		}
		if !strings.Contains(text, "var."+v.labels[0]) {
			t.Errorf("variable %v is used nowhere", v.labels)
		}
	}
	for _, match := range regexp.MustCompile(`\bvar\.(\w+)`).FindAllStringSubmatch(text, -1) {
		if len(m.find("variable", match[1])) != 1 {
			t.Errorf("var.%s is not declared", match[1])
		}
	}
	for _, match := range regexp.MustCompile(`\b(google_\w+)\.(\w+)`).FindAllStringSubmatch(text, -1) {
		if len(m.find("resource", match[1], match[2])) != 1 && len(m.find("data", match[1], match[2])) != 1 {
			t.Errorf("%s is not declared", match[0])
		}
	}
}

func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	for _, want := range []string{"CGO_ENABLED=0", "distroless/static", "USER nonroot", `ENTRYPOINT ["/evalforge"]`, `CMD ["serve"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	mod := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if mod == nil || !strings.Contains(text, "golang:"+mod[1]) {
		t.Errorf("the Dockerfile does not build with Go %v", mod)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"open block":  "resource \"a\" \"b\" {\n  x = 1\n",
		"open string": "x = \"abc",
		"no name":     "= 1",
		"cut off":     "resource \"a\"",
	} {
		if b, err := parse(name, text); err == nil {
			t.Errorf("%s: parsed as %+v", name, b)
		}
	}
}

// TestPathsExist: what the scheduler, the probes and the uptime check ask for is a route,
// as the API's description has it, which a test holds to the handlers.
func TestPathsExist(t *testing.T) {
	m := module(t)
	api := read(t, "../internal/server/openapi.yaml")
	has := func(path, method string) bool {
		_, after, ok := strings.Cut(api, "\n  "+path+":\n")
		if end := regexp.MustCompile(`\n  \S`).FindStringIndex(after); end != nil {
			after = after[:end[0]]
		}
		return ok && strings.Contains("\n"+after, "\n    "+method+":")
	}
	uri := one(t, one(t, m, "resource", "google_cloud_scheduler_job"), "http_target").attrs["uri"]
	_, path, _ := strings.Cut(strings.Trim(uri, `"`), "}")
	if !has(path, "post") {
		t.Errorf("the scheduler posts to %q, which the API does not have", path)
	}
	var probes int
	for _, kind := range []string{"http_get", "http_check"} {
		for _, b := range m.find(kind) {
			probes++
			if path := strings.Trim(b.attrs["path"], `"`); !has(path, "get") {
				t.Errorf("%s asks for %q, which the API does not have", kind, path)
			}
		}
	}
	if probes < 3 {
		t.Errorf("only %d probes were found; is the test blind?", probes)
	}
}
