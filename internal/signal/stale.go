package signal

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

var (
	cutoffText = compile(`(?i)\b(?:as of|since|up to|until|at the time of) my (?:last|latest|most recent|final)? ?(?:knowledge |training |data )?(?:update|training|cut-?off|knowledge|data)|my (?:knowledge|training(?: data)?|information|data)(?: base)?(?: was| is| has been)? ?(?:cut-?off|only (?:goes|extends)|ends|stops|was last updated|last updated|limited to|current (?:up )?to|up to date (?:only )?(?:as of|until))|knowledge cut-?off|training cut-?off|i (?:do not|don'?t|can ?not|can'?t|have no) (?:(?:have|know|see)(?: of| about| any| access to)? ?)?(?:(?:any |newer |more recent )?(?:data|information|knowledge|events|anything|records?|news))? ?(?:beyond|after|past|newer than|more recent than|later than) (?:\w+ )?(?:19|20)\d{2}|i (?:do not|don'?t|cannot|can'?t) (?:have )?(?:access|browse|real-?time)\S* (?:to )?(?:real-?time|current|live|up-?to-?date)`)
	// currentAsk matches questions about the present.
	currentAsk = compile(`(?i)\b(?:today|tonight|current(?:ly)?|latest|newest|most recent(?:ly)?|up-?to-?date|this (?:week|month|year|quarter|morning)|at the moment|right now|real-?time)\b`)
	// tellsNow matches statements of the present date, which ask for nothing.
	tellsNow = compile(`(?i)(?:today's date|today|the current (?:date|time)|current (?:date|time))(?: and time)?(?: is|:| =)[^\n.?!]{0,40}`)
	// The marks match what sources say about their own age.
	staleMark      = compile(`(?i)"?(?:is_?)?(?:stale|expired|outdated)"?\s*[:=]\s*"?(?:true|yes|1)\b|"?(?:cache|cache_?status|x-cache|status)"?\s*[:=]\s*"?(?:stale|expired|hit[ _-]?(?:stale|expired))|\b(?:stale|expired|outdated) (?:cache|cached|entry|result|copy)|served (?:stale|from (?:an? )?(?:stale|expired))|(?:cache|ttl) (?:entry )?(?:has )?expired|past its (?:ttl|validity|expiry)|warning:? ?1?1?0?.{0,12}response is stale`)
	supersededMark = compile(`(?i)\b(?:superseded|replaced|obsoleted) (?:by|on|in|since|as of)|"?(?:superseded|deprecated|obsolete|archived|retired|is_current|current|active|in_effect)(?:_by|_version)?"?\s*[:=]\s*(?:"?(?:true|yes)\b|"(?:v|\d)|false\b)|no longer (?:in effect|valid|current|applies|supported|offered)|\b(?:this|the) (?:document|page|policy|version|article|price list|api|endpoint|plan|rate|offer) (?:is|was|has been) (?:deprecated|superseded|obsolete|archived|retired|withdrawn|replaced|discontinued|expired)|valid (?:until|through|to):? ?"?\d{4}|"?(?:valid_until|valid_to|expires(?:_at|_on)?|effective_until|effective_to|expiry(?:_date)?|end_date)"?\s*[:=]\s*"?\d{4}`)
	overdueMark    = compile(`(?i)(?:sync(?:hroni[sz]ation)?|refresh|index(?:ing)?|replica(?:tion)?|import|ingest(?:ion)?|feed|snapshot|crawl)\w*.{0,40}(?:overdue|lag(?:ging|s)?\b|behind|out of date|stale|failed|stopped|paused|not (?:been )?(?:refreshed|updated|synced|run))|(?:overdue|out of date|lagging|stale) (?:index|replica|feed|snapshot|mirror)`)
	refreshField   = compile(`(?i)"?(?:last_?(?:sync(?:ed|hronized)?|refresh(?:ed)?|index(?:ed)?|crawl(?:ed)?|import(?:ed)?|ingested)(?:_?(?:at|on|time|date))?|(?:indexed|synced|refreshed|crawled|snapshot|as_of|data_as_of)_?(?:at|on|time|date)?)"?\s*[:=]\s*"?(\d{4}-\d{2}-\d{2})`)
	cachedField    = compile(`(?i)"(?:cached_?at|cache_?(?:time|date|timestamp)|retrieved_from_cache_at)"\s*:\s*"(\d{4}-\d{2}-\d{2})`)
	isoDate        = compile(`\b(19|20)\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b`)
	longDate       = compile(`(?i)\b(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.? (?:(\d{1,2})(?:st|nd|rd|th)?,? )?((?:19|20)\d{2})\b`)
	nowMark        = compile(`(?i)(?:today(?:'s date)?|current (?:date|time|day)|now|date)(?: and time)?(?: is|:| =)\s*(?:\w+,? )?`)
)

// How old sources may be, in days, before a question about the present makes them stale.
// A year is what nobody calls current; a data source that says when it was refreshed
// should have been within a month.
const (
	oldDocumentDays = 365
	oldRefreshDays  = 30
)

// stale finds answers that rest on information out of date for the question. Nothing
// public measures these rules: no open data set labels stale data. They therefore need
// two things at once: a question about the present, and a source or answer that gives
// away its age.
func stale(v *view) []Signal {
	asks := currentAsk.MatchString(tellsNow.ReplaceAllString(v.question(), " "))
	now := v.now()
	var found []Signal
	add := func(s Signal, ok bool) {
		if ok {
			s.Name, s.FailureType = "stale", evalforge.StaleData
			found = append(found, s)
		}
	}
	add(v.cutoff(asks))
	if v.answer().step < 0 {
		return found
	}
	if v.admits() {
		return found // the answer tells the user how old it is
	}
	add(v.marked(staleMark, staleWords, CondExpiredCache, "carries the mark of an expired or stale cache entry", 0.75))
	add(v.marked(overdueMark, overdueWords, CondNotRefreshed, "says that its source was not refreshed", 0.65))
	add(v.aged(cachedField, now, 7, CondExpiredCache, "was cached long before the run"))
	add(v.aged(refreshField, now, oldRefreshDays, CondNotRefreshed, "was refreshed long before the run"))
	add(v.superseded(now))
	add(v.ignoresNewer(asks))
	if asks {
		add(v.oldSources(now))
	}
	return found
}

// cutoff finds outputs that speak of the model's own knowledge as dated.
func (v *view) cutoff(asks bool) (Signal, bool) {
	for _, p := range v.outputs {
		q, ok := match(cutoffText, p.text)
		if !ok {
			continue
		}
		s := Signal{
			Condition: CondCutoff, Weight: 0.4, Step: p.step, Cause: p.step, Quote: q,
			Detail: v.label(p.step) + " speaks of the model's knowledge cutoff",
		}
		if asks && len(v.results) == 0 {
			s.Weight = 0.75
		}
		return s, true
	}
	return Signal{}, false
}

// ageWarning matches answers that warn of the age of what they say.
var ageWarning = compile(`(?i)may (?:be|have) (?:outdated|out of date|changed|stale)|might (?:be|have) (?:outdated|out of date|changed)|please (?:verify|check|confirm)|note that (?:this|the) (?:data|information|document|price|result)\w* (?:is|was|dates)|(?:is|was) last (?:updated|refreshed|synced)|(?:is|are|looks?|seems?) (?:outdated|out of date|stale|expired|deprecated|superseded|obsolete)|no longer (?:valid|current|in effect)|superseded`)

func (v *view) admits() bool { return ageWarning.MatchString(v.answer().text) }

// used returns the results before the final answer.
func (v *view) used() []passage {
	last := v.answer().step
	for i, r := range v.results {
		if r.step > last {
			return v.results[:i]
		}
	}
	return v.results
}

// marked finds a result that matches re. One of the words stands in every match; they
// are looked for first, at a fraction of the cost.
func (v *view) marked(re *wording, words []string, condition, what string, weight float64) (Signal, bool) {
	for _, r := range v.used() {
		if !containsAny(r.text, words) {
			continue
		}
		if q, ok := match(re, r.text); ok {
			return Signal{
				Condition: condition, Weight: weight, Step: r.step, Cause: r.step, Quote: q,
				Detail: fmt.Sprintf("the result of %s %s, and the answer uses it without saying so", v.label(r.step), what),
			}, true
		}
	}
	return Signal{}, false
}

// aged finds results with a dated field that is more than days before now.
func (v *view) aged(re *wording, now time.Time, days int, condition, what string) (Signal, bool) {
	if now.IsZero() {
		return Signal{}, false
	}
	for _, r := range v.used() {
		m := re.FindStringSubmatchIndex(scanned(r.text))
		if m == nil {
			continue
		}
		at, err := time.Parse(time.DateOnly, r.text[m[2]:m[3]])
		if err != nil || now.Sub(at) < time.Duration(days)*24*time.Hour {
			continue
		}
		return Signal{
			Condition: condition, Weight: 0.6, Step: r.step, Cause: r.step, Quote: quote(r.text, m[0], m[1]),
			Detail: fmt.Sprintf("the result of %s %s", v.label(r.step), what),
		}, true
	}
	return Signal{}, false
}

// Words of which one stands in every match of the pattern of the same name.
var (
	staleWords      = []string{"stale", "expired", "outdated"}
	overdueWords    = []string{"overdue", "lag", "behind", "out of date", "stale", "failed", "stopped", "paused", "not "}
	supersededWords = []string{"supersed", "replaced", "obsolete", "deprecated", "archived", "retired", "current", "active", "effect", "no longer",
		"withdrawn", "discontinued", "expir", "valid", "effective", "end_date"}
)

func containsAny(text string, words []string) bool {
	text = strings.ToLower(scanned(text))
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// superseded finds results that say that they are no longer in effect.
func (v *view) superseded(now time.Time) (Signal, bool) {
	for _, r := range v.used() {
		if !containsAny(r.text, supersededWords) {
			continue
		}
		for _, m := range supersededMark.FindAllStringIndex(scanned(r.text), 20) {
			text := strings.ToLower(r.text[m[0]:m[1]])
			if !v.outOfEffect(text, r.text[m[0]:min(len(r.text), m[1]+8)], now) {
				continue
			}
			return Signal{
				Condition: CondSuperseded, Weight: 0.65, Step: r.step, Cause: r.step, Quote: quote(r.text, m[0], m[1]),
				Detail: fmt.Sprintf("the result of %s says that it is no longer in effect, and the answer uses it without saying so", v.label(r.step)),
			}, true
		}
	}
	return Signal{}, false
}

// outOfEffect reads one match of supersededMark: fields such as "current": true and a
// validity that lies in the future say the opposite.
func (v *view) outOfEffect(match, wider string, now time.Time) bool {
	positive := strings.Contains(match, "current") || strings.Contains(match, "active") || strings.Contains(match, "in_effect")
	switch {
	case strings.HasSuffix(match, "false"):
		return positive
	case positive:
		return false
	case strings.Contains(match, "valid") || strings.Contains(match, "expir") || strings.Contains(match, "effective") || strings.Contains(match, "end_date"):
		if m := isoDate.FindString(wider); m != "" {
			until, err := time.Parse(time.DateOnly, m)
			return err == nil && !now.IsZero() && until.Before(now.AddDate(0, 0, -1))
		}
		return strings.Contains(match, "no longer")
	}
	return true
}

// oldSources finds dated sources of which even the newest is old.
func (v *view) oldSources(now time.Time) (Signal, bool) {
	if now.IsZero() {
		return Signal{}, false
	}
	var newest time.Time
	var at passage
	var where []int
	for _, r := range v.used() {
		for _, d := range dates(r.text) {
			if d.at.After(newest) {
				newest, at, where = d.at, r, []int{d.start, d.end}
			}
		}
	}
	if newest.IsZero() || now.Sub(newest) < oldDocumentDays*24*time.Hour {
		return Signal{}, false
	}
	s := Signal{
		Condition: CondOldDocument, Weight: 0.6, Step: at.step, Cause: at.step, Quote: quote(at.text, where[0], where[1]),
		Detail: fmt.Sprintf("the question is about the present, and the newest date in any result, at %s, is %d days before it",
			v.label(at.step), int(now.Sub(newest).Hours()/24)),
	}
	if !v.document(at) {
		s.Weight = 0.4
	}
	return s, true
}

// searchTool matches names of tools that find documents.
var searchTool = compile(`(?i)search|retriev|doc|news|web|knowledge|browse|wiki|article|\bkb|page|polic|faq|rag\b`)

// document reports whether a result is a document and not a record: the dates of
// records, such as birthdays and orders, say nothing about their age.
func (v *view) document(p passage) bool {
	s := &v.t.Steps[p.step]
	return s.Kind == trace.KindRetrieval || searchTool.MatchString(s.Name) ||
		s.Tool != nil && searchTool.MatchString(s.Tool.Name) ||
		!strings.HasPrefix(strings.TrimSpace(p.text), "{") && strings.Count(p.text, " ") >= 15
}

// now returns when the run took place: what the prompts say, else the trace's start.
func (v *view) now() time.Time {
	for _, p := range v.inputs {
		for _, m := range nowMark.FindAllStringIndex(scanned(p.text), 5) {
			rest := p.text[m[1]:min(len(p.text), m[1]+32)]
			if ds := dates(rest); len(ds) > 0 && ds[0].start <= 12 {
				return ds[0].at
			}
		}
	}
	return v.t.Start
}

// A dated is a date in a text.
type dated struct {
	at         time.Time
	start, end int
}

var months = map[string]time.Month{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}

// dates finds dates with at least a month and a year. It looks at the first 200 of
// either form.
func dates(text string) []dated {
	var found []dated
	text = scanned(text)
	for _, m := range isoDate.FindAllStringIndex(text, 200) {
		if at, err := time.Parse(time.DateOnly, text[m[0]:m[1]]); err == nil {
			found = append(found, dated{at, m[0], m[1]})
		}
	}
	for _, m := range longDate.FindAllStringSubmatchIndex(text, 200) {
		month := months[strings.ToLower(text[m[2]:m[3]])[:3]]
		year, _ := strconv.Atoi(text[m[6]:m[7]])
		day := 28 // the end of a month that is all we know
		if m[4] >= 0 {
			day, _ = strconv.Atoi(text[m[4]:m[5]])
		}
		found = append(found, dated{time.Date(year, month, max(1, min(day, 31)), 0, 0, 0, 0, time.UTC), m[0], m[1]})
	}
	return found
}

// ignoresNewer finds a result with several dated versions of one thing of which the
// answer repeats a figure that only an older one has, and none that the newest has.
// Items are versions of one thing when they share a name, or are documents found for a
// question about the present: lists of different things with dates, such as flights,
// fired on 3 of 84 successful runs of a public benchmark.
func (v *view) ignoresNewer(asks bool) (Signal, bool) {
	answer := figures(v.answer().text)
	if len(answer) == 0 {
		return Signal{}, false
	}
	for _, r := range v.used() {
		items := datedItems(r.text)
		if len(items) < 2 || !oneThing(items) && !(asks && documents(items)) {
			continue
		}
		newest := items[0]
		for _, it := range items[1:] {
			if it.at.After(newest.at) {
				newest = it
			}
		}
		old, fresh := "", false
		for n := range answer {
			in := 0
			for _, it := range items {
				if it.figures[n] && !it.at.Equal(newest.at) {
					in++
				}
			}
			switch {
			case newest.figures[n]:
				fresh = true
			case in > 0:
				old = n
			}
		}
		if old == "" || fresh {
			continue
		}
		s := Signal{
			Condition: CondNewerIgnored, Weight: 0.45, Step: v.answer().step, Cause: v.answer().step, Quote: head(v.answer().text),
			Detail: fmt.Sprintf("the answer at %s uses a figure of an older item, though the result of %s has a newer one", v.label(v.answer().step), v.label(r.step)),
		}
		if asks {
			s.Weight = 0.6
		}
		return s, true
	}
	return Signal{}, false
}

// A datedItem is one element of a list in a result, with its newest date.
type datedItem struct {
	at      time.Time
	name    string // what it is about, or ""
	prose   bool   // has a text of several words
	figures map[string]bool
}

// documents reports whether every item has a text, as search results and articles have.
func documents(items []datedItem) bool {
	for _, it := range items {
		if !it.prose {
			return false
		}
	}
	return true
}

// oneThing reports whether all items have the same name.
func oneThing(items []datedItem) bool {
	for _, it := range items {
		if it.name == "" || it.name != items[0].name {
			return false
		}
	}
	return true
}

// datedItems returns the elements of the first list of objects in a JSON result that
// all carry a date.
func datedItems(text string) []datedItem {
	var items []datedItem
	for _, e := range firstList(text) {
		b, err := json.Marshal(e)
		if err != nil {
			return nil
		}
		it := datedItem{figures: map[string]bool{}}
		rest := string(b)
		for _, d := range dates(rest) {
			if d.at.After(it.at) {
				it.at = d.at
			}
		}
		if it.at.IsZero() {
			return nil
		}
		if obj, ok := e.(map[string]any); ok {
			for _, e := range obj {
				text, _ := e.(string)
				it.prose = it.prose || strings.Count(text, " ") >= 5
			}
			for _, key := range []string{"name", "title", "product", "item", "subject", "topic", "sku", "symbol", "metric", "policy", "document", "key"} {
				if name, ok := obj[key].(string); ok {
					it.name = strings.ToLower(name)
					break
				}
			}
		}
		it.figures = figures(isoDate.ReplaceAllString(rest, " "))
		items = append(items, it)
	}
	return items
}
