package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/redact/redacttest"
	"github.com/evalforge/evalforge/internal/trace"
)

// A specimen is a trace in some format, and the places in it where text can stand.
type specimen struct {
	name   string
	values []any // the JSON values of the file
	places []place
}

// A place is where in a specimen a string stands, or an object that can be given a key.
type place struct {
	value int // of specimen.values
	path  []any
	key   bool
	shape string // the same for places of one sort, in whatever file
}

func (p place) String() string {
	if p.key {
		return fmt.Sprintf("%d%v{}", p.value, p.path)
	}
	return fmt.Sprintf("%d%v", p.value, p.path)
}

// specimens returns the decoders' test data and a raw-trace document with every field.
// Of places that differ in nothing but the position in a list only the first counts.
func specimens(t *testing.T) []specimen {
	t.Helper()
	files, err := filepath.Glob("../trace/testdata/decode/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data of the decoders: %v", err)
	}
	data := map[string][]byte{"raw_trace": []byte(rawSpecimen)}
	formats := make(map[string]bool)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data[strings.TrimSuffix(filepath.Base(file), ".json")] = b
		for doc, err := range trace.Split(file, bytes.NewReader(b), trace.SplitOptions{}) {
			if err == nil {
				formats[doc.Format] = true
			}
		}
	}
	formats[trace.FormatNormal] = true // what is too long to be stored otherwise: see TestCanaries
	for _, f := range trace.Formats() {
		if !formats[f] && f != trace.FormatOTLP { // whose dialects stand beside it
			t.Errorf("no test data has the format %s", f)
		}
	}
	var list []specimen
	for _, name := range slices.Sorted(maps.Keys(data)) {
		s := specimen{name: name}
		for d := json.NewDecoder(bytes.NewReader(data[name])); ; {
			var v any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s.values = append(s.values, v)
		}
		seen := make(map[string]bool)
		for i, v := range s.values {
			walkPlaces(v, nil, "", func(path []any, shape string, key bool) {
				if !seen[shape] {
					seen[shape] = true
					s.places = append(s.places, place{i, slices.Clone(path), key, shape})
				}
			})
		}
		list = append(list, s)
	}
	return list
}

// rawSpecimen is a stored document with every field in which text comes in.
const rawSpecimen = `{"trace_id": "raw-1", "fetched_at": "2026-01-01T00:00:00Z", "failure_type": "unknown", "severity": "high",
"service_name": "shop", "status": "new", "status_history": [{"status": "new", "actor": "ingest", "timestamp": "2026-01-01T00:00:00Z", "destination": "x"}],
"export_status": "pending", "export_destination": "tickets", "export_reference": "T-1", "user_hash": "u", "recurrence_count": 2,
"trace_payload": {"messages": [{"role": "user", "content": "Where is my order?"}, {"role": "assistant", "content": null, "tool_calls":
[{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{\"order\": \"17\"}"}}]},
{"role": "tool", "tool_call_id": "c1", "content": "Error: not found"}], "error_message": "not found",
"spans": [{"span_id": "s1", "operation": "find", "attributes": {"detail": "none"}}]}}`

// walkPlaces calls f for each string in v, and for each object, with its path and a text
// that is the same for places of the same sort.
func walkPlaces(v any, path []any, shape string, f func(path []any, shape string, key bool)) {
	switch v := v.(type) {
	case map[string]any:
		f(path, shape+"{}", true)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walkPlaces(v[k], append(path, k), shape+"/"+k, f)
		}
	case []any:
		for i, x := range v {
			sort := ""
			if m, ok := x.(map[string]any); ok { // entries of a list differ by one of these
				for _, k := range []string{"key", "role", "type", "kind", "event", "name"} {
					if s, ok := m[k].(string); ok {
						sort += k + "=" + s + " "
					}
				}
			}
			walkPlaces(x, append(path, i), shape+"/*"+sort, f)
		}
	case string:
		f(path, shape, false)
	}
}

// plant returns the specimen's file with text at each of the places.
func (s *specimen) plant(t *testing.T, text string, places ...place) []byte {
	t.Helper()
	var file bytes.Buffer
	for i, v := range s.values {
		for _, p := range places {
			if i == p.value {
				v = planted(v, p.path, p.key, text)
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(b, '\n'))
	}
	return file.Bytes()
}

// planted returns a copy of v with text at path, or as a key of the object there.
func planted(v any, path []any, key bool, text string) any {
	if len(path) == 0 {
		if m, ok := v.(map[string]any); ok && key {
			m = maps.Clone(m)
			m[text] = 1
			return m
		}
		return text
	}
	switch v := v.(type) {
	case map[string]any:
		v = maps.Clone(v)
		k := path[0].(string)
		v[k] = planted(v[k], path[1:], key, text)
		return v
	case []any:
		v = slices.Clone(v)
		i := path[0].(int)
		v[i] = planted(v[i], path[1:], key, text)
		return v
	}
	return v
}

// Each kind of value, by itself, at each place of each format and at each depth, is
// gone after redaction, in whatever company it stands.
func TestCanariesByKind(t *testing.T) {
	r, err := redact.New(redact.Options{Key: []byte("a key that is for canaries only")})
	if err != nil {
		t.Fatal(err)
	}
	const marker = "THE-PLACE"
	finder := redacttest.NewFinder()
	leaks := make(map[string]int)
	seen := make(map[string]bool)
	for _, s := range specimens(t) {
		for _, p := range s.places {
			if seen[p.shape] {
				continue // another format has it
			}
			seen[p.shape] = true
			lines := bytes.SplitAfter(s.plant(t, marker, p), []byte("\n"))
			line := lines[slices.IndexFunc(lines, func(l []byte) bool { return bytes.Contains(l, []byte(marker)) })]
			for _, c := range redacttest.Canaries() {
				for depth := range 3 {
					text, err := json.Marshal(redacttest.Nested(c.Text(), depth))
					if err != nil {
						t.Fatal(err)
					}
					out, _, err := r.JSON(bytes.ReplaceAll(line, []byte(`"`+marker+`"`), text))
					if err != nil {
						t.Fatalf("%s at %v: %v", s.name, p, err)
					}
					for _, leak := range finder.Find(out) {
						if leaks[c.Text()]++; leaks[c.Text()] <= 2 {
							t.Errorf("%s at %v, depth %d: %v", s.name, p, depth, leak)
						}
					}
				}
			}
		}
	}
	for _, c := range slices.Sorted(maps.Keys(leaks)) {
		t.Errorf("%d leaks of %q", leaks[c], c)
	}
}

// ownKey is the service's own secret in the test: it is planted and must not come out.
const ownKey = "AIzaSy" + "CanaryCanaryCanaryCanaryCanary123"

// echo answers with what it was sent, and with canaries of its own, in every field; now
// and then it does so in ways that fail.
func echo(w http.ResponseWriter, r *geminitest.Request) {
	secret := redacttest.Text(0) + "\n" + ownKey
	a := geminitest.Plausible(r)
	switch sent := string(r.Trace()); len(sent) % 16 {
	case 0:
		geminitest.Text("I cannot say. "+secret)(w, r)
		return
	case 1:
		geminitest.Text(`{"title": `+fmt.Sprintf("%q", secret)+`, "severity": 7}`)(w, r)
		return
	case 2:
		geminitest.Finish("SAFETY", secret)(w, r)
		return
	case 3:
		geminitest.Status(http.StatusBadRequest, "INVALID_ARGUMENT", secret)(w, r)
		return
	default:
		a.Summary += " " + sent[len(sent)/2:min(len(sent), len(sent)/2+1000)]
	}
	var some [4]string // of the canaries, on one line
	for i, c := range redacttest.Canaries() {
		some[i%4] += " " + strings.ReplaceAll(c.Text(), "\n", " ")
	}
	a.Title += " " + redacttest.Canaries()[0].Text()
	a.Summary += "\n" + secret
	a.RootCauseHypothesis += "\n" + secret
	a.ConfidenceRationale += " " + secret
	a.Evidence.Signals = append(a.Evidence.Signals, some[0], some[1])
	a.RecommendedActions = append(a.RecommendedActions, "Call "+some[2])
	a.ReproductionContext.InputPattern += some[3]
	state := secret
	a.ReproductionContext.RequiredState = &state
	a.ReproductionContext.ToolsInvolved = append(a.ReproductionContext.ToolsInvolved, redacttest.Canaries()[0].Text())
	excerpt := some[0]
	a.Evidence.Excerpt = &excerpt
	a.Evidence.Refs = append(a.Evidence.Refs, evalforge.EvidenceRef{Quote: redacttest.Canaries()[1].Text()})
	geminitest.Analysis(a)(w, r)
}

// companies returns the places of s in groups that are planted together: those that
// leave the trace what it is in eights, those at which text changes how it is read alone.
func (s *specimen) companies(t *testing.T) [][]place {
	t.Helper()
	const size = 8
	decode := func(text string, places ...place) (format string, steps int) {
		for doc, err := range trace.Split(s.name, bytes.NewReader(s.plant(t, text, places...)), trace.SplitOptions{}) {
			if err != nil {
				return "", 0
			}
			tr, err := trace.Decode(doc.Payload)
			if err != nil {
				return "", 0
			}
			format, steps = tr.Format, steps+len(tr.Steps)
		}
		return format, steps
	}
	format, steps := decode("")
	var alone, together [][]place
	var content []place
	for _, p := range s.places {
		if f, n := decode("some text", p); f == format && n == steps && len(p.path) > 0 {
			content = append(content, p)
		} else {
			alone = append(alone, []place{p})
		}
	}
	// Neighbours are in different groups: one of them may stand inside the other.
	groups := (len(content) + size - 1) / size
	for i := range groups {
		var group []place
		for k := i; k < len(content); k += groups {
			group = append(group, content[k])
		}
		together = append(together, group)
	}
	return append(alone, together...)
}

// A value of every kind at every place of every format, at three depths of JSON in
// strings, and in every field of the model's answers, is found nowhere: not in the
// database, in no output or log, not with the model, and in nothing that the service
// answers.
func TestCanaries(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	files := 0
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(in, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		files++
	}
	flat := redacttest.Text(0) + "\n" + ownKey
	deep, err := json.Marshal(map[string]string{"note": "see\n" + flat, "inner": redacttest.Nested(flat, 1)})
	if err != nil {
		t.Fatal(err)
	}
	all := specimens(t)
	for _, s := range all {
		for i, places := range s.companies(t) {
			write(fmt.Sprintf("%s-%03d-flat.json", s.name, i), s.plant(t, flat, places...))
			write(fmt.Sprintf("%s-%03d-deep.json", s.name, i), s.plant(t, string(deep), places...))
		}
	}
	// One that is too long to be stored as it is: its normal form is.
	write("long.json", fmt.Appendf(nil, `{"messages": [{"role": "user", "content": %q}, {"role": "assistant", "content": %q}]}`,
		flat+strings.Repeat("\nA line to make it long. "+redacttest.Text(1), 600), "Error: "+ownKey))
	// And one that is no JSON.
	write("broken.json", []byte(`{"messages": [`+redacttest.Text(0)))

	srv := geminitest.NewServer(t, echo)
	env := getenv(map[string]string{
		"GOOGLE_GEMINI_BASE_URL": srv.URL, "GEMINI_API_KEY": ownKey,
		"EVALFORGE_REDACTION_KEY": "a key that is for canaries only",
	})
	c := &caught{t: t, seen: make(map[string][]byte), env: env}
	store := "sqlite:" + filepath.Join(dir, "c.db")
	c.call("import", "-store", store, "-log-level", "debug", in)
	outcomes := make(map[string]int)
	for {
		var run struct {
			PickedUp int `json:"pickedUpCount"`
			Stored   int `json:"storedCount"`
			Invalid  int `json:"validationFailedCount"`
			Errors   int `json:"errorCount"`
		}
		out := c.call("run", "-store", store, "-log-level", "debug", "-analyzer", "gemini", "-batch", "500", "-concurrency", "8", "-o", "json")
		if err := json.Unmarshal(out, &run); err != nil {
			t.Fatal(err)
		}
		if run.PickedUp == 0 {
			break
		}
		outcomes["stored"] += run.Stored
		outcomes["invalid"] += run.Invalid
		outcomes["errors"] += run.Errors
	}
	t.Logf("%d files, outcomes %v, %d requests", files, outcomes, len(srv.Requests()))
	// Files with parts of one trace are put together: there are fewer traces than files.
	if outcomes["stored"] < files/3 || outcomes["invalid"] == 0 || outcomes["errors"] == 0 {
		t.Errorf("of %d files: %v; the test is to see answers of all sorts", files, outcomes)
	}
	// A service that refuses the key, and says so with content.
	refuses := geminitest.NewServer(t, geminitest.Status(http.StatusForbidden, "PERMISSION_DENIED", flat))
	c.env = getenv(map[string]string{"GOOGLE_GEMINI_BASE_URL": refuses.URL, "GEMINI_API_KEY": ownKey, "EVALFORGE_REDACTION_KEY": "a key that is for canaries only"})
	// Not an equal of what was refused before: that would not be asked about.
	write("another.json", []byte(strings.NewReplacer("raw-1", "raw-2", `"failure_type": "unknown"`, `"failure_type": "denied"`).Replace(rawSpecimen)))
	c.call("import", "-store", store, filepath.Join(in, "another.json"))
	c.fails = true
	c.call("run", "-store", store, "-log-level", "debug", "-analyzer", "gemini")
	c.fails = false
	for _, list := range []string{"patterns list", "errors list", "runs list"} {
		for _, format := range []string{"table", "json", "jsonl"} {
			c.call(append(strings.Fields(list), "-store", store, "-o", format, "-limit", "500")...)
		}
	}
	c.call("patterns", "export", "-store", store)
	for _, p := range c.firstPatterns(store) {
		c.call("patterns", "show", "-store", store, p)
	}
	c.env = env
	c.serveAndRead(store, all, "Over the network:\n"+flat)
	for i, r := range srv.Requests() {
		c.seen[fmt.Sprintf("request %d", i)] = r.Body
	}
	databases, err := filepath.Glob(filepath.Join(dir, "c.db*")) // and what belongs to it
	if err != nil || len(databases) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, f := range databases {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c.seen[filepath.Base(f)] = b
	}
	c.search()
}

// Caught is all that the program let out.
type caught struct {
	t    *testing.T
	env  func(string) string
	seen map[string][]byte // by where
	// fails says that the next call is one that fails.
	fails bool
}

// call runs a command line, keeps what it prints, and returns its data.
func (c *caught) call(args ...string) []byte {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	status := Main(context.Background(), args, Env{Getenv: c.env, Stdout: &stdout, Stderr: &stderr, Now: time.Now})
	if (status == statusFailed) != c.fails {
		c.t.Fatalf("%v: exit status %d\n%s", args, status, stderr.String())
	}
	name := fmt.Sprintf("%d: %s", len(c.seen), strings.Join(args[:min(2, len(args))], " "))
	c.seen["output "+name], c.seen["log "+name] = stdout.Bytes(), stderr.Bytes()
	return stdout.Bytes()
}

// search reports the canaries in what was let out.
func (c *caught) search() {
	c.t.Helper()
	finder := redacttest.NewFinder(ownKey)
	for _, where := range slices.Sorted(maps.Keys(c.seen)) {
		for _, leak := range finder.Find(c.seen[where]) {
			c.t.Errorf("%s holds %v", where, leak)
		}
	}
}

// firstPatterns returns the ids of a few patterns.
func (c *caught) firstPatterns(store string) (ids []string) {
	c.t.Helper()
	for line := range bytes.Lines(c.call("patterns", "list", "-store", store, "-o", "jsonl", "-limit", "20")) {
		var p struct {
			SourceTraceID string `json:"source_trace_id"`
		}
		if err := json.Unmarshal(line, &p); err != nil || p.SourceTraceID == "" {
			c.t.Fatalf("patterns list: %v in %.200s", err, line)
		}
		ids = append(ids, p.SourceTraceID)
	}
	return ids
}
