package evalforge

import (
	"embed"
	"io/fs"
)

//go:embed testdata/samples
var samples embed.FS

// Samples returns the bundled evaluation cases, which are synthetic and were written for
// this project. labels.jsonl holds one labelled case per line, with its trace under
// traces/; malformed/ holds inputs that no trace can be made of, or only with losses, and
// in expected.jsonl how each must end. README.md among them describes the rest.
func Samples() fs.FS {
	f, _ := fs.Sub(samples, "testdata/samples") // fails only for an invalid path
	return f
}
