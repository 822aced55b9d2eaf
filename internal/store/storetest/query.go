package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// variety is patterns that differ in everything a query can ask for.
func variety() []evalforge.Pattern {
	types, severities := evalforge.FailureTypes(), evalforge.Severities()
	words := []string{"The café's get_weather tool timed out.", "A refund of 40 EUR was promised", "<script>alert(1)</script> 日本語", "nothing to see"}
	var all []evalforge.Pattern
	for i := range 48 {
		p := pattern(fmt.Sprintf("t%02d", i*7%48), t0.Add(time.Duration(i/4)*9*time.Hour)) // four at the same time
		p.FailureType, p.Severity, p.Fingerprint = types[i%3], severities[i%4], fmt.Sprintf("fp-%d", i%5)
		p.TriggerCondition = []string{"tool times out", "Tool-times OUT", "fact not in context"}[i%3]
		p.Confidence = []float64{0, 0.25, 0.5, 0.7, 0.7000000000000001, 1}[i/3%6]
		p.Summary = words[i%len(words)]
		p.Title = fmt.Sprintf("Failure %d", i%6)
		p.RecommendedActions = []string{"Raise the limit.", "Log more"}[:1+i%2]
		p.ReproductionContext.ToolsInvolved = [][]string{{}, {"get_weather", "lookup"}}[i/2%2]
		if i%4 == 1 {
			p.FailingStep = &evalforge.FailingStep{Index: i, Name: "planner-step", Agent: "Orchestrator"}
		}
		for n := range i % 3 {
			p.Evidence.Refs = append(p.Evidence.Refs, evalforge.EvidenceRef{Quote: "it is free", Verified: n == i%2, Match: "exact"})
		}
		p.Provenance.ServiceName = []string{"support-bot", "travel bot", ""}[i/2%3]
		p.Provenance.Model = []string{"gemini-2.5-flash", ""}[i/4%2]
		p.Provenance.RunID = fmt.Sprintf("run_%d", i/8)
		all = append(all, p)
	}
	return all
}

// store commits patterns, and then replaces one, which must not count twice.
func (e *env) commitAll(all []evalforge.Pattern) {
	e.Helper()
	var traces []evalforge.RawTrace
	for _, p := range all {
		traces = append(traces, raw(p.SourceTraceID, 0))
	}
	e.putMany(traces)
	claims := map[string]extract.Claim{}
	for _, c := range e.claim("run_1", len(all), minute(1)) {
		claims[c.TraceID] = c
	}
	for _, p := range all {
		c := claims[p.SourceTraceID]
		e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)}))
	}
	old, _ := e.s.Pattern(e.ctx, all[0].SourceTraceID)
	old.Title, old.Fingerprint, old.Summary, old.ExtractedAt = "Zebra crossing", "fp-old", "zebra", evalforge.At(t0.Add(-48*time.Hour))
	e.put(changed(raw(old.SourceTraceID, 0), `{"input":"another"}`))
	c := e.claimOne("run_2", old.SourceTraceID, minute(100))
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &old, Digest: c.Digest, At: minute(100)}))
	e.put(changed(raw(old.SourceTraceID, 0), `{"input":"yet another"}`))
	c = e.claimOne("run_3", old.SourceTraceID, minute(200))
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &all[0], Digest: c.Digest, At: minute(200)}))
}

func queryPatterns(e *env) {
	all := variety()
	e.commitAll(all)
	yes, no := true, false
	day := t0.Add(24 * time.Hour)
	sorts := append(extract.Sorts(), "")
	for i, q := range []extract.PatternQuery{
		{}, {FailureType: evalforge.FailureTypes()[1]}, {Severity: evalforge.Critical}, {Fingerprint: "fp-3"}, {RunID: "run_2"},
		{TriggerCondition: "TOOL times-out"}, {TriggerCondition: "unknown"}, {Service: "travel bot"}, {Model: "gemini-2.5-flash"},
		{MinConfidence: 0.7}, {MinConfidence: 0.70000000000000005}, {MinConfidence: 1}, {Verified: &yes}, {Verified: &no},
		{Since: day}, {Until: day}, {Since: day, Until: day.Add(48 * time.Hour)}, {Since: day, Until: day},
		{Text: "refund eur"}, {Text: "WEATHER"}, {Text: "café"}, {Text: "日本"}, {Text: "get_wea"}, {Text: "weather refund"}, {Text: "ather"},
		{Text: "t07"}, {Text: "orchestrator planner"}, {Text: `"script" OR NEAR( *`}, {Text: "limit log"}, {Text: "zebra"}, {Text: " , "}, {Text: "the"},
		{Severity: evalforge.High, FailureType: evalforge.FailureTypes()[0], MinConfidence: 0.25, Verified: &yes},
		{Fingerprint: "fp-2", Service: "support-bot", Since: day}, {RunID: "run_1", Model: "gemini-2.5-flash", Severity: evalforge.Low},
		{Text: "failure", Service: "travel bot", Until: day.Add(48 * time.Hour)}, {TriggerCondition: "fact not in context", Verified: &no},
	} {
		for n, sort := range sorts {
			q.Sort = sort
			want := reference(all, q)
			for _, size := range []int{0, 1, 7} {
				if size > 0 && n != i%len(sorts) || size == 1 && len(want) > 12 {
					continue // each query and each order is read in pages, but not each pair of them
				}
				q.PageQuery = extract.PageQuery{Limit: size}
				if got := e.allPages(q, len(want)); !slices.Equal(got, want) {
					e.Errorf("%s, pages of %d: got %q, want %q", describe(q), size, got, want)
				}
			}
		}
	}
}

// allPages reads a list to its end. Pages may hold fewer patterns than they could.
func (e *env) allPages(q extract.PatternQuery, most int) []string {
	e.Helper()
	var got []string
	for range 100 {
		list, next, err := e.s.Patterns(e.ctx, q)
		e.must(err)
		if q.Limit > 0 && len(list) > q.Limit {
			e.Fatalf("%s: a page of %d has %d patterns", describe(q), q.Limit, len(list))
		}
		for _, p := range list {
			got = append(got, p.SourceTraceID)
		}
		if next == "" || len(got) > most {
			return got
		}
		q.After = next
	}
	e.Fatalf("%s: no end after 100 pages", describe(q))
	return nil
}

// reference is the list as its definition says.
func reference(all []evalforge.Pattern, q extract.PatternQuery) []string {
	var list []evalforge.Pattern
	for _, p := range all {
		if q.Match(&p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b evalforge.Pattern) int {
		byTime := newest(a.ExtractedAt.String(), a.SourceTraceID, b.ExtractedAt.String(), b.SourceTraceID)
		switch q.Sort {
		case extract.Oldest:
			return -byTime
		case extract.ByConfidence:
			return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), byTime)
		case extract.BySeverity:
			rank := func(s evalforge.Severity) int { return slices.Index(evalforge.Severities(), s) }
			return cmp.Or(cmp.Compare(rank(b.Severity), rank(a.Severity)), byTime)
		}
		return byTime
	})
	var ids []string
	for _, p := range list {
		ids = append(ids, p.SourceTraceID)
	}
	return ids
}

func describe(q extract.PatternQuery) string {
	verified := ""
	if q.Verified != nil {
		verified = fmt.Sprint(" verified ", *q.Verified)
	}
	return strings.TrimSpace(fmt.Sprintf("patterns %+v", q)) + verified
}

func badPatternQueries(e *env) {
	e.commitAll(variety()[:4])
	_, next, err := e.s.Patterns(e.ctx, extract.PatternQuery{PageQuery: extract.PageQuery{Limit: 1}, Sort: extract.ByConfidence})
	e.must(err)
	if next == "" {
		e.Fatal("no cursor to a second page")
	}
	for field, q := range map[string]extract.PatternQuery{
		"sort":           {Sort: "colour"},
		"min_confidence": {MinConfidence: 1.5},
		"after":          {PageQuery: extract.PageQuery{After: next}},
		"limit":          {PageQuery: extract.PageQuery{Limit: extract.MaxPage + 1}, Sort: extract.Oldest},
	} {
		_, _, err := e.s.Patterns(e.ctx, q)
		e.wantField(describe(q), err, field)
	}
	_, err = e.s.Groups(e.ctx, extract.GroupQuery{Limit: extract.MaxGroups + 1})
	e.wantField("groups", err, "limit")
}

func insights(e *env) {
	stats, err := e.s.PatternStats(e.ctx, extract.StatsQuery{})
	e.must(err)
	groups, err := e.s.Groups(e.ctx, extract.GroupQuery{})
	e.must(err)
	if len(stats.Counts) != 0 || len(groups.List) != 0 || !stats.Complete || !groups.Complete {
		e.Errorf("an empty store has %+v and %+v", stats, groups)
	}
	all := variety()
	e.commitAll(all)
	second, fourth := t0.Add(24*time.Hour), t0.Add(72*time.Hour)
	for _, q := range []extract.StatsQuery{{}, {Since: second}, {Until: second}, {Since: second, Until: fourth}, {Since: fourth, Until: second}} {
		stats, err := e.s.PatternStats(e.ctx, q)
		e.must(err)
		e.diff(fmt.Sprintf("stats %+v", q), stats, extract.Stats{Counts: countedDays(all, q), Complete: true})
		for _, limit := range []int{0, 2} {
			groups, err := e.s.Groups(e.ctx, extract.GroupQuery{StatsQuery: q, Limit: limit})
			e.must(err)
			want := grouped(all, q)
			e.diff(fmt.Sprintf("groups %+v", q), groups, extract.Groups{List: want[:min(len(want), cmp.Or(limit, 10))], Complete: true})
		}
	}
}

// insightsForget: what is forgotten is not counted, and not found by its words.
func insightsForget(e *env) {
	all := variety()[:6]
	e.commitAll(all)
	_, err := e.s.Forget(e.ctx, all[2].SourceTraceID)
	e.must(err)
	all = slices.Delete(all, 2, 3)
	stats, err := e.s.PatternStats(e.ctx, extract.StatsQuery{})
	e.must(err)
	e.diff("stats", stats, extract.Stats{Counts: countedDays(all, extract.StatsQuery{}), Complete: true})
	groups, err := e.s.Groups(e.ctx, extract.GroupQuery{})
	e.must(err)
	e.diff("groups", groups, extract.Groups{List: grouped(all, extract.StatsQuery{}), Complete: true})
	for _, q := range []extract.PatternQuery{{Text: "failure"}, {Text: "script"}, {Sort: extract.BySeverity}} {
		if got, want := e.allPages(q, len(all)), reference(all, q); !slices.Equal(got, want) {
			e.Errorf("%s: got %q, want %q", describe(q), got, want)
		}
	}
}

func on(p evalforge.Pattern, q extract.StatsQuery) bool {
	day := extract.Day(p.ExtractedAt.Time)
	return (q.Since.IsZero() || day >= extract.Day(q.Since)) && (q.Until.IsZero() || day <= extract.Day(q.Until))
}

func countedDays(all []evalforge.Pattern, q extract.StatsQuery) []extract.Count {
	list := []extract.Count{}
	for _, p := range all {
		if !on(p, q) {
			continue
		}
		c := extract.Count{Day: extract.Day(p.ExtractedAt.Time), FailureType: p.FailureType, Severity: p.Severity, Count: 1}
		i := slices.IndexFunc(list, func(o extract.Count) bool {
			return o.Day == c.Day && o.FailureType == c.FailureType && o.Severity == c.Severity
		})
		if i < 0 {
			list = append(list, c)
		} else {
			list[i].Count++
		}
	}
	slices.SortFunc(list, func(a, b extract.Count) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.FailureType, b.FailureType), cmp.Compare(a.Severity, b.Severity))
	})
	return list
}

func grouped(all []evalforge.Pattern, q extract.StatsQuery) []extract.Group {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b evalforge.Pattern) int {
		return newest(a.ExtractedAt.String(), a.SourceTraceID, b.ExtractedAt.String(), b.SourceTraceID)
	})
	list, lastDay := []extract.Group{}, map[string]string{}
	for _, p := range all {
		i := slices.IndexFunc(list, func(g extract.Group) bool { return g.Fingerprint == p.Fingerprint })
		if i < 0 {
			i = len(list)
			list = append(list, extract.Group{Fingerprint: p.Fingerprint, LastSeen: p.ExtractedAt, FailureType: p.FailureType,
				Severity: p.Severity, Confidence: p.Confidence, TriggerCondition: p.TriggerCondition, Title: p.Title, TraceID: p.SourceTraceID})
		}
		list[i].FirstSeen = p.ExtractedAt
		if on(p, q) {
			list[i].Count++
			lastDay[p.Fingerprint] = max(lastDay[p.Fingerprint], extract.Day(p.ExtractedAt.Time))
		}
	}
	list = slices.DeleteFunc(list, func(g extract.Group) bool { return g.Count == 0 })
	slices.SortFunc(list, func(a, b extract.Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(lastDay[b.Fingerprint], lastDay[a.Fingerprint]), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}
