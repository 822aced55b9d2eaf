package firestore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

func stamp(t time.Time) evalforge.Timestamp { return evalforge.At(t) }

// A raw trace as it was read.
type rawDoc struct {
	id      string
	exists  bool
	trace   evalforge.RawTrace
	err     error  // why it could not be decoded
	digest  string // of what an analyzer is given
	version time.Time
}

func readRaw(snap *firestore.DocumentSnapshot) rawDoc {
	r := rawDoc{id: snap.Ref.ID, exists: snap.Exists(), version: snap.UpdateTime}
	if !r.exists {
		return r
	}
	fields := snap.Data()
	r.trace, r.err = store.DecodeTrace(r.id, toJSON(fields))
	if r.err == nil {
		r.digest = r.trace.Digest()
		return r
	}
	// A document of wrong types has what could be decoded of it for people, and a digest of
	// everything, so that a corrected one is another.
	r.trace.Processed = fields["processed"] == true
	maps.DeleteFunc(fields, func(k string, _ any) bool { return k == "processed" || k == "processed_at" })
	sum := sha256.Sum256(toJSON(fields))
	r.digest = hex.EncodeToString(sum[:])
	return r
}

// fetchedAt returns the time by which traces are claimed, from the stored field: "", the
// oldest, for one that is missing or no time.
func fetchedAt(v any) string {
	switch v := v.(type) {
	case string:
		at, err := evalforge.ParseTimestamp(v)
		if err == nil {
			return at.String()
		}
	case time.Time:
		return text(v)
	}
	return ""
}

// Where a trace stands in the queue.
const (
	ready       = "ready"       // fresh: no attempt is counted
	parked      = "parked"      // tried before: leased, backing off, or waiting for its next turn
	quarantined = "quarantined" // out of the queue until it is retried by hand or changed
	done        = "done"        // processed
)

// A state is a state document. Beside these fields it has three that are there only
// while they hold, like anew_since, so that the index of each has no more entries than the
// query that it serves can return:
//
//	ready_at  fetched_at, while ready
//	due_at    when the lease or the backoff ends, while parked; "" if there is neither
//	pending   true, while not done
type state struct {
	extract.State
	Queue     string   `json:"queue"`
	FetchedAt string   `json:"fetched_at"` // of the raw trace
	Runs      []string `json:"runs"`       // the last claims' run ids
	Digest    string   `json:"digest"`     // of the raw trace that attempts, backoff and quarantine are about
	// RawVersion is the update time of the raw document that Digest was last compared
	// with: one of another version may have changed.
	RawVersion string `json:"raw_version"`
	// Mark is of the last change that was neither a claim nor the end of a lease, by which
	// its writer knows it again when the acknowledgement was lost.
	Mark string `json:"mark"`
	// Revisions counts the patterns that were committed; or is 1 if one may be there all
	// the same.
	Revisions int `json:"revisions,omitempty"`
	// Ended is how the last lease that was committed or failed ended, and its token: by
	// this anybody knows that end again.
	Ended string `json:"ended"`

	exists  bool
	version time.Time
}

// sparse are the fields that a state document has at times.
var sparse = [...]string{"ready_at", "due_at", "pending", "anew_since"}

func readState(snap *firestore.DocumentSnapshot) *state {
	var s state
	if snap.Exists() {
		// A document that somebody spoilt is as good as none: it is written anew.
		if err := json.Unmarshal(toJSON(snap.Data()), &s); err != nil {
			s = state{}
		}
	}
	s.TraceID, s.exists, s.version = snap.Ref.ID, snap.Exists(), snap.UpdateTime
	return &s
}

func (s *state) tracked() bool { return s.exists && s.Queue != "" && s.Queue != done }

func (s *state) leased(now time.Time) bool {
	return s.LeaseToken != "" && now.Before(s.LeaseUntil.Time)
}

func (s *state) backsOff(now time.Time) bool { return now.Before(s.RetryAt.Time) }

// due reports whether a request may lease the trace.
func (s *state) due(req *extract.ClaimRequest) bool {
	now := stamp(req.Now).Time
	named := len(req.TraceIDs) > 0
	return s.QuarantinedAt.IsZero() && !s.leased(now) && (named || !s.backsOff(now)) && !slices.Contains(s.Runs, req.RunID)
}

// suspect reports whether the raw document may have changed since an attempt at it, so
// that it is fresh, whatever the state says.
func (s *state) suspect(version time.Time) bool {
	return (s.Attempts > 0 || !s.QuarantinedAt.IsZero() || !s.RetryAt.IsZero()) && s.RawVersion != versionText(version)
}

func versionText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// meet notes the raw trace as it is now. New content begins anew.
func (s *state) meet(r rawDoc) {
	if s.Digest != "" && s.Digest != r.digest {
		s.Attempts, s.RetryAt, s.QuarantinedAt = 0, evalforge.Timestamp{}, evalforge.Timestamp{}
	}
	s.Digest, s.RawVersion = r.digest, versionText(r.version)
	s.FetchedAt = r.trace.FetchedAt.String()
}

func (s *state) dropLease() {
	s.LeaseOwner, s.LeaseToken, s.LeaseUntil = "", "", evalforge.Timestamp{}
}

// place puts the trace where its fields say.
func (s *state) place(processed bool) {
	switch {
	case processed:
		s.Queue = done
	case !s.QuarantinedAt.IsZero():
		s.Queue = quarantined
	case s.Attempts > 0:
		s.Queue = parked
	default:
		s.Queue = ready
	}
}

func (s *state) fields() (map[string]any, error) {
	for _, text := range []*string{&s.LeaseOwner, &s.LeaseToken, &s.LastError, &s.Ended} {
		*text = strings.ToValidUTF8(*text, "\uFFFD")
	}
	if s.Runs == nil {
		s.Runs = []string{}
	}
	m, err := document(s)
	if err != nil {
		return nil, err
	}
	switch s.Queue {
	case ready:
		m["ready_at"] = s.FetchedAt
	case parked:
		m["due_at"] = s.DueAt().String()
	}
	if s.Queue != done {
		m["pending"] = true
	}
	return m, nil
}

// updates are the fields as a change of an existing document.
func updates(fields map[string]any) []firestore.Update {
	list := make([]firestore.Update, 0, len(fields)+len(sparse))
	for k, v := range fields {
		list = append(list, firestore.Update{FieldPath: firestore.FieldPath{k}, Value: v})
	}
	for _, k := range sparse {
		if _, ok := fields[k]; !ok {
			list = append(list, firestore.Update{FieldPath: firestore.FieldPath{k}, Value: firestore.Delete})
		}
	}
	return list
}

// put adds the write of s to a commit: it takes effect if the document is still the one
// that s was read from.
func (db *DB) put(tx *firestore.Transaction, s *state) error {
	fields, err := s.fields()
	if err != nil {
		return err
	}
	if err := checkSize(db.path(states, s.TraceID), fields); err != nil {
		return err
	}
	if !s.exists {
		return tx.Create(db.state(s.TraceID), fields)
	}
	return tx.Update(db.state(s.TraceID), updates(fields), firestore.LastUpdateTime(s.version))
}
