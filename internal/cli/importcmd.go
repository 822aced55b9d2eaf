package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/trace"
)

func importCommand() command {
	var format, resume string
	return command{
		name: "import", args: "FILE|DIR|-…", minArgs: 1, maxArgs: -1,
		short: "read traces from files, folders or standard input into the store",
		long: `Reads traces into the raw-trace collection, redacted. A file may hold one trace or many (JSON, JSON Lines, OTLP in protobuf; gzip and zstd are undone); folders are read with their subfolders.
What is no trace is listed with file and line and recorded, and the rest is imported. Importing the same input again changes nothing.`,
		examples: []string{
			"evalforge import traces/",
			"zcat export.jsonl.gz | evalforge import -",
			"evalforge import -store sqlite:prod.db -format openai chat.jsonl",
			"evalforge import -resume import.checkpoint huge.jsonl.zst",
		},
		uses: []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&format, "format", "auto", "The `FORMAT` of the traces: auto recognises it, or one of "+strings.Join(trace.Formats(), ", ")+".")
			fs.StringVar(&resume, "resume", "", "Keep how far the import has come in this `FILE`, and go on from there if it exists. It is removed at the end.")
		},
		run: func(ctx context.Context, c *call) error { return runImport(ctx, c, format, resume) },
	}
}

func runImport(ctx context.Context, c *call, format, resume string) (err error) {
	opt, err := splitOptions(format)
	if err != nil {
		return err
	}
	s, err := c.open(ctx, mayCreate)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()
	c.term.note("importing into %s", c.cfg.store)
	sum, err := c.importInto(ctx, s, opt, resume, c.args)
	if sum.RunID != "" && (err == nil || sum.Read > 0) {
		if werr := c.writeImport(sum); werr != nil {
			return werr
		}
	}
	if err != nil && ctx.Err() != nil {
		return somef("", "%w", err)
	}
	if err != nil {
		return err
	}
	if sum.Files == 0 && sum.Failed == 0 {
		return somef("name a file to import it whatever its ending", "no file was found: of a folder, files whose names end in %s are read", strings.Join(ingest.Extensions(), ", "))
	}
	if sum.Failed > 0 {
		return somef(c.hint("", "", "errors list", "-run", sum.RunID), "%s not imported", were(sum.Failed, "input", "inputs"))
	}
	return nil
}

func splitOptions(format string) (trace.SplitOptions, error) {
	if format == "auto" {
		return trace.SplitOptions{}, nil
	}
	if known := trace.Formats(); !slices.Contains(known, format) {
		return trace.SplitOptions{}, usagef("evalforge help import", "-format: %q is none of auto, %s", format, strings.Join(known, ", "))
	}
	return trace.SplitOptions{Format: format}, nil
}

// percentFrom is the size of an import from which its progress is told in percent, in
// bytes; that of a smaller one is over before it says much.
const percentFrom = 64 << 20

// importInto imports sources with a progress bar: in percent where they are large and their
// size is known.
func (c *call) importInto(ctx context.Context, s *session, opt trace.SplitOptions, resume string, sources []string) (ingest.Summary, error) {
	var bar *bar
	defer func() {
		if bar != nil {
			bar.end()
		}
	}()
	im := c.importer(s)
	im.Split, im.Stdin, im.Checkpoint = opt, c.Stdin, resume
	if resume != "" {
		// The key is made with the store, so that a file of the same name is another store.
		key, err := s.store.InstallationKey(ctx)
		if err != nil {
			return ingest.Summary{}, fmt.Errorf("store %s: %w", c.cfg.store, err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("checkpoint"))
		im.StoreName, im.StoreID = c.cfg.store.String(), hex.EncodeToString(mac.Sum(nil)[:8])
	}
	im.Progress = func(p ingest.Progress) {
		percent, known := p.Percent()
		known = known && p.BytesTotal >= percentFrom
		switch {
		case bar == nil && known:
			bar = c.term.percent("importing")
		case bar == nil:
			bar = c.term.progress("importing", 0)
		}
		if known {
			bar.setPercent(percent, count(p.Documents, "document", "documents"))
		} else {
			bar.set(p.Documents)
		}
	}
	return im.Import(ctx, sources...)
}

// importer returns an importer into the session's store. It does not log: the summary
// says the same.
func (c *call) importer(s *session) *ingest.Importer {
	return &ingest.Importer{Store: s.store, Redactor: s.redactor, Now: c.Now}
}

// maxListed bounds the warnings and failures that are listed for people; -o json has
// them all.
const maxListed = 20

func (c *call) writeImport(sum ingest.Summary) error {
	if c.format != formatTable {
		return writeJSON(c.term.out, sum, c.format)
	}
	list(c.term, "warning: ", sum.Warnings, func(w string) string { return w })
	list(c.term, "not imported: ", sum.Failures, func(f ingest.Failure) string { return f.Source() + ": " + f.Reason })
	fmt.Fprintf(c.term.out, "Read %s from %s: %d new, %d changed, %d unchanged, %d merged, %d not imported.\n",
		count(sum.Read, "document", "documents"), count(sum.Files, "file", "files"),
		sum.Created, sum.Replaced, sum.Unchanged, sum.Merged, sum.Failed)
	fmt.Fprintf(c.term.out, "Redacted: %s.\n", tally(sum.Redactions))
	return nil
}

// list notes up to maxListed items on stderr.
func list[T any](t *terminal, prefix string, items []T, text func(T) string) {
	for i, item := range items {
		if i == maxListed {
			t.note("%s… and %d more; -o json lists all", prefix, len(items)-i)
			return
		}
		t.note("%s%s", prefix, printable(text(item)))
	}
}
