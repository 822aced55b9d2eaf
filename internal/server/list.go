package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// A page is one answer of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// NextCursor is the cursor of the page after this one, or null at the end.
	NextCursor *string `json:"nextCursor"`
}

// writePage answers with one page of a list, and links to the next.
func writePage[T any](w http.ResponseWriter, r *http.Request, items []T, next string) error {
	p := page[T]{Items: items}
	if items == nil {
		p.Items = []T{}
	}
	if next != "" {
		p.NextCursor = &next
		q := r.URL.Query()
		q.Set("cursor", next)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	return writeTagged(w, r, p)
}

// writeTagged answers with v, or with 304 if the caller has it already.
func writeTagged(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	// Weak: the same content goes out compressed and not.
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Etag", tag)
	h.Set("Cache-Control", "private, no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // nobody is left to tell
	return nil
}

// matches reports whether tag is among the values of If-None-Match, by weak comparison.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// cursorError names the parameter that callers know for the one that stores do.
func cursorError(err error) error {
	p := problemOf(err)
	for i := range p.Errors {
		if p.Errors[i].Field == "after" {
			p.Errors[i].Field = "cursor"
			p.Detail = "cursor " + p.Errors[i].Problem
			return p
		}
	}
	return err
}

func (s *Server) listPatterns(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, listParams("failure_type", "severity", "fingerprint", "trigger_condition", "service", "model",
		"run_id", "min_confidence", "since", "until", "verified", "text", "sort"))
	if err != nil {
		return err
	}
	pq := extract.PatternQuery{
		PageQuery:        q.page(),
		FailureType:      oneOf(q, "failure_type", evalforge.FailureTypes()),
		Severity:         oneOf(q, "severity", evalforge.Severities()),
		Fingerprint:      q.text("fingerprint"),
		TriggerCondition: q.text("trigger_condition"),
		Service:          q.text("service"),
		Model:            q.text("model"),
		RunID:            q.text("run_id"),
		MinConfidence:    q.fraction("min_confidence"),
		Since:            q.time("since"),
		Until:            q.time("until"),
		Verified:         q.maybe("verified"),
		Text:             q.text("text"),
		Sort:             oneOf(q, "sort", extract.Sorts()),
	}
	if strings.TrimSpace(pq.Text) != "" && len(extract.Words(pq.Text)) == 0 {
		q.refuse("text", "has no letter or digit to look for")
	}
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.o.Store.Patterns(r.Context(), pq)
	if err != nil {
		return cursorError(err)
	}
	for i := range list {
		if list[i], err = s.o.Clean.Pattern(list[i]); err != nil {
			return err
		}
	}
	return writePage(w, r, list, next)
}

// getPattern answers with the pattern of a trace, which is named by the trace's id or by its own.
func (s *Server) getPattern(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	p, err := byID(r, id, s.o.Store.Pattern)
	if trace, ok := strings.CutPrefix(id, "pattern_"); ok && isNotFound(err) {
		p, err = byID(r, trace, s.o.Store.Pattern)
	}
	if isNotFound(err) {
		return problem.New(problem.NotFound, "no pattern was extracted from a trace of this id").WithHint("GET /api/v1/state/{id} says what became of the trace")
	}
	if err != nil {
		return err
	}
	if p, err = s.o.Clean.Pattern(p); err != nil {
		return err
	}
	return writeTagged(w, r, p)
}

// listHistory answers with the patterns of a trace that others have replaced, the last one first. There are
// at most [extract.MaxHistory], on one page.
func (s *Server) listHistory(w http.ResponseWriter, r *http.Request) error {
	list, err := byID(r, r.PathValue("id"), func(ctx context.Context, id string) ([]evalforge.Pattern, error) {
		return s.o.Store.History(ctx, id, extract.MaxHistory)
	})
	if err != nil && !isNotFound(err) {
		return err
	}
	for i := range list {
		if list[i], err = s.o.Clean.Pattern(list[i]); err != nil {
			return err
		}
	}
	return writePage(w, r, list, "")
}

// byID gets a document. What cannot be an id is the id of none.
func byID[T any](r *http.Request, id string, get func(context.Context, string) (T, error)) (T, error) {
	if evalforge.ValidateTraceID(id) != nil || !utf8.ValidString(id) {
		var none T
		return none, evalforge.ErrNotFound
	}
	return get(r.Context(), id)
}

func (s *Server) listRuns(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, listParams())
	if err != nil {
		return err
	}
	pq := q.page()
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.o.Store.Runs(r.Context(), pq)
	if err != nil {
		return cursorError(err)
	}
	out := make([]evalforge.RunSummary, len(list))
	for i := range list {
		run := s.o.Clean.Run(list[i])
		out[i] = run.Summary()
	}
	return writePage(w, r, out, next)
}

func (s *Server) getRun(w http.ResponseWriter, r *http.Request) error {
	run, err := byID(r, r.PathValue("id"), s.o.Store.Run)
	if isNotFound(err) {
		return problem.New(problem.NotFound, "there is no record of a run of this id").WithHint("a run has its record when it has ended; GET /health shows those under way")
	}
	if err != nil {
		return err
	}
	run = s.o.Clean.Run(run)
	return writeTagged(w, r, run.Summary())
}

func (s *Server) listErrors(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, listParams("run_id", "trace_id"))
	if err != nil {
		return err
	}
	eq := extract.ErrorQuery{PageQuery: q.page(), RunID: q.text("run_id"), TraceID: q.text("trace_id")}
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.o.Store.Errors(r.Context(), eq)
	if err != nil {
		return cursorError(err)
	}
	for i := range list {
		list[i] = s.o.Clean.Error(list[i])
	}
	return writePage(w, r, list, next)
}

func (s *Server) listStates(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, listParams("quarantined"))
	if err != nil {
		return err
	}
	sq := extract.StateQuery{PageQuery: q.page(), Quarantined: q.boolean("quarantined")}
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.o.Store.States(r.Context(), sq)
	if err != nil {
		return cursorError(err)
	}
	out := make([]traceState, len(list))
	for i := range list {
		out[i] = s.stateOf(list[i])
	}
	return writePage(w, r, out, next)
}

func (s *Server) getState(w http.ResponseWriter, r *http.Request) error {
	st, err := byID(r, r.PathValue("id"), s.o.Store.State)
	if isNotFound(err) {
		return problem.New(problem.NotFound, "no run has picked up a trace of this id").WithHint("it waits for the next run, or was never imported")
	}
	if err != nil {
		return err
	}
	return writeTagged(w, r, s.stateOf(st))
}

// A traceState is what extraction remembers of a trace, without the lease's token, which is the right to
// write.
type traceState struct {
	TraceID         string              `json:"trace_id"`
	RunID           string              `json:"run_id"`
	Attempts        int                 `json:"attempts"`
	LeaseOwner      string              `json:"lease_owner"`
	LeaseUntil      evalforge.Timestamp `json:"lease_until"`
	RetryAt         evalforge.Timestamp `json:"retry_at"`
	QuarantinedAt   evalforge.Timestamp `json:"quarantined_at"`
	LastError       string              `json:"last_error"`
	LastErrorType   evalforge.ErrorType `json:"last_error_type"`
	ExtractedDigest string              `json:"extracted_digest"`
	UpdatedAt       evalforge.Timestamp `json:"updated_at"`
}

func (s *Server) stateOf(st extract.State) traceState {
	return traceState{st.TraceID, st.RunID, st.Attempts, st.LeaseOwner, st.LeaseUntil, st.RetryAt, st.QuarantinedAt,
		s.o.Clean.Text(st.LastError), st.LastErrorType, st.ExtractedDigest, st.UpdatedAt}
}
