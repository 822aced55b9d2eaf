package extract

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
)

// An answer is written by a model that has read text from strangers, and is read by
// people in browsers, terminals, chats and issue trackers, and by other models. This file
// is what is put right without asking again; what needs another answer is refused
// (verify.go, label.go).
//
//	control characters, terminal sequences, bidirectional and invisible characters
//	                          removed everywhere, quotes included
//	HTML                      angle brackets of tags become ‹ ›, quotes included
//	Markdown images and links taken apart: nothing loads or is clicked by itself
//	addresses in prose        written so that no program makes a link of them, without
//	                          their query; in recommended actions removed
//	white space, null lists, items over their bound, numbers in the label
//	                          trimmed, emptied, cut, removed

// clone returns a copy that shares nothing that tidying changes: the same answer may be
// used for more than one trace.
func clone(a evalforge.Analysis) evalforge.Analysis {
	a.Evidence.Signals = slices.Clone(a.Evidence.Signals)
	a.Evidence.Refs = slices.Clone(a.Evidence.Refs)
	a.RecommendedActions = slices.Clone(a.RecommendedActions)
	a.ReproductionContext.ToolsInvolved = slices.Clone(a.ReproductionContext.ToolsInvolved)
	return a
}

// tidy puts right what needs no knowledge of the trace.
func tidy(a *evalforge.Analysis) {
	for _, s := range []*string{&a.Summary, &a.RootCauseHypothesis, &a.ReproductionContext.InputPattern, &a.ConfidenceRationale} {
		*s = excerpt.Visible(*s)
	}
	a.Title = cutRunes(oneLine(excerpt.Visible(a.Title)), evalforge.MaxTitleRunes)
	a.TriggerCondition = tidyLabel(excerpt.Visible(a.TriggerCondition))
	for _, list := range []*[]string{&a.Evidence.Signals, &a.RecommendedActions, &a.ReproductionContext.ToolsInvolved} {
		if *list == nil {
			*list = []string{}
		}
		for i, s := range *list {
			(*list)[i] = cutRunes(excerpt.Visible(s), evalforge.MaxItemRunes)
		}
	}
	if a.Evidence.Refs == nil {
		a.Evidence.Refs = []evalforge.EvidenceRef{}
	}
	for i := range a.Evidence.Refs {
		a.Evidence.Refs[i].Quote = excerpt.Visible(a.Evidence.Refs[i].Quote)
	}
	a.Evidence.Excerpt = tidyOptional(a.Evidence.Excerpt, evalforge.MaxExcerptRunes)
	a.ReproductionContext.RequiredState = tidyOptional(a.ReproductionContext.RequiredState, evalforge.MaxTextRunes)
}

func tidyOptional(s *string, max int) *string {
	if s == nil {
		return nil
	}
	t := cutRunes(excerpt.Visible(*s), max)
	if t == "" {
		return nil
	}
	return &t
}

// disarm takes markup and addresses apart. It comes after redaction, which recognises
// credentials in addresses.
func disarm(a *evalforge.Analysis) {
	for _, s := range []*string{&a.Title, &a.Summary, &a.RootCauseHypothesis, &a.ReproductionContext.InputPattern,
		&a.ConfidenceRationale, a.ReproductionContext.RequiredState} {
		if s != nil {
			*s = disarmed(*s)
		}
	}
	for i, s := range a.Evidence.Signals {
		a.Evidence.Signals[i] = disarmed(s)
	}
	for i, s := range a.ReproductionContext.ToolsInvolved {
		a.ReproductionContext.ToolsInvolved[i] = disarmed(s)
	}
	for i, s := range a.RecommendedActions {
		a.RecommendedActions[i] = noTags(noMarkdown(noBareLinks(address.ReplaceAllString(s, linkRemoved))))
	}
	if e := a.Evidence.Excerpt; e != nil {
		*e = noTags(noMarkdown(*e))
	}
	for i := range a.Evidence.Refs {
		r := &a.Evidence.Refs[i]
		r.Quote, r.SpanID = noTags(noMarkdown(r.Quote)), name(r.SpanID)
	}
	if f := a.FailingStep; f != nil {
		f.SpanID, f.Name, f.Agent = name(f.SpanID), name(f.Name), name(f.Agent)
	}
	// Taking apart adds characters, and bounds are bounds.
	tidy(a)
	a.Summary = cutRunes(a.Summary, evalforge.MaxTextRunes)
	a.RootCauseHypothesis = cutRunes(a.RootCauseHypothesis, evalforge.MaxTextRunes)
	a.ReproductionContext.InputPattern = cutRunes(a.ReproductionContext.InputPattern, evalforge.MaxTextRunes)
	a.ConfidenceRationale = cutRunes(a.ConfidenceRationale, evalforge.MaxTextRunes)
	for i := range a.Evidence.Refs {
		a.Evidence.Refs[i].Quote = cutRunes(a.Evidence.Refs[i].Quote, evalforge.MaxItemRunes)
	}
}

func disarmed(s string) string { return noTags(noMarkdown(deadHosts(deadLinks(s)))) }

// maxNameRunes bounds names and ids that are taken from the trace.
const maxNameRunes = 200

// name makes a name from the trace fit to be stored: one line, bounded, inert.
func name(s string) string { return cutRunes(noTags(oneLine(excerpt.Visible(s))), maxNameRunes) }

var (
	// tag matches HTML's, and those by which chats call people and channels: <!here>, <@U1>.
	tag          = regexp.MustCompile(`<((?:[a-zA-Z/!?]|[@#][!&\w])[^<>]*)(>?)`)
	markdownLink = regexp.MustCompile(`!?\[([^\[\]]*)\](\(|\[)`)
	// bareAddress matches an address without a scheme, which chats make a link of: a host
	// with a path, or one under a common top-level domain.
	bareAddress = regexp.MustCompile(`(?i)(?:[\p{L}\p{N}_-]+@)?(?:(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+\p{L}{2,24}|\b\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?(?:/[^\s<>"'` + "`" + `)\[\]}]+|/|\b)`)
	// address matches what programs make a link of, or act on.
	address = regexp.MustCompile(`(?i)(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.|\b(?:javascript|vbscript|mailto):|\bdata:[a-z]+/)[^\s<>"'` + "`" + `)\[\]}]+`)
)

const linkRemoved = "[link removed]"

// noTags replaces the angle brackets of tags by look-alikes.
func noTags(s string) string {
	if !strings.Contains(s, "<") {
		return s
	}
	// Once more for a tag that the bracket of another hid.
	for range 4 {
		t := tag.ReplaceAllStringFunc(s, func(m string) string {
			m = "‹" + m[1:]
			if inner, ok := strings.CutSuffix(m, ">"); ok {
				m = inner + "›"
			}
			return m
		})
		if t == s {
			break
		}
		s = t
	}
	return s
}

// noMarkdown takes images and links apart: the text stays, the target is mere text.
func noMarkdown(s string) string {
	return markdownLink.ReplaceAllStringFunc(s, func(m string) string {
		if strings.Contains(m, "[REDACTED:") || strings.Contains(m, linkRemoved) {
			return m
		}
		return strings.TrimPrefix(m[:len(m)-1], "!") + " " + m[len(m)-1:]
	})
}

// deadLinks writes addresses so that nothing makes a link of them, and without query and
// fragment, in which data could leave: https://a.example/b?c=d becomes
// hxxps://a[.]example/b.
func deadLinks(s string) string {
	return address.ReplaceAllStringFunc(s, func(m string) string {
		if strings.Contains(m, "[REDACTED:") {
			return m
		}
		m, _, _ = strings.Cut(m, "?")
		m, _, _ = strings.Cut(m, "#")
		scheme, rest, ok := strings.Cut(m, "://")
		switch {
		case !ok && strings.HasPrefix(strings.ToLower(m), "www."):
			return strings.ReplaceAll(m, ".", "[.]")
		case !ok:
			return linkRemoved
		}
		host, path, slash := strings.Cut(strings.ReplaceAll(rest, "://", "[:]//"), "/")
		if slash {
			path = "/" + path
		}
		switch lower := strings.ToLower(scheme); lower {
		case "http", "https":
			scheme = "hxxp" + lower[4:] + "://"
		case "hxxp", "hxxps":
			scheme += "://"
		default:
			scheme += "[:]//"
		}
		return scheme + strings.ReplaceAll(host, ".", "[.]") + path
	})
}

// fileTypes end names that look like hosts: utils.py/handlers. Some are top-level domains
// all the same.
var fileTypes = wordSet(`go py js ts mjs cjs jsx tsx json jsonl yaml yml md txt html htm css java kt rb rs php sh bash toml ini cfg
	conf xml csv log lock sql tf proto c h cc cpp hpp cs swift env pem zip gz tar ipynb`)

// domains are top-level domains under which a host alone is made a link of by chats.
var domains = wordSet(`com net org edu gov int biz xyz top site online club shop live click link zip mov ru cn de uk eu example test`)

func wordSet(s string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}

// eachHost replaces the addresses without a scheme in s.
func eachHost(s string, replace func(address, top string, path bool) string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return bareAddress.ReplaceAllStringFunc(s, func(m string) string {
		host, rest, path := strings.Cut(m, "/")
		host, _, _ = strings.Cut(host, ":")
		top := host[strings.LastIndexByte(host, '.')+1:]
		path = path && strings.Trim(rest, "/.,;:") != ""
		if !path && !domains[strings.ToLower(top)] {
			return m
		}
		return replace(m, top, path)
	})
}

// deadHosts writes addresses without a scheme as deadLinks does those with one.
func deadHosts(s string) string {
	return eachHost(s, func(m, _ string, _ bool) string { return deadHost(m) })
}

func deadHost(m string) string {
	m, _, _ = strings.Cut(m, "?")
	m, _, _ = strings.Cut(m, "#")
	host, path, slash := strings.Cut(m, "/")
	if slash {
		path = "/" + path
	}
	return strings.ReplaceAll(host, ".", "[.]") + path
}

// noBareLinks removes addresses with a path from s. What may be the name of a file, a
// method or a host that is only named is written so that nothing makes a link of it.
func noBareLinks(s string) string {
	return eachHost(s, func(m, top string, path bool) string {
		if !path || fileTypes[top] || strings.ToLower(top) != top {
			return deadHost(m)
		}
		return linkRemoved
	})
}

// oneLine folds white space.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// tidyLabel removes numbers, which belong to one trace and not to a label.
func tidyLabel(s string) string {
	words := strings.Fields(s)
	kept := words[:0]
	for _, w := range words {
		if !strings.ContainsFunc(w, unicode.IsDigit) {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// cutRunes returns s, or its first max-1 characters and an ellipsis.
func cutRunes(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	n := 0
	for i := range s {
		if n == max-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
