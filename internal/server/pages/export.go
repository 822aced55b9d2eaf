package pages

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// An export reads so many patterns at a time, and writes so many bytes.
const (
	exportChunk  = 100
	exportBuffer = 32 << 10
)

// export answers with all patterns that a filter chooses, as they are stored but redacted once more.
func (p *Pages) export(w http.ResponseWriter, r *http.Request) {
	write, kind := writeJSONL, "application/jsonl"
	switch r.PathValue("file") {
	case "patterns.jsonl":
	case "patterns.csv":
		write, kind = writeCSV, "text/csv; charset=utf-8"
	default:
		p.render(w, r, p.problem(r, evalforge.ErrNotFound))
		return
	}
	v := typed(r.URL.RawQuery)
	f, err := parseFilter(v)
	var q extract.PatternQuery
	if err == nil {
		q, err = f.query()
	}
	if list := f.ignored(v); err == nil && len(list) > 0 {
		err = list[0]
	}
	if err != nil {
		p.render(w, r, p.problem(r, err))
		return
	}
	q.Limit = exportChunk
	first, next, err := p.chunk(r.Context(), q)
	if err != nil { // until here the answer can still be another
		p.render(w, r, p.problem(r, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+r.PathValue("file")+`"`)
	if r.Method == http.MethodHead {
		return
	}
	out := bufio.NewWriterSize(w, exportBuffer)
	err = write(out, func(yield func(*evalforge.Pattern) error) error {
		for {
			for i := range first {
				if err := yield(&first[i]); err != nil {
					return err
				}
			}
			if next == "" {
				return nil
			}
			q.After = next
			var err error
			if first, next, err = p.chunk(r.Context(), q); err != nil {
				return err
			}
		}
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		p.o.Log.WarnContext(r.Context(), "an export ended early", "error", err)
		panic(http.ErrAbortHandler) // a file that is cut must not look whole
	}
}

func (p *Pages) chunk(ctx context.Context, q extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	list, next, err := p.o.Store.Patterns(ctx, q)
	for i := range list {
		if err == nil {
			list[i], err = p.o.Clean.Pattern(list[i])
		}
	}
	return list, next, err
}

// An each calls yield with pattern after pattern.
type each func(yield func(*evalforge.Pattern) error) error

func writeJSONL(w io.Writer, all each) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return all(func(p *evalforge.Pattern) error { return enc.Encode(p) })
}

func writeCSV(w io.Writer, all each) error {
	c := csv.NewWriter(w)
	err := c.Write([]string{"trace_id", "extracted_at", "failure_type", "severity", "confidence", "trigger_condition", "title", "summary",
		"root_cause_hypothesis", "recommended_actions", "excerpt", "quotes", "verified_quotes", "failing_step", "service", "model", "run_id", "fingerprint"})
	if err == nil {
		err = all(func(p *evalforge.Pattern) error { return c.Write(csvRow(p)) })
	}
	c.Flush()
	if err == nil {
		err = c.Error()
	}
	return err
}

func csvRow(p *evalforge.Pattern) []string {
	excerpt, step, verified := "", "", 0
	if p.Evidence.Excerpt != nil {
		excerpt = *p.Evidence.Excerpt
	}
	if f := p.FailingStep; f != nil {
		step = strings.TrimSpace(fmt.Sprintf("%d %s", f.Index, f.Name))
	}
	for _, ref := range p.Evidence.Refs {
		if ref.Verified {
			verified++
		}
	}
	row := []string{p.SourceTraceID, p.ExtractedAt.String(), string(p.FailureType), string(p.Severity),
		strconv.FormatFloat(p.Confidence, 'f', -1, 64), p.TriggerCondition, p.Title, p.Summary, p.RootCauseHypothesis,
		strings.Join(p.RecommendedActions, "\n"), excerpt, strconv.Itoa(len(p.Evidence.Refs)), strconv.Itoa(verified), step,
		p.Provenance.ServiceName, p.Provenance.Model, p.Provenance.RunID, p.Fingerprint}
	for i, s := range row {
		row[i] = cell(s)
	}
	return row
}

// cell keeps spreadsheets from taking text of a trace for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
