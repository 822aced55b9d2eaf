package pages_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/server/pages"
	"github.com/evalforge/evalforge/internal/server/runner"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// BenchmarkPages asks a SQLite store of 100,000 patterns for the pages that people wait for. Lists and one
// pattern must be answered in less than 50 milliseconds.
func BenchmarkPages(b *testing.B) {
	file := filepath.Join(b.TempDir(), "x.db")
	db, err := sqlite.Open(b.Context(), file)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	red, err := redact.New(redact.Options{Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		b.Fatal(err)
	}
	pipeline := &extract.Pipeline{Analyzer: rules.New(), Redactor: red, Now: func() time.Time { return today }}
	engine := &extract.Engine{Queue: db, Pipeline: pipeline, Log: discard, Options: extract.Options{BatchSize: 500}, Owner: "b"}
	for _, tr := range samples(b, red) {
		if _, err := db.PutTrace(b.Context(), tr); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := engine.Run(b.Context(), extract.RunRequest{}); err != nil {
		b.Fatal(err)
	}
	for _, tr := range samples(b, red) { // these wait
		tr.TraceID += "-waiting"
		if _, err := db.PutTrace(b.Context(), tr); err != nil {
			b.Fatal(err)
		}
	}
	multiply(b, file, 100_000)
	p, err := pages.New(pages.Options{Store: db, View: pipeline.View, Clean: clean.New(red), Live: runner.New(engine, runner.Options{}), Now: pipeline.Now})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, rt := range p.Routes() {
		mux.Handle(rt.Pattern(), rt.Handler)
	}
	list, _, err := db.Patterns(b.Context(), extract.PatternQuery{FailureType: evalforge.RunawayLoop, Sort: extract.ByConfidence})
	if err != nil || len(list) == 0 {
		b.Fatal(err)
	}
	one := list[0].SourceTraceID
	if i := strings.Index(one, "~"); i >= 0 {
		one = one[i+1:] // a copy's trace is not there
	}
	for name, path := range map[string]string{
		"list": "/patterns", "list of words": "/patterns?q=unreachable", "list of rare": "/patterns?severity=high&service=nobody&confidence=0.5",
		"list by confidence": "/patterns?sort=confidence&type=toxicity", "one": "/patterns/" + one, "overview": "/", "waiting": "/waiting",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != http.StatusOK {
					b.Fatalf("%s: %d", path, w.Code)
				}
			}
		})
	}
}

// multiply copies the patterns of a store, with ids and times of their own, until there are n.
func multiply(b *testing.B, file string, n int) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(b.Context(), `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?1 / (SELECT count(*) FROM failure_patterns)),
			copies AS (SELECT i || '~' || trace_id AS id, strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', extracted_at, '-' || (i * 20) || ' minutes') AS at, p.* FROM c, failure_patterns p)
		INSERT INTO failure_patterns (trace_id, extracted_at, failure_type, severity, fingerprint, doc, trigger_label, service_name, model, run_id, confidence, verified)
		SELECT id, at, failure_type, severity, fingerprint, json_set(doc, '$.source_trace_id', id, '$.extracted_at', at), trigger_label, service_name, model, run_id, confidence, verified FROM copies`, n)
	if err != nil {
		b.Fatal(err)
	}
}
