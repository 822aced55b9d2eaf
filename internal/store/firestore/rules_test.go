package firestore

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge/internal/extract"
)

// TestDeployFile: the Firebase tools find indexes and rules by firebase.json.
func TestDeployFile(t *testing.T) {
	text, err := os.ReadFile("../../../firebase.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Firestore []struct{ Database, Rules, Indexes string }
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Firestore) != 1 || f.Firestore[0].Database != DefaultDatabase || f.Firestore[0].Indexes != "firestore.indexes.json" ||
		f.Firestore[0].Rules != "firestore.rules" {
		t.Errorf("firebase.json: %s", text)
	}
}

// owner is what the emulator takes for a service account, as the client does by itself
// when it finds the emulator's variable.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// TestRulesDenyClients: under the rules that are deployed, nobody reads or writes anything
// without the rights of a service account.
func TestRulesDenyClients(t *testing.T) {
	project := emulator.Project()
	loadRules(t, project)
	db := open(t, project, grpc.WithPerRPCCredentials(owner{}))
	if _, err := db.PutTrace(t.Context(), raw("a", 0)); err != nil {
		t.Fatalf("a service account: %v", err)
	}
	client := open(t, project)
	for what, call := range map[string]func() error{
		"get":   func() error { _, err := client.Trace(t.Context(), "a"); return err },
		"none":  func() error { _, err := client.Pattern(t.Context(), "none"); return err },
		"list":  func() error { _, _, err := client.States(t.Context(), extract.StateQuery{}); return err },
		"count": func() error { _, err := client.Backlog(t.Context(), minute(1)); return err },
		"write": func() error {
			_, err := client.raw("b").Set(t.Context(), map[string]any{"processed": false})
			return err
		},
		"claim": func() error {
			_, err := client.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: minute(1), LeaseUntil: minute(2), NewToken: func() string { return "t" }})
			return err
		},
		"key": func() error { _, err := client.InstallationKey(t.Context()); return err },
	} {
		if err := call(); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s without rights: got %v, want it to be denied", what, err)
		}
	}
}

// loadRules gives a project of the emulator the rules of the repository.
func loadRules(t *testing.T, project string) {
	t.Helper()
	rules, err := os.ReadFile("../../../firestore.rules")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"rules": map[string]any{"files": []any{map[string]any{"name": "firestore.rules", "content": string(rules)}}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+emulator.Host(t)+"/emulator/v1/projects/"+project+":securityRules", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the emulator does not take the rules: %s", resp.Status)
	}
}
