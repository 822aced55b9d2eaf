package gemini

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Each attempt in each position of a trace: the request it leads to has the same
// instruction, the trace and the hints are JSON on one line each between lines with a
// marker that neither holds, and nothing of the attempt stands outside. The golden table
// shows for each where it went.
func TestInjectionsInTheRequest(t *testing.T) {
	list, err := geminitest.Injections()
	if err != nil {
		t.Fatal(err)
	}
	r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	p := &extract.Pipeline{Redactor: r, Now: time.Now}
	positions := geminitest.Positions()
	var table strings.Builder
	table.WriteString("T: in the trace, H: in the hints (after redaction; hints are cut), -: not sent, x: the raw trace is refused.\nThe positions are, in this order:\n")
	for i, pos := range positions {
		fmt.Fprintf(&table, "%2d %s\n", i+1, pos.Name)
	}
	for _, in := range list {
		row := make([]byte, len(positions))
		for i, pos := range positions {
			input, err := p.Prepare(pos.Put("parcel-1", in.Text))
			if err != nil {
				row[i] = 'x'
				continue
			}
			text, _ := r.Text(in.Text)
			row[i] = requestHolds(t, in, pos, input, text)
		}
		fmt.Fprintf(&table, "%-20s %s\n", in.ID, row)
	}
	golden := filepath.Join("testdata", "injections.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("where attempts go (-want +got; refresh with -update):\n%s", diff)
	}
}

// requestHolds checks the request that input leads to, and the repair whose refused answer
// repeats the attempt. It returns where the attempt stands, as which it is looked for by
// its redacted text.
func requestHolds(t *testing.T, in geminitest.Injection, pos geminitest.Position, input *extract.Input, redacted string) byte {
	t.Helper()
	const marker = "3f9a0c17b2d84e55"
	newMarker := func() string { return marker }
	again := *input
	again.Repair = &extract.Repair{Previous: []byte(in.Text), Problems: []string{in.Text}}
	msg, err := message(input, newMarker)
	if err != nil {
		t.Fatalf("%s as %s: %v", in.ID, pos.Name, err)
	}
	repair, err := message(&again, newMarker)
	if err != nil {
		t.Fatalf("%s as %s: %v", in.ID, pos.Name, err)
	}
	problems, err := encode(again.Repair.Problems)
	if err != nil {
		t.Fatal(err)
	}
	q := geminitest.Request{Message: msg}
	hints, tr := string(q.Hints()), string(q.Trace())
	want := fmt.Sprintf("Marker: %[1]s\nBEGIN HINTS %[1]s\n%[2]s\nEND HINTS %[1]s\nBEGIN TRACE %[1]s\n%[3]s\nEND TRACE %[1]s\n", marker, hints, tr)
	if msg != want {
		t.Errorf("%s as %s: the message is not the frame with the data in it:\n%s", in.ID, pos.Name, msg)
	}
	want += fmt.Sprintf("BEGIN REFUSED %[1]s\n%[2]s\nEND REFUSED %[1]s\nBEGIN PROBLEMS %[1]s\n%[3]s\nEND PROBLEMS %[1]s\n", marker, in.Text, problems)
	if repair != want {
		t.Errorf("%s as %s: the repair is not the message with the refused answer behind it:\n%s", in.ID, pos.Name, repair)
	}
	for _, doc := range []string{hints, tr, problems} {
		if !json.Valid([]byte(doc)) || strings.ContainsAny(doc, "\n\r") || strings.Contains(doc, marker) {
			t.Errorf("%s as %s: not one line of JSON without the marker: %s", in.ID, pos.Name, doc)
		}
	}
	where, sent := found(tr, redacted, 'T'), "trace"
	if where == 0 {
		where, sent = found(hints, string([]rune(redacted)[:min(150, len([]rune(redacted)))]), 'H'), "hints"
	}
	if where == 0 {
		return '-'
	}
	if sent != pos.Sent {
		t.Errorf("%s as %s: stands in the %s, want %q", in.ID, pos.Name, sent, pos.Sent)
	}
	return where
}

// found returns kind if text is one of the strings of doc, or a part of one, and else 0.
func found(doc, text string, kind byte) byte {
	var all []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				all = append(all, k)
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case string:
			all = append(all, v)
			var inner any
			if json.Unmarshal([]byte(v), &inner) == nil {
				walk(inner)
			}
		}
	}
	var v any
	if json.Unmarshal([]byte(doc), &v) != nil {
		return 0
	}
	walk(v)
	if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) }) {
		return kind
	}
	return 0
}
