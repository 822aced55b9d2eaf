package firestore

import (
	"os"
	"testing"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/firestore/emulatortest"
	"github.com/evalforge/evalforge/internal/store/storetest"
)

var emulator emulatortest.Emulator

func TestMain(m *testing.M) {
	if worker() {
		return
	}
	os.Exit(emulator.Main(m))
}

// dial connects to the emulator, with whatever stands in between.
func dial(t testing.TB, o ...grpc.DialOption) option.ClientOption {
	t.Helper()
	conn, err := grpc.NewClient(emulator.Host(t), append(o, checkingIndexes(t), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return option.WithGRPCConn(conn)
}

// open opens a store in a project of the emulator.
func open(t testing.TB, project string, o ...grpc.DialOption) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{Project: project, Client: []option.ClientOption{dial(t, o...)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// ingest writes a raw document as the ingestion service does.
func ingest(t testing.TB, db *DB, tr evalforge.RawTrace) {
	t.Helper()
	tr.Processed, tr.ProcessedAt = false, nil
	fields, err := document(tr, "quality_score")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.raw(tr.TraceID).Set(t.Context(), fields); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T)     { storetest.Run(t, harness()) }
func TestHistories(t *testing.T) { storetest.RunHistories(t, harness()) }

func harness() storetest.Harness {
	return storetest.Harness{
		Open:   func(t *testing.T) extract.Store { return open(t, emulator.Project()) },
		Ingest: func(t *testing.T, s extract.Store, tr evalforge.RawTrace) { ingest(t, s.(*DB), tr) },
		Remove: func(t *testing.T, s extract.Store, id string) {
			if _, err := s.(*DB).raw(id).Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		Malform: func(t *testing.T, s extract.Store, id string) {
			_, err := s.(*DB).raw(id).Update(t.Context(), []firestore.Update{{Path: "service_name", Value: 17}})
			if err != nil {
				t.Fatal(err)
			}
		},
		Another: func(t *testing.T, s extract.Store) extract.Store { return open(t, s.(*DB).project) },
	}
}
