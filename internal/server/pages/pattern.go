package pages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

type patternPage struct {
	patternRow
	Excerpt string
	// Sources are the same trace in the systems it comes from.
	Sources  []link
	Quotes   []quote
	Timeline *timeline
	Gone     string // why there is no timeline, or ""
	// CameIn is when ingestion fetched the trace; zero when that is not known.
	CameIn evalforge.Timestamp
	// Changed is set when the trace is no longer the one that was analyzed.
	Changed  bool
	Same     []patternRow
	SameAll  string // address of all with the fingerprint
	Earlier  []earlier
	Ticket   string // address
	Redacted []tally
}

// An earlier is a pattern of the same trace that was replaced.
type earlier struct {
	At    evalforge.Timestamp
	Title string
	By    string
}

type tally struct {
	Name  string
	Count int
}

type link struct{ Name, URL string }

// A quote is one piece of evidence.
type quote struct {
	Number   int
	Text     string
	Verified bool
	Match    string
	Step     *int
	Shown    bool // highlighted in the timeline
}

// shownSame is how many other patterns with the fingerprint a page lists.
const shownSame = 5

func (p *Pages) pattern(r *http.Request) (view, error) {
	page, err := p.patternPage(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	if err := p.recurrences(r.Context(), page); err != nil {
		return view{}, err
	}
	return view{template: "pattern", title: page.Pattern.Title, page: page}, nil
}

func (p *Pages) patternPage(ctx context.Context, id string) (*patternPage, error) {
	stored, err := p.o.Store.Pattern(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := p.row(stored)
	if err != nil {
		return nil, err
	}
	page := &patternPage{patternRow: row, Ticket: patternPath(id) + "/ticket"}
	if e := row.Pattern.Evidence.Excerpt; e != nil {
		page.Excerpt = *e
	}
	for _, kind := range sortedKeys(stored.Provenance.Redactions) {
		page.Redacted = append(page.Redacted, tally{kind, stored.Provenance.Redactions[kind]})
	}
	found, sourceID, err := p.timeline(ctx, page, &stored)
	if err != nil {
		return nil, err
	}
	for i, ref := range row.Pattern.Evidence.Refs {
		page.Quotes = append(page.Quotes, quote{Number: i + 1, Text: ref.Quote, Verified: ref.Verified, Match: ref.Match, Step: ref.Step,
			Shown: i < len(found) && found[i]})
	}
	page.Sources = p.o.Sources.links(row.Pattern, cmp.Or(sourceID, id))
	return page, nil
}

// timeline adds the timeline to page, from the raw trace if there is one.
func (p *Pages) timeline(ctx context.Context, page *patternPage, stored *evalforge.Pattern) (found []bool, sourceID string, err error) {
	raw, err := p.o.Store.Trace(ctx, stored.SourceTraceID)
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
		page.Gone = "The raw trace is no longer in the store. What is left of it are the excerpts above."
		return nil, "", nil
	case err != nil:
		return nil, "", err
	}
	page.CameIn = raw.FetchedAt
	in, err := p.view(ctx, raw)
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if err != nil {
		page.Gone = "The raw trace can no longer be read. What is left of it are the excerpts above."
		return nil, "", nil
	}
	page.Changed = stored.Provenance.InputDigest != "" && stored.Provenance.InputDigest != in.Digest
	// Quotes are looked for as they are stored; what they are shown as is redacted and made visible.
	page.Timeline, found, err = newTimeline(in, stored)
	return found, in.Trace.ID, err
}

// view decodes a raw trace when it is its turn.
func (p *Pages) view(ctx context.Context, raw evalforge.RawTrace) (*extract.Input, error) {
	select {
	case p.views <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.views }()
	return p.o.View(raw)
}

// recurrences adds the other patterns with the fingerprint, and what was said of the trace before.
func (p *Pages) recurrences(ctx context.Context, page *patternPage) error {
	q := extract.PatternQuery{PageQuery: extract.PageQuery{Limit: shownSame + 1}, Fingerprint: page.Pattern.Fingerprint}
	if q.Fingerprint != "" {
		same, _, err := p.o.Store.Patterns(ctx, q)
		if err != nil {
			return err
		}
		for _, other := range same {
			if other.SourceTraceID == page.ID || len(page.Same) == shownSame {
				continue
			}
			row, err := p.row(other)
			if err != nil {
				return err
			}
			page.Same = append(page.Same, row)
		}
		page.SameAll = filter{Fingerprint: q.Fingerprint}.path()
	}
	before, err := p.o.Store.History(ctx, page.ID, shownSame)
	if err != nil {
		return err
	}
	for _, old := range before {
		row, err := p.row(old)
		if err != nil {
			return err
		}
		page.Earlier = append(page.Earlier, earlier{old.ExtractedAt, row.Pattern.Title, join(row.Pattern.Provenance.Analyzer, row.Pattern.Provenance.ModelVersion)})
	}
	return nil
}

// ticket answers with the pattern as Markdown for an incident ticket.
func (p *Pages) ticket(w http.ResponseWriter, r *http.Request) {
	page, err := p.patternPage(r.Context(), r.PathValue("id"))
	if err != nil {
		p.render(w, r, p.problem(r, err))
		return
	}
	var b bytes.Buffer
	writeTicket(&b, page)
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Content-Type", "text/plain; charset=utf-8") // shown, not downloaded, when opened
	h.Set("Cache-Control", "private, no-cache")
	answer(w, r, b.Bytes())
}
