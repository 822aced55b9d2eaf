package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLineBytes bounds a line of a corpus file.
const maxLineBytes = 256 << 20

// A labelled case, or a trap.
type labelled struct {
	ID, Entity, Text, Label, Region, Origin string

	Spans [][2]int
	Score []float64 // lowest and highest score that the case's author expects

	Trap string
	Doc  json.RawMessage
}

// readSets reads the sets of cases in dir, by name.
func readSets(dir string) (map[string][]labelled, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sets := make(map[string][]labelled)
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		if !strings.HasSuffix(name, ".jsonl") {
			continue
		}
		var cases []labelled
		err := eachLine(filepath.Join(dir, e.Name()), func(line []byte) error {
			var c labelled
			if err := json.Unmarshal(line, &c); err != nil {
				return err
			}
			cases = append(cases, c)
			return nil
		})
		if err != nil {
			return nil, err
		}
		sets[strings.TrimSuffix(name, ".jsonl")] = cases
	}
	return sets, nil
}

// readTraces reads the JSON documents below dir that are no labelled cases.
func readTraces(dir string) (docs [][]byte, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "redaction":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if json.Valid(data) {
			docs = append(docs, data)
			return nil
		}
		return eachLine(path, func(line []byte) error {
			if json.Valid(line) {
				docs = append(docs, bytes.Clone(line))
			}
			return nil
		})
	})
	return docs, err
}

func eachLine(path string, f func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() // opened for reading: nothing can be lost
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineBytes)
	for n := 1; lines.Scan(); n++ {
		if err := f(lines.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
