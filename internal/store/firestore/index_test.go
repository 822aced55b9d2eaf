package firestore

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// An indexFile is firestore.indexes.json, as the Firebase tools deploy it.
type indexFile struct {
	Indexes []struct {
		CollectionGroup, QueryScope string
		Fields                      []struct{ FieldPath, Order string }
	}
	FieldOverrides []struct {
		CollectionGroup, FieldPath string
		TTL                        bool
		Indexes                    []any
	}
}

func readIndexes(t testing.TB) *indexFile {
	t.Helper()
	text, err := os.ReadFile("../../../firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	var f indexFile
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

// A field of an index or of an order: its path and direction.
type field struct{ path, order string }

// missing says which index a query lacks, or "". The rules are those of
// https://cloud.google.com/firestore/docs/query-data/index-overview: one field is
// indexed by itself, equalities merge, and whatever else is asked for beside them needs a
// composite index, or one per equality that all end in the same order.
func (f *indexFile) missing(q *pb.StructuredQuery) string {
	group := q.From[0].CollectionId
	var equal []string
	var rest []field
	var walk func(*pb.StructuredQuery_Filter)
	walk = func(filter *pb.StructuredQuery_Filter) {
		for _, sub := range filter.GetCompositeFilter().GetFilters() {
			walk(sub)
		}
		switch ff := filter.GetFieldFilter(); {
		case ff == nil:
		case ff.Op == pb.StructuredQuery_FieldFilter_EQUAL:
			equal = append(equal, ff.Field.FieldPath)
		case !slices.ContainsFunc(q.OrderBy, func(o *pb.StructuredQuery_Order) bool { return o.Field.FieldPath == ff.Field.FieldPath }):
			rest = append(rest, field{ff.Field.FieldPath, "ASCENDING"})
		}
	}
	walk(q.Where)
	for _, o := range q.OrderBy {
		rest = append(rest, field{o.Field.FieldPath, o.Direction.String()})
	}
	// The id is the last field of every index, in the direction of the one before.
	if n := len(rest) - 1; n >= 0 && rest[n].path == firestore.DocumentID {
		last := "ASCENDING"
		if n > 0 {
			last = rest[n-1].order
		}
		if rest[n].order != last {
			return fmt.Sprintf("%s: the id is ordered %s after %v", group, rest[n].order, rest[:n])
		}
		rest = rest[:n]
	}
	if len(rest) == 0 || len(rest) == 1 && len(equal) == 0 {
		for _, path := range append(equal, paths(rest)...) {
			if f.exempt(group, path) {
				return fmt.Sprintf("%s: %s is exempt from indexing", group, path)
			}
		}
		return ""
	}
	served := map[string]bool{}
	for _, ix := range f.Indexes {
		n := len(ix.Fields) - len(rest)
		if ix.CollectionGroup != group || ix.QueryScope != "COLLECTION" || n < 0 {
			continue
		}
		fits := true
		for i, fd := range ix.Fields {
			if i < n {
				fits = fits && slices.Contains(equal, fd.FieldPath)
			} else {
				fits = fits && field{fd.FieldPath, fd.Order} == rest[i-n]
			}
		}
		if fits {
			for _, fd := range ix.Fields[:n] {
				served[fd.FieldPath] = true
			}
			served[""] = true
		}
	}
	for _, path := range append(equal, "") {
		if !served[path] {
			return fmt.Sprintf("%s: no composite index for %q == and then %v", group, equal, rest)
		}
	}
	return ""
}

func paths(list []field) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.path)
	}
	return out
}

func (f *indexFile) exempt(group, path string) bool {
	for _, o := range f.FieldOverrides {
		if o.CollectionGroup == group && o.FieldPath == path && len(o.Indexes) == 0 {
			return true
		}
	}
	return false
}

// checkingIndexes fails the test when a query without an index goes over the wire. Every
// connection of this package's tests has it: the emulator answers such queries.
func checkingIndexes(t testing.TB) grpc.DialOption {
	indexes := readIndexes(t)
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := stream(ctx, d, cc, method, o...)
		return &indexedStream{s, t, indexes}, err
	})
}

type indexedStream struct {
	grpc.ClientStream
	t       testing.TB
	indexes *indexFile
}

func (s *indexedStream) SendMsg(msg any) error {
	var q *pb.StructuredQuery
	switch msg := msg.(type) {
	case *pb.RunQueryRequest:
		q = msg.GetStructuredQuery()
	case *pb.RunAggregationQueryRequest:
		q = msg.GetStructuredAggregationQuery().GetStructuredQuery()
	}
	if q != nil {
		if problem := s.indexes.missing(q); problem != "" {
			s.t.Errorf("a query lacks its index: %s", problem)
		}
	}
	return s.ClientStream.SendMsg(msg)
}

// offline returns a store that is never called.
func offline(t testing.TB) *DB {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Options{Project: "p", Client: []option.ClientOption{option.WithGRPCConn(conn)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// shapes returns every query that the store can make.
func shapes(db *DB) map[string]firestore.Query {
	all := map[string]firestore.Query{
		"unprocessed": db.unprocessed(), "by id": db.unprocessedByID("", 1), "by id after": db.unprocessedByID("a", 1),
		"native": db.unprocessedNative(sortValue{}, t0, 1), "native after": db.unprocessedNative(sortValue{t0, "a"}, t0, 1),
		"text": db.unprocessedText(sortValue{}, t0, 1), "text after": db.unprocessedText(sortValue{"x", "a"}, t0, 1),
		"pending by id": db.pendingByID("", 1), "pending by id after": db.pendingByID("a", 1),
		"done by id": db.doneByID("", 1), "done by id after": db.doneByID("a", 1),
		"flags":  db.flags([]*firestore.DocumentRef{db.raw("a"), db.raw("b")}),
		"oldest": db.oldestUnprocessed(1),
		"ready":  db.readyStates(nil, 1), "ready after": db.readyStates(&sortKey{"x", "a"}, 1), "due": db.dueStates("x", nil, 1), "due after": db.dueStates("x", &turn{"x", "a"}, 1),
		"oldest parked": db.oldestParked(1), "errors of": byID(db.errorsOf("t")), "answers for": byID(db.answersFor("t")),
		"revisions": byID(db.revisions("t").Query),
		"delivered": db.delivered("k"),
		"pending":   db.pendingStates(), "processed": db.processed(), "leased": db.leasedStates("x"),
		"history":     db.historyOf("a", 1),
		"backing off": db.backingOffStates("x"), "quarantined": db.quarantinedStates(),
	}
	lists := map[string]listQuery{"runs": db.runList(), "states": db.stateList(extract.StateQuery{}),
		"quarantined states": db.stateList(extract.StateQuery{Quarantined: true})}
	for i := range 8 { // every combination of filters
		on := func(bit int, value string) string { return strings.Repeat(value, i>>bit&1) }
		lists[fmt.Sprint("errors ", i)] = db.errorList(extract.ErrorQuery{RunID: on(0, "r"), TraceID: on(1, "t")})
	}
	for name, l := range lists {
		all[name] = l.page(1, nil)
		all[name+" after"] = l.page(1, &store.Cursor{Time: "t", ID: "i"})
	}
	patternShapes(db, all)
	return all
}

// patternShapes adds the queries for patterns, with every combination of filters.
func patternShapes(db *DB, all map[string]firestore.Query) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, dir := range []firestore.Direction{firestore.Asc, firestore.Desc} {
		all[fmt.Sprint("end of group ", dir)] = db.endOfGroup("f", dir)
	}
	for i := range 1 << 8 {
		on := func(bit int, value string) string { return strings.Repeat(value, i>>bit&1) }
		q := extract.PatternQuery{FailureType: evalforge.FailureType(on(0, "other")), Severity: evalforge.Severity(on(1, "low")),
			Fingerprint: on(2, "f"), RunID: on(3, "r"), Service: on(4, "s"), Model: on(5, "m"), MinConfidence: float64(i >> 6 & 1)}
		if i>>7&1 == 1 {
			q.Since, q.Until = now, now
		}
		all[fmt.Sprint("tally ", i>>7)] = db.tallied(extract.StatsQuery{Since: q.Since, Until: q.Until})
		for _, q.Sort = range extract.Sorts() {
			for n, part := range slices.Concat(db.patternParts(q, nil), db.patternParts(q, &store.Cursor{Rank: "2", Time: "t", ID: "i"})) {
				all[fmt.Sprint("patterns ", i, q.Sort, n)] = part
			}
		}
	}
}

func structured(t *testing.T, q firestore.Query) *pb.StructuredQuery {
	t.Helper()
	b, err := q.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	var req pb.RunQueryRequest
	if err := proto.Unmarshal(b, &req); err != nil {
		t.Fatal(err)
	}
	return req.GetStructuredQuery()
}

func TestEveryQueryHasItsIndex(t *testing.T) {
	indexes := readIndexes(t)
	queries := shapes(offline(t))
	for name, q := range queries {
		if problem := indexes.missing(structured(t, q)); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	// And every index has its query.
	for i := range indexes.Indexes {
		fewer := *indexes
		fewer.Indexes = slices.Delete(slices.Clone(indexes.Indexes), i, i+1)
		needed := false
		for _, q := range queries {
			needed = needed || fewer.missing(structured(t, q)) != ""
		}
		if !needed {
			t.Errorf("no query needs the index %+v", indexes.Indexes[i])
		}
	}
}

// What holds long text or many values is not indexed: a value over 1,500 bytes cannot be,
// a document may have 40,000 entries at most, and each costs a write.
func TestLongFieldsAreNotIndexed(t *testing.T) {
	indexes := readIndexes(t)
	for collection, fields := range map[string][]string{
		rawTraces: {"trace_payload", "status_history"},
		patterns:  {"summary", "root_cause_hypothesis", "confidence_rationale", "evidence", "recommended_actions", "reproduction_context", "provenance"},
		runs:      {"trace_outcomes"},
		errorDocs: {"error_message", "model_response_excerpt"},
		states:    {"last_error", "runs"},
		ledger:    {"open"},
		answers:   {"doc"},
		history:   {"doc"},
	} {
		for _, f := range fields {
			if !indexes.exempt(DefaultPrefix+collection, f) {
				t.Errorf("%s: %s is indexed", collection, f)
			}
		}
	}
}

// TestRecordsExpire: what is deleted by its age is so by a policy of exactly these.
func TestRecordsExpire(t *testing.T) {
	var got []string
	for _, o := range readIndexes(t).FieldOverrides {
		if o.TTL {
			got = append(got, o.CollectionGroup+"."+o.FieldPath)
		}
	}
	slices.Sort(got)
	if want := []string{DefaultPrefix + answers + "." + expiryField, DefaultPrefix + errorDocs + "." + expiryField, DefaultPrefix + runs + "." + expiryField}; !slices.Equal(got, want) {
		t.Errorf("these expire: %q, want %q", got, want)
	}
}
