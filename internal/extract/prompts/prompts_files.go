package prompts

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

//go:embed system.md request.md repair.md categories.json examples/*.json
var files embed.FS

// An Example is one few-shot example: a made-up trace, what detectors said about it,
// and the answer that a model should give. Each field is JSON on one line, with the
// keys in the order in which the file has them.
type Example struct {
	Hints  json.RawMessage `json:"hints"`
	Trace  json.RawMessage `json:"trace"`
	Answer json.RawMessage `json:"answer"`
	// Shown names the fields of the answer that the example is for; empty: all of them.
	Shown []string `json:"shown"`
}

// Excerpt returns the shown fields of the answer, in their order.
func (e *Example) Excerpt() json.RawMessage {
	if len(e.Shown) == 0 {
		return e.Answer
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Answer, &fields); err != nil { // covered by tests, as all the files are
		panic(fmt.Sprintf("prompts: answer of an example: %v", err))
	}
	var b bytes.Buffer
	for i, name := range e.Shown {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&b, "%q:%s", name, fields[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// System returns the instruction: what a model is told whatever the trace.
func System() string { return read("system.md") }

// Request returns the frame of the message that carries one trace, with the places
// {{marker}}, {{hints}} and {{trace}}. The instruction explains its form.
func Request() string { return read("request.md") }

// Repair returns what follows the request in the second message about a trace, with the
// places {{marker}}, {{refused}} and {{problems}}.
func Repair() string { return read("repair.md") }

// Examples returns the few-shot examples in the order of their file names. The caller
// must not change the result.
func Examples() []Example { return examples() }

// Version identifies everything that analyzers are told: the SHA-256, in hex, over the
// names and contents of all files of this package.
func Version() string { return version() }

// The embedded files are part of the build and covered by tests, so there is no error
// that a caller could handle.
var (
	examples = sync.OnceValue(func() []Example {
		var list []Example
		for _, name := range names() {
			if !strings.HasPrefix(name, "examples/") {
				continue
			}
			var e Example
			if err := json.Unmarshal([]byte(read(name)), &e); err != nil {
				panic(fmt.Sprintf("prompts: %s: %v", name, err))
			}
			for _, f := range []*json.RawMessage{&e.Hints, &e.Trace, &e.Answer} {
				var b bytes.Buffer
				if err := json.Compact(&b, *f); err != nil {
					panic(fmt.Sprintf("prompts: %s: %v", name, err))
				}
				*f = b.Bytes()
			}
			list = append(list, e)
		}
		return list
	})
	version = sync.OnceValue(func() string {
		h := sha256.New()
		for _, name := range names() {
			text := read(name)
			fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
		}
		return hex.EncodeToString(h.Sum(nil))
	})
)

// names lists the embedded files in lexical order.
func names() []string {
	var list []string
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("prompts: %v", err))
	}
	return list
}

func read(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("prompts: %v", err))
	}
	return string(b)
}
