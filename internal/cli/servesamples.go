package cli

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/ingest"
)

// storeForSamples keeps the samples out of a store of real traces.
func (c *call) storeForSamples() error {
	given := slices.ContainsFunc(c.cfg.given, func(g givenSetting) bool { return g.source == "-store" })
	switch {
	case !given:
		c.cfg.store = storeSpec{scheme: "mem"}
	case c.cfg.store.scheme == "firestore":
		return withHint(fmt.Errorf("-samples: synthetic traces do not belong into %s", c.cfg.store), "leave -store out to keep them in memory, or name a file: -store sqlite:samples.db")
	}
	return nil
}

// loadSamples imports the bundled samples, those malformed on purpose included, and makes a run over them.
func (c *call) loadSamples(ctx context.Context, b *backend) error {
	if err := b.open(ctx, c); err != nil {
		return err
	}
	im := b.importer(c)
	im.Log = nil // those malformed on purpose are no news
	for _, dir := range []string{sampleTraces, sampleMalformed} {
		entries, err := fs.ReadDir(evalforge.Samples(), dir)
		if err != nil {
			return fmt.Errorf("samples: %w", err)
		}
		for _, e := range entries {
			if e.Name() == expectedOutcomes {
				continue
			}
			if err := importSample(ctx, im, dir+"/"+e.Name()); err != nil {
				return err
			}
		}
	}
	if _, err := b.runner.Run(ctx, extract.RunRequest{BatchSize: extract.MaxBatchSize}); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

func importSample(ctx context.Context, im *ingest.Importer, name string) error {
	f, err := evalforge.Samples().Open(name)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	defer f.Close() // opened for reading: nothing can be lost
	if _, err := im.ImportReader(ctx, name, f); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}
