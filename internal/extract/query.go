package extract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/evalforge/evalforge"
)

// A PatternQuery filters and orders patterns; empty fields do not filter. What a pattern
// must be like is defined by [PatternQuery.Match], and all stores agree with it.
//
// A page may hold fewer than Limit patterns, even none, and still come with a cursor: a
// store looks at a bounded number of documents per page, and the cursor goes on from there.
type PatternQuery struct {
	PageQuery
	FailureType evalforge.FailureType
	Severity    evalforge.Severity
	Fingerprint string
	// TriggerCondition is compared as labels are: [evalforge.NormalizeLabel].
	TriggerCondition string
	Service          string // the name that ingestion gave
	Model            string // as requested: provenance.model
	RunID            string
	MinConfidence    float64   // 0 to 1
	Since, Until     time.Time // Since <= extracted_at < Until
	// Verified asks for patterns with at least one verified quote, or with none.
	Verified *bool
	// Text has words of which each must begin a word of the pattern's text, ignoring case.
	Text string
	Sort Sort
}

// A Sort is an order of patterns. Ties are broken by time, newest first, then by id.
type Sort string

// The orders. The empty one is Newest.
const (
	Newest       Sort = "newest"
	Oldest       Sort = "oldest"     // ties by id, ascending: the reverse of Newest
	ByConfidence Sort = "confidence" // highest first
	BySeverity   Sort = "severity"   // critical first
)

// Sorts returns every order.
func Sorts() []Sort { return []Sort{Newest, Oldest, ByConfidence, BySeverity} }

// Check reports a filter that no pattern can pass because it is no such value.
func (q PatternQuery) Check() error {
	if q.Sort != "" && !slices.Contains(Sorts(), q.Sort) {
		return &evalforge.FieldError{Field: "sort", Problem: fmt.Sprintf("%.60q is none of newest, oldest, confidence, severity", string(q.Sort))}
	}
	if !(q.MinConfidence >= 0 && q.MinConfidence <= 1) {
		return &evalforge.FieldError{Field: "min_confidence", Problem: fmt.Sprintf("%v is not between 0 and 1", q.MinConfidence)}
	}
	return nil
}

// Match reports whether p passes the filters.
func (q PatternQuery) Match(p *evalforge.Pattern) bool {
	return (q.FailureType == "" || q.FailureType == p.FailureType) &&
		(q.Severity == "" || q.Severity == p.Severity) &&
		(q.Fingerprint == "" || q.Fingerprint == p.Fingerprint) &&
		(q.Service == "" || q.Service == p.Provenance.ServiceName) &&
		(q.Model == "" || q.Model == p.Provenance.Model) &&
		(q.RunID == "" || q.RunID == p.Provenance.RunID) &&
		q.MinConfidence <= p.Confidence &&
		(q.Since.IsZero() || !p.ExtractedAt.Before(evalforge.At(q.Since).Time)) &&
		(q.Until.IsZero() || p.ExtractedAt.Before(evalforge.At(q.Until).Time)) &&
		(q.Verified == nil || *q.Verified == HasVerifiedQuote(p)) &&
		(q.TriggerCondition == "" || evalforge.NormalizeLabel(q.TriggerCondition) == evalforge.NormalizeLabel(p.TriggerCondition)) &&
		matchWords(Words(q.Text), p)
}

// HasVerifiedQuote reports whether at least one of p's quotes was found in the trace.
func HasVerifiedQuote(p *evalforge.Pattern) bool {
	return slices.ContainsFunc(p.Evidence.Refs, func(r evalforge.EvidenceRef) bool { return r.Verified })
}

// SearchText returns the texts of p that [PatternQuery.Text] looks in.
func SearchText(p *evalforge.Pattern) []string {
	texts := []string{p.SourceTraceID, p.Title, p.TriggerCondition, p.Summary, p.RootCauseHypothesis}
	if f := p.FailingStep; f != nil {
		texts = append(texts, f.Name, f.Agent)
	}
	texts = append(texts, p.ReproductionContext.ToolsInvolved...)
	texts = append(texts, p.RecommendedActions...)
	return append(texts, p.Evidence.Signals...)
}

// Words returns the words of s in lower case: runs of letters, marks and digits.
func Words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Number, unicode.Mark, unicode.Co)
	})
}

// matchWords reports whether each of the words begins a word of p's texts.
func matchWords(words []string, p *evalforge.Pattern) bool {
	if len(words) == 0 {
		return true
	}
	var has []string
	for _, text := range SearchText(p) {
		has = append(has, Words(text)...)
	}
	for _, w := range words {
		if !slices.ContainsFunc(has, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return true
}

// An Insights is what overviews need of a store: counts of patterns, not patterns.
type Insights interface {
	// PatternStats counts patterns by day, failure type and severity, in that order.
	PatternStats(ctx context.Context, q StatsQuery) (Stats, error)
	// Groups lists what recurs: the fingerprints of the patterns of some days, the most
	// frequent first, ties by the time last seen, then by fingerprint.
	Groups(ctx context.Context, q GroupQuery) (Groups, error)
}

// A StatsQuery chooses days. Days are those of UTC.
type StatsQuery struct {
	// Since and Until lie on the first and the last day; zero leaves that end open.
	Since, Until time.Time
}

// Stats are counts of patterns.
type Stats struct {
	Counts []Count
	// Complete is false when the store looked only at the newest patterns of those days.
	Complete bool
}

// A Count is how many patterns of one kind there are.
type Count struct {
	Day         string // such as 2026-01-31
	FailureType evalforge.FailureType
	Severity    evalforge.Severity
	Count       int
}

// MaxGroups bounds [GroupQuery.Limit].
const MaxGroups = 100

// A GroupQuery chooses groups of patterns with the same fingerprint.
type GroupQuery struct {
	StatsQuery
	Limit int // 1 to [MaxGroups]; 0 means 10
}

// Groups are the most frequent fingerprints.
type Groups struct {
	List []Group
	// Complete is false when the store looked only at the newest patterns of those days:
	// counts and FirstSeen are then bounds.
	Complete bool
}

// A Group is the patterns with one fingerprint.
type Group struct {
	Fingerprint string
	Count       int // on the days asked for
	// FirstSeen and LastSeen are of all patterns with the fingerprint, whatever the day.
	FirstSeen, LastSeen evalforge.Timestamp
	// The rest is the newest pattern's.
	FailureType      evalforge.FailureType
	Severity         evalforge.Severity
	Confidence       float64
	TriggerCondition string
	Title            string
	TraceID          string
}

// Day returns the UTC day of t, as counts name it.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
