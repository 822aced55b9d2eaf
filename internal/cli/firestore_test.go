package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge/internal/store/firestore"
)

// The project and the database come from the store's name, then from their variables;
// the numbers of a Cloud Run task only say where it starts to look.
func TestFirestoreOptions(t *testing.T) {
	for _, tt := range []struct {
		name, store string
		env         map[string]string
		want        firestore.Options
		wantName    string
	}{
		{"all named", "firestore:p/d", map[string]string{"GOOGLE_CLOUD_PROJECT": "other", "FIRESTORE_DATABASE_ID": "other"},
			firestore.Options{Project: "p", Database: "d", Prefix: "evalforge_"}, "firestore:p/d"},
		{"from the environment", "firestore:", map[string]string{"GOOGLE_CLOUD_PROJECT": "p", "FIRESTORE_DATABASE_ID": "d", "FIRESTORE_COLLECTION_PREFIX": "x_"},
			firestore.Options{Project: "p", Database: "d", Prefix: "x_"}, "firestore:p/d"},
		{"defaults", "firestore:p", nil,
			firestore.Options{Project: "p", Database: "(default)", Prefix: "evalforge_"}, "firestore:p/(default)"},
		{"project of the credentials", "firestore:", nil,
			firestore.Options{Database: "(default)", Prefix: "evalforge_"}, "firestore:"},
		{"a task of a job", "firestore:p", map[string]string{"CLOUD_RUN_TASK_INDEX": "3", "CLOUD_RUN_TASK_COUNT": "8"},
			firestore.Options{Project: "p", Database: "(default)", Prefix: "evalforge_", Task: 3, Tasks: 8}, "firestore:p/(default)"},
		{"odd task numbers", "firestore:p", map[string]string{"CLOUD_RUN_TASK_INDEX": "x", "CLOUD_RUN_TASK_COUNT": "8"},
			firestore.Options{Project: "p", Database: "(default)", Prefix: "evalforge_"}, "firestore:p/(default)"},
	} {
		getenv := func(name string) string { return tt.env[name] }
		cfg, err := resolve([]group{groupStore}, map[string]string{"store": tt.store}, getenv)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		c := &call{cfg: cfg}
		c.Getenv = getenv
		if d := cmp.Diff(tt.want, c.firestoreOptions(cfg.store)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if got := cfg.store.String(); got != tt.wantName {
			t.Errorf("%s: the store is called %s, want %s", tt.name, got, tt.wantName)
		}
	}
	if _, err := resolve([]group{groupStore}, map[string]string{"store": "firestore:a/b/c"}, func(string) string { return "" }); err == nil {
		t.Error("firestore:a/b/c is taken")
	}
}
