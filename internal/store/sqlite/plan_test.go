package sqlite

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// No statement reads a table or an index from end to end, and what comes in order is
// read in order: the cost of a statement depends on what it returns, not on the backlog.
func TestQueryPlans(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	statements := map[string]string{
		"fresh": sqlFresh, "tried": sqlTried, "named": sqlNamed, "lease": sqlLease, "renew": sqlRenew,
		"leased": sqlLeased, "commit state": sqlCommitState, "commit trace": sqlCommitTrace,
		"put pattern": sqlPutPattern, "fail": sqlFail, "release": sqlRelease, "save run": sqlSaveRun, "put error": sqlPutError,
		"digest": sqlDigest, "insert trace": sqlInsertTrace, "insert state": sqlInsertState, "replace trace": sqlReplaceTrace,
		"requeue changed": sqlRequeueChanged, "requeue unchanged": sqlRequeueUnchanged, "trace": sqlTrace,
		"pattern": sqlPattern, "run": sqlRun, "delivered": sqlDelivered, "state": sqlState, "retry": sqlRetry, "backlog": sqlBacklog,
		"stats": sqlStats, "groups": sqlGroups, "words": sqlCountWords,
		"window": sqlWindow, "count": sqlCount, "open reservation": sqlOpenReservation, "settle window": sqlSettleWindow,
		"close reservation": sqlCloseReservation, "spend": sqlSpend, "answer": sqlAnswer, "save answer": sqlSaveAnswer, "expire answers": sqlExpireAnswers, "expire reservations": sqlExpireReservations,
		"list history": sqlHistory, "reopen trace": sqlReopenTrace, "reopen state": sqlReopenState,
		"forget state": sqlForgetState, "forget runs": sqlForgetRuns, "forget trace": sqlForgetTrace, "forget pattern": sqlForgetPattern,
		"forget history": sqlForgetHistory, "forget errors": sqlForgetErrors, "forget answers": sqlForgetAnswers, "forget reasons": sqlForgetReasons,
	}
	lists := map[string]listQuery{
		"runs": runsQuery(), "states": statesQuery(extract.StateQuery{}),
		"states quarantined": statesQuery(extract.StateQuery{Quarantined: true}),
	}
	for i := range 8 { // every combination of filters
		on := func(bit int, value string) string { return strings.Repeat(value, i>>bit&1) }
		lists[fmt.Sprintf("errors %v", i)] = errorsQuery(extract.ErrorQuery{RunID: on(0, "r"), TraceID: on(1, "t")})
	}
	for name, l := range lists {
		statements["list "+name], _ = l.page(10, nil)
		statements["list "+name+" after"], _ = l.page(10, &store.Cursor{Time: "t", ID: "i"})
	}
	for i := range 1 << 10 {
		on := func(bit int, value string) string { return strings.Repeat(value, i>>bit&1) }
		yes := true
		q := extract.PatternQuery{FailureType: evalforge.FailureType(on(0, "other")), Severity: evalforge.Severity(on(1, "low")), Fingerprint: on(2, "f"),
			TriggerCondition: on(3, "t"), Service: on(4, "s"), Model: on(5, "m"), RunID: on(6, "r"), MinConfidence: float64(i >> 7 & 1)}
		if i>>8&1 == 1 {
			q.Verified = &yes
		}
		if i>>9&1 == 1 {
			q.Since, q.Until = benchStart, benchStart
		}
		for _, q.Sort = range extract.Sorts() {
			l := newPatternList(q)
			name := fmt.Sprintf("list patterns %d %s", i, q.Sort)
			statements[name], _ = l.page(10, nil)
			statements[name+" after"], _ = l.page(10, &store.Cursor{Time: "t", ID: "i"})
		}
	}
	for name, query := range statements {
		plan := explainPlan(t, db, query)
		for _, step := range plan {
			list := strings.HasPrefix(name, "list ")
			full := strings.HasPrefix(step, "SCAN ") && !small.MatchString(step) &&
				!(list && strings.Contains(step, "USING INDEX")) // walks in order until its limit
			sorts := strings.Contains(step, "TEMP B-TREE") && (name == "fresh" || name == "tried" || list)
			if full || sorts {
				t.Errorf("%s: %q in the plan\n\t%s\nof\n%s", name, step, strings.Join(plan, "\n\t"), query)
			}
		}
	}
}

// What a query brings along itself is small: its lists of ids, what the index of words
// finds, and its own subqueries, each of which has a limit.
var small = regexp.MustCompile(`^SCAN (json_each|CONSTANT ROW|d$|n$|g$|t$|pattern_text VIRTUAL TABLE INDEX 0:M1$|\(subquery-\d+\)$)`)

var placeholder = regexp.MustCompile(`\?(\d*)`)

func explainPlan(t *testing.T, db *DB, query string) []string {
	t.Helper()
	args := 0
	for _, m := range placeholder.FindAllStringSubmatch(query, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			n = args + 1
		}
		args = max(args, n)
	}
	rows, err := db.w.Query("EXPLAIN QUERY PLAN "+query, make([]any, args)...)
	if err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

// The counts that triggers keep are those of the rows.
func checkBacklogCounts(t testing.TB, db *DB) {
	t.Helper()
	rows, err := db.r.Query(`SELECT b.status, b.n, (SELECT count(*) FROM extraction_state s WHERE s.status = b.status) FROM backlog b`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var status string
		var kept, counted int
		if err := rows.Scan(&status, &kept, &counted); err != nil {
			t.Fatal(err)
		}
		if kept != counted {
			t.Errorf("%s: the kept count is %d, but there are %d rows", status, kept, counted)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// A document that is nested deeper than SQLite's JSON functions go is processed like
// any other.
func TestDeeplyNestedPayload(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	payload := strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000)
	if _, err := db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: "a", Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: now, LeaseUntil: now.Add(time.Minute), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != 1 || claims[0].Err != nil {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Digest: claims[0].Digest, At: now}); err != nil {
		t.Fatal(err)
	}
	tr, err := db.Trace(t.Context(), "a")
	if err != nil || !tr.Processed || tr.ProcessedAt == nil || !tr.ProcessedAt.Equal(now) || string(tr.Payload) != payload {
		t.Errorf("got processed %v at %v, error %v", tr.Processed, tr.ProcessedAt, err)
	}
	checkBacklogCounts(t, db)
}

// The document in the file is the contract's, byte for byte, before and after a commit.
func TestStoredText(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	tr := evalforge.RawTrace{TraceID: "a", FetchedAt: evalforge.At(now), FailureType: "x", Severity: "low", RecurrenceCount: 1,
		Payload: []byte(`{"n": 9007199254740993, "f": 1.0, "e": 1E5, "s": "<é\u00e9>", "a": [[], {}]}`)}
	if _, err := db.PutTrace(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	want := `{"trace_id":"a","fetched_at":"2026-01-02T03:04:05.000006+00:00","failure_type":"x","severity":"low","service_name":"",` +
		`"trace_payload":{"n":9007199254740993,"f":1.0,"e":1E5,"s":"<é\u00e9>","a":[[],{}]},"processed":false,"recurrence_count":1}`
	var got string
	doc := func() string {
		if err := db.r.QueryRow("SELECT doc FROM raw_traces").Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if doc() != want {
		t.Errorf("stored:\n%s\nwant:\n%s", got, want)
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: now, LeaseUntil: now.Add(time.Minute), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Digest: claims[0].Digest, At: now}); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, `"processed":false`, `"processed":true`, 1)
	want = strings.TrimSuffix(want, "}") + `,"processed_at":"2026-01-02T03:04:05.000006+00:00"}`
	if doc() != want {
		t.Errorf("stored after the commit:\n%s\nwant:\n%s", got, want)
	}
}
