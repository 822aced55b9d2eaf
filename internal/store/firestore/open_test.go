package firestore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
)

// Databases and prefixes keep installations apart, and the emulator's variable is honoured.
func TestDatabasesAndPrefixes(t *testing.T) {
	host, project := emulator.Host(t), emulator.Project()
	t.Setenv("FIRESTORE_EMULATOR_HOST", host)
	stores := map[string]*DB{}
	for name, o := range map[string]Options{
		"default": {}, "named": {Database: "named"}, "prefix": {Prefix: "other_"}, "spelled out": {Database: DefaultDatabase, Prefix: DefaultPrefix},
	} {
		o.Project = project
		db, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		stores[name] = db
	}
	if _, err := stores["default"].PutTrace(t.Context(), raw("a", 0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"default": 1, "spelled out": 1, "named": 0, "prefix": 0} {
		b, err := stores[name].Backlog(t.Context(), minute(1))
		if err != nil || b.Pending != want {
			t.Errorf("%s: %d pending and error %v, want %d", name, b.Pending, err, want)
		}
	}
	if got, want := stores["named"].String(), "firestore:"+project+"/named"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, o := range []Options{{Project: "a/b"}, {Project: "p", Database: "a b"}, {Project: "p", Prefix: "a/b"}, {Project: "p", Prefix: "__a"}} {
		if db, err := Open(t.Context(), o); err == nil {
			t.Errorf("%+v: opened %s, want an error", o, db)
		}
	}
}

// A backend that does not answer is an error at the caller's deadline, not a wait without
// end.
func TestUnreachable(t *testing.T) {
	db := offline(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := db.Claim(ctx, extract.ClaimRequest{RunID: "r", Limit: 1, Now: minute(0), LeaseUntil: minute(1), NewToken: func() string { return "t" }})
	if err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("got error %v after %v", err, time.Since(start))
	}
	if _, err := db.Trace(ctx, "a"); err == nil || !strings.Contains(err.Error(), "raw_traces/a") {
		t.Errorf("got error %v, want one that names the document", err)
	}
}

// The key and the search position are no states, and no trace can have their names.
func TestBookkeepingIsOutOfTheWay(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	if _, err := db.InstallationKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutTrace(t.Context(), raw("-", 0)); err != nil { // the name of the folder above them
		t.Fatal(err)
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 9, Now: minute(0), LeaseUntil: minute(1), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != 1 {
		t.Errorf("got %d claims and error %v, want 1", len(claims), err)
	}
	list, _, err := db.States(t.Context(), extract.StateQuery{})
	if err != nil || len(list) != 1 {
		t.Errorf("got %d states and error %v, want 1", len(list), err)
	}
	again, err := open(t, project).InstallationKey(t.Context())
	if key, kerr := db.InstallationKey(t.Context()); err != nil || kerr != nil || string(again) != string(key) {
		t.Errorf("the key differs from one handle to the next: %v, %v", err, kerr)
	}
}
