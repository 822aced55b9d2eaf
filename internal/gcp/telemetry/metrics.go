package telemetry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/evalforge/evalforge/internal/extract"
)

// A Metric is one line of the table of metrics, from which both the instruments and
// docs/observability.md are made.
type Metric struct {
	Name   string // OpenTelemetry's
	Kind   string // counter, histogram or gauge
	Unit   string
	Labels []string
	Doc    string
}

// Prometheus returns the name under which Prometheus knows m.
func (m Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	if unit := map[string]string{"s": "_seconds"}[m.Unit]; unit != "" && !strings.HasSuffix(name, unit) {
		name += unit
	}
	if m.Kind == counter {
		name += "_total"
	}
	return name
}

// The kinds of metrics.
const (
	counter   = "counter"
	histogram = "histogram"
	gauge     = "gauge"
)

// The names of the metrics.
const (
	mRuns         = "evalforge.runs"
	mRunTime      = "evalforge.run.duration"
	mLastRun      = "evalforge.run.last_success.time"
	mTraces       = "evalforge.traces"
	mTraceTime    = "evalforge.trace.duration"
	mFailures     = "evalforge.trace.failures"
	mPatterns     = "evalforge.patterns"
	mReused       = "evalforge.patterns.reused"
	mQuarantined  = "evalforge.traces.quarantined"
	mLeases       = "evalforge.lease.conflicts"
	mModelTime    = "evalforge.model.duration"
	mModelCalls   = "evalforge.model.calls"
	mTokens       = "evalforge.model.tokens"
	mCost         = "evalforge.model.cost.usd"
	mRedactions   = "evalforge.redactions"
	mBacklog      = "evalforge.backlog"
	mBacklogAge   = "evalforge.backlog.oldest.age"
	mHTTPTime     = "http.server.request.duration"
	mHTTPInFlight = "http.server.active_requests"
)

// Metrics returns the table of metrics.
func Metrics() []Metric {
	return []Metric{
		{mRuns, counter, "{run}", []string{"trigger", "result"}, "Runs that ended. `result` is `ok`, `incomplete` (ended before the batch was done) or `failed` (could not do its work)."},
		{mRunTime, histogram, "s", []string{"trigger"}, "What a run took."},
		{mLastRun, gauge, "s", nil, "When the last run ended that did not fail, in Unix time. Absent until this process has made one."},
		{mTraces, counter, "{trace}", []string{"outcome"}, "Traces by what became of them: `picked_up`, then one of `pattern_stored`, `skipped`, `validation_failed`, `error`, `timed_out`, `not_started`."},
		{mTraceTime, histogram, "s", []string{"outcome"}, "From the claim of a trace to its end."},
		{mFailures, counter, "{trace}", []string{"kind"}, "Failed attempts by kind, such as `rate_limited`, `schema`, `evidence`, `store`."},
		{mPatterns, counter, "{pattern}", []string{"failure_type", "severity"}, "Patterns stored."},
		{mReused, counter, "{pattern}", nil, "Patterns that repeat the analysis of an equal trace, without a call of the model."},
		{mQuarantined, counter, "{trace}", nil, "Traces that were quarantined."},
		{mLeases, counter, "{trace}", nil, "Traces that another worker took over meanwhile: overlapping runs whose leases are too short, or a stalled process."},
		{mModelTime, histogram, "s", []string{"model"}, "What the analysis of one trace took, with all attempts and waits. `model` is `rules` for the analyzer without one."},
		{mModelCalls, counter, "{call}", []string{"model"}, "Calls of the model, failed ones included."},
		{mTokens, counter, "{token}", []string{"model", "type"}, "Tokens. `type` is `prompt` (cached ones included), `cached` or `output` (thinking included)."},
		{mCost, counter, "{USD}", []string{"model"}, "What the calls cost by the price list, failed ones included."},
		{mRedactions, counter, "{value}", []string{"kind"}, "Values that are hidden in the traces and answers worked on, by kind."},
		{mBacklog, gauge, "{trace}", []string{"state"}, "Traces by state: `pending` (all that are not processed), of these `leased`, `backing_off` and `quarantined`, and `processed`. Counted at most once a minute."},
		{mBacklogAge, gauge, "s", nil, "How long ago the oldest trace that waits was fetched; 0 when none does."},
		{mHTTPTime, histogram, "s", []string{"http.request.method", "http.route", "http.response.status_code"}, "Requests answered."},
		{mHTTPInFlight, gauge, "{request}", []string{"http.route"}, "Requests under way."},
	}
}

// instruments are the metrics of the table, but for the HTTP durations, which otelhttp
// measures.
type instruments struct {
	meter      metric.Meter
	counters   map[string]metric.Float64Counter
	histograms map[string]metric.Float64Histogram
	lastRun    metric.Float64Gauge
	inFlight   metric.Int64UpDownCounter
}

// Buckets in seconds: of model calls and traces, and of runs.
func traceBuckets() []float64 {
	return []float64{0.01, 0.1, 0.5, 1, 2, 3, 5, 8, 12, 15, 20, 30, 60, 300}
}
func runBuckets() []float64 { return []float64{0.1, 1, 5, 15, 60, 120, 300, 600, 900, 1500, 3600} }

func newInstruments(m metric.Meter) (*instruments, error) {
	i := &instruments{meter: m, counters: map[string]metric.Float64Counter{}, histograms: map[string]metric.Float64Histogram{}}
	for _, d := range Metrics() {
		if err := i.add(d); err != nil {
			return nil, fmt.Errorf("telemetry: metric %s: %w", d.Name, err)
		}
	}
	return i, nil
}

func (i *instruments) add(d Metric) (err error) {
	doc, unit := metric.WithDescription(d.Doc), metric.WithUnit(d.Unit)
	switch {
	case d.Name == mHTTPTime, d.Name == mBacklog, d.Name == mBacklogAge: // made where they are measured
	case d.Name == mLastRun:
		i.lastRun, err = i.meter.Float64Gauge(d.Name, doc, unit)
	case d.Name == mHTTPInFlight:
		i.inFlight, err = i.meter.Int64UpDownCounter(d.Name, doc, unit)
	case d.Kind == counter:
		i.counters[d.Name], err = i.meter.Float64Counter(d.Name, doc, unit)
	default:
		buckets := traceBuckets()
		if d.Name == mRunTime {
			buckets = runBuckets()
		}
		i.histograms[d.Name], err = i.meter.Float64Histogram(d.Name, doc, unit, metric.WithExplicitBucketBoundaries(buckets...))
	}
	return err
}

// backlogEvery is how often the store is asked for the backlog at most, and backlogTimeout
// for how long.
const (
	backlogEvery   = time.Minute
	backlogTimeout = 5 * time.Second
)

// WatchBacklog makes the backlog that count returns a metric. It is asked for when metrics
// are collected, at most once a minute; when it fails, the last answer stands.
func (t *Telemetry) WatchBacklog(count func(context.Context) (extract.Backlog, error)) error {
	defs := map[string]Metric{}
	for _, d := range Metrics() {
		defs[d.Name] = d
	}
	m := t.metrics.meter
	size, err := m.Int64ObservableGauge(mBacklog, metric.WithDescription(defs[mBacklog].Doc), metric.WithUnit(defs[mBacklog].Unit))
	if err != nil {
		return fmt.Errorf("telemetry: metric %s: %w", mBacklog, err)
	}
	age, err := m.Float64ObservableGauge(mBacklogAge, metric.WithDescription(defs[mBacklogAge].Doc), metric.WithUnit(defs[mBacklogAge].Unit))
	if err != nil {
		return fmt.Errorf("telemetry: metric %s: %w", mBacklogAge, err)
	}
	var mu sync.Mutex
	var last extract.Backlog
	var asked, known time.Time
	_, err = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		mu.Lock()
		defer mu.Unlock()
		now := t.now()
		if asked.IsZero() || now.Sub(asked) >= backlogEvery {
			asked = now
			ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
			defer cancel()
			b, err := count(ctx)
			if err != nil {
				t.log.WarnContext(ctx, "the backlog could not be counted for the metrics", "error", err)
			} else {
				last, known = b, now
			}
		}
		if known.IsZero() {
			return nil
		}
		for state, n := range map[string]int{
			"pending": last.Pending, "leased": last.Leased, "backing_off": last.BackingOff,
			"quarantined": last.Quarantined, "processed": last.Processed,
		} {
			o.ObserveInt64(size, int64(n), label("state", state))
		}
		var seconds float64
		if !last.OldestDue.IsZero() {
			seconds = max(0, now.Sub(last.OldestDue.Time).Seconds())
		}
		o.ObserveFloat64(age, seconds)
		return nil
	}, size, age)
	if err != nil {
		return fmt.Errorf("telemetry: metric %s: %w", mBacklog, err)
	}
	return nil
}
