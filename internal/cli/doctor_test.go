package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/crc32"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	serverproblem "github.com/evalforge/evalforge/internal/server/problem"
)

// examine runs doctor with an environment and returns its checks, all that it printed,
// and its exit status.
func examine(t *testing.T, vars map[string]string, manager []option.ClientOption, args ...string) (checks []check, printed string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = Main(context.Background(), append([]string{"doctor", "-o", "json"}, args...), Env{
		Getenv: getenv(vars), Stdout: &out, Stderr: &errs, Now: time.Now, SecretManager: manager,
	})
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &checks); err != nil {
			t.Fatalf("%v in\n%s", err, &out)
		}
	}
	return checks, out.String() + errs.String(), exit
}

// has checks that there is a check of a name and a status whose detail or remedy has words.
func has(t *testing.T, checks []check, name, status, words string) {
	t.Helper()
	for _, k := range checks {
		if k.Name == name && k.Status == status && strings.Contains(k.Detail+" "+k.Remedy, words) {
			if status != checkOK && k.Remedy == "" {
				t.Errorf("%s: %q has no remedy", name, k.Detail)
			}
			return
		}
	}
	t.Errorf("no check %s is %s with %q:\n%v", name, status, words, checks)
}

// The settings of a deployed service are checked from a laptop as they are there.
func TestDoctorChecksACloudRunService(t *testing.T) {
	store := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	on := map[string]string{"K_SERVICE": "evalforge", "K_REVISION": "evalforge-00001", "EVALFORGE_STORE": store, "EVALFORGE_ANALYZER": "rules"}
	checks, printed, exit := examine(t, on, nil)
	if exit != statusDone {
		t.Fatalf("exit status %d\n%s", exit, printed)
	}
	has(t, checks, "cloud run", checkOK, "service evalforge, revision evalforge-00001")
	has(t, checks, "cloud run", checkWarn, "is gone when the instance ends")
	has(t, checks, "cloud run", checkWarn, "GOOGLE_CLOUD_PROJECT")
	has(t, checks, "cloud run", checkWarn, "EVALFORGE_REQUEST_TIMEOUT")
	has(t, checks, "access", checkOK, "iam: invoker *")
	has(t, checks, "access", checkWarn, "nobody may read")

	on["EVALFORGE_EVERY"], on["EVALFORGE_INVOKERS"], on["GOOGLE_CLOUD_PROJECT"] = "30m", "s@p.iam.gserviceaccount.com", "p"
	on["EVALFORGE_REQUEST_TIMEOUT"], on["EVALFORGE_VIEWERS"] = "15m", "@example.com"
	checks, _, _ = examine(t, on, nil)
	has(t, checks, "cloud run", checkWarn, "EVALFORGE_EVERY")
	has(t, checks, "access", checkOK, "iam: invoker s@p.iam.gserviceaccount.com; viewer @example.com")

	on["EVALFORGE_AUTH"] = "none"
	checks, printed, exit = examine(t, on, nil)
	has(t, checks, "access", checkFail, "everybody on the internet")
	if exit != statusFailed {
		t.Errorf("exit status %d\n%s", exit, printed)
	}

	delete(on, "K_SERVICE")
	on["EVALFORGE_AUTH"] = "iam"
	checks, _, _ = examine(t, on, nil)
	has(t, checks, "access", checkOK, "as on Cloud Run")
}

func TestDoctorChecksBudgets(t *testing.T) {
	srv := geminitest.NewServer(t, geminitest.Well())
	vars := map[string]string{
		"EVALFORGE_STORE": "mem:", "EVALFORGE_ANALYZER": "gemini", "GOOGLE_GEMINI_BASE_URL": srv.URL,
		"GEMINI_API_KEY": "AIzaSy" + "DoctorDoctorDoctorDoctorDoctor123",
	}
	checks, _, _ := examine(t, vars, nil)
	has(t, checks, "budget", checkWarn, "EVALFORGE_DAILY_BUDGET_USD")
	vars["EVALFORGE_RUN_BUDGET_USD"], vars["EVALFORGE_DAILY_BUDGET_USD"] = "0.5", "4"
	checks, _, _ = examine(t, vars, nil)
	has(t, checks, "budget", checkOK, "$0.5 per run, $4 per day")
	vars["EVALFORGE_RUN_BUDGET_USD"] = "5"
	checks, _, _ = examine(t, vars, nil)
	has(t, checks, "budget", checkWarn, "a run may spend $5, but a day only $4")
}

// A vault is a server of the Secret Manager API with one secret.
type vault struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	value string
}

const vaultName = "projects/p/secrets/gemini/versions/3"

func (v vault) AccessSecretVersion(_ context.Context, r *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	if r.Name != vaultName {
		return nil, status.Error(codes.PermissionDenied, "Permission 'secretmanager.versions.access' denied.")
	}
	sum := crc32c(v.value)
	return &secretmanagerpb.AccessSecretVersionResponse{Payload: &secretmanagerpb.SecretPayload{Data: []byte(v.value), DataCrc32C: &sum}}, nil
}

func (v vault) serve(t *testing.T) []option.ClientOption {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	secretmanagerpb.RegisterSecretManagerServiceServer(srv, v)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	return []option.ClientOption{
		option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// A secret setting may be kept in Secret Manager or in a file. Its value is used, and
// printed nowhere; one that cannot be read ends every command but doctor, which says why.
func TestSecretsKeptElsewhere(t *testing.T) {
	const key, redactionKey = "AIzaSy" + "VaultVaultVaultVaultVaultVault123", "a-key-that-only-the-file-has"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(redactionKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := geminitest.NewServer(t, geminitest.Well())
	manager := vault{value: key}.serve(t)
	vars := map[string]string{
		"EVALFORGE_STORE": "sqlite:" + filepath.Join(t.TempDir(), "s.db"), "EVALFORGE_ANALYZER": "gemini", "GOOGLE_GEMINI_BASE_URL": srv.URL,
		"GEMINI_API_KEY": "sm://" + vaultName, "EVALFORGE_REDACTION_KEY": "file://" + filepath.ToSlash(file), "EVALFORGE_LOG_LEVEL": "debug",
	}
	checks, printed, exit := examine(t, vars, manager)
	if exit != statusDone {
		t.Fatalf("exit status %d\n%s", exit, printed)
	}
	has(t, checks, "secrets", checkOK, "GEMINI_API_KEY is read from sm://"+vaultName)
	has(t, checks, "secrets", checkOK, "EVALFORGE_REDACTION_KEY is read from file://")
	has(t, checks, "settings", checkOK, "GEMINI_API_KEY=<secret>")
	has(t, checks, "analyzer", checkOK, "answers")
	for _, value := range []string{key, redactionKey} {
		if strings.Contains(printed, value) {
			t.Errorf("a secret is printed:\n%s", printed)
		}
	}

	var out, errs bytes.Buffer
	env := Env{Getenv: getenv(vars), Stdout: &out, Stderr: &errs, Now: time.Now, SecretManager: manager}
	for _, args := range [][]string{{"import", "-"}, {"run"}} {
		env.Stdin = strings.NewReader(`{"trace_id": "own-1", "trace_payload": {"messages": [{"role": "user", "content": "The key is ` + key + `, I think."}]}}`)
		if status := Main(context.Background(), args, env); status == statusFailed {
			t.Fatalf("%v failed:\n%s", args, &errs)
		}
	}
	asked := srv.Requests()
	if len(asked) == 0 || asked[0].Header.Get("X-Goog-Api-Key") != key {
		t.Error("the model was not asked with the key")
	}
	if strings.Contains(out.String()+errs.String(), key) || len(asked) > 0 && strings.Contains(string(asked[0].Body), key) {
		t.Errorf("the key came out:\n%s%s", &out, &errs)
	}

	vars["GEMINI_API_KEY"] = "sm://projects/p/secrets/other/versions/1"
	checks, printed, exit = examine(t, vars, manager)
	has(t, checks, "secrets", checkFail, "roles/secretmanager.secretAccessor")
	if exit != statusFailed {
		t.Errorf("doctor: exit status %d\n%s", exit, printed)
	}
	errs.Reset()
	if status := Main(context.Background(), []string{"run"}, env); status != statusFailed || !strings.Contains(errs.String(), "GEMINI_API_KEY=sm://projects/p/secrets/other/versions/1") {
		t.Errorf("run: exit status %d\n%s", status, &errs)
	}
}

// The deployed service is asked without a token for what needs one.
func TestDoctorAsksTheDeployedService(t *testing.T) {
	frontend := func(code int) http.HandlerFunc { // Google's: no problem document
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", code) }
	}
	ours := func(k serverproblem.Kind) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { serverproblem.Write(w, r, serverproblem.New(k, "")) }
	}
	for _, tt := range []struct {
		name, mode string
		answer     http.HandlerFunc
		want       string // status of the check
		words      string
	}{
		{"iam, Cloud Run refuses", "iam", frontend(403), checkOK, "refuses who has no token (403)"},
		{"iam, open to allUsers", "iam", ours(serverproblem.Unauthenticated), checkFail, "remove-iam-policy-binding"},
		{"oidc", "oidc", ours(serverproblem.Unauthenticated), checkOK, "(401)"},
		{"iap, to the login", "iap", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://accounts.google.com/x", http.StatusFound)
		}, checkOK, "(302)"},
		{"open", "oidc", frontend(200), checkFail, "everybody can read"},
		{"nothing there", "oidc", frontend(404), checkFail, "404"},
		{"down", "oidc", frontend(503), checkFail, "503"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			checks, _, _ := examine(t, map[string]string{
				"EVALFORGE_STORE": "mem:", "EVALFORGE_AUTH": tt.mode, "EVALFORGE_AUDIENCE": srv.URL, "EVALFORGE_VIEWERS": "@example.com",
			}, nil, "-url", srv.URL)
			has(t, checks, "deployed", tt.want, tt.words)
		})
	}
}

// Telemetry is checked where it is sent to.
func TestDoctorChecksTelemetry(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"EVALFORGE_STORE": "mem:", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + l.Addr().String()}
	checks, _, _ := examine(t, vars, nil)
	has(t, checks, "telemetry", checkOK, "exported to http://")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checks, _, _ = examine(t, vars, nil)
	has(t, checks, "telemetry", checkFail, "start the collector")
	vars["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization"
	checks, printed, _ := examine(t, vars, nil)
	has(t, checks, "telemetry", checkFail, "OTEL_EXPORTER_OTLP_HEADERS")
	if !strings.Contains(printed, "OTEL_EXPORTER_OTLP_HEADERS=<secret>") {
		t.Errorf("printed:\n%s", printed)
	}
}

func crc32c(s string) int64 {
	return int64(crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli)))
}

// Each list that firestore.indexes.json has an index for, newest or highest first, is asked for: a missing one is named.
func TestDoctorAsksForEveryListWithAnIndex(t *testing.T) {
	file, err := os.ReadFile("../../firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Indexes []struct {
			Fields []struct{ FieldPath, Order string }
		}
	}
	if err := json.Unmarshal(file, &list); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, ix := range list.Indexes {
		if ix.Fields[len(ix.Fields)-1].Order == "DESCENDING" {
			want++
		}
	}
	c := &call{cfg: new(config)}
	c.cfg.store.scheme = "firestore"
	checks := c.checkIndexes(t.Context(), noIndexes{})
	if len(checks) != 1 || checks[0].Status != checkFail {
		t.Fatalf("got %v, want one failure", checks)
	}
	_, missing, _ := strings.Cut(checks[0].Detail, "for: ")
	if got := len(strings.Split(missing, ", ")); got != want {
		t.Errorf("%d lists are asked for, and %d have an index: %s", got, want, missing)
	}
}

// noIndexes is a database without indexes.
type noIndexes struct{ extract.Store }

var errNoIndex = status.Error(codes.FailedPrecondition, "The query requires an index.")

func (noIndexes) Patterns(context.Context, extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	return nil, "", errNoIndex
}

func (noIndexes) Errors(context.Context, extract.ErrorQuery) ([]evalforge.ExtractionError, string, error) {
	return nil, "", errNoIndex
}

func (noIndexes) States(context.Context, extract.StateQuery) ([]extract.State, string, error) {
	return nil, "", errNoIndex
}
