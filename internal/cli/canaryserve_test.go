package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact/redacttest"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// startService runs "evalforge serve" with args, and returns its address. What it logs has
// been written to log when stop returns.
func startService(t *testing.T, env func(string) string, log io.Writer, args ...string) (base string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stderr, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		args := append([]string{"serve", "-addr", "127.0.0.1:0"}, args...)
		ended <- Main(ctx, args, Env{Getenv: env, Stdout: io.Discard, Stderr: w, Now: time.Now})
		_ = w.Close() // never fails
	}()
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(address)
		listening := regexp.MustCompile(`listening on (http://[^ ,"\s]+)`)
		for in := bufio.NewReader(stderr); ; {
			line, err := in.ReadString('\n')
			fmt.Fprint(log, line)
			if m := listening.FindStringSubmatch(line); m != nil {
				address <- m[1]
			}
			if err != nil {
				return
			}
		}
	}()
	base, ok := <-address
	if !ok {
		t.Fatal("the service did not start")
	}
	return base, func() {
		t.Helper()
		cancel()
		if status := <-ended; status != statusDone {
			t.Errorf("serve: exit status %d", status)
		}
		<-read
	}
}

// A service is the program as it serves. Whatever it answers and logs is kept.
type service struct {
	c    *caught
	base string
	stop func()
}

// serve starts the service on a store.
func (c *caught) serve(store string) *service {
	c.t.Helper()
	log := new(bytes.Buffer)
	name := fmt.Sprintf("log %d: serve", len(c.seen))
	base, stop := startService(c.t, c.env, log, "-store", store, "-log-level", "debug", "-analyzer", "gemini", "-concurrency", "8")
	return &service{c, base, func() {
		stop()
		c.seen[name] = log.Bytes()
		if !bytes.Contains(log.Bytes(), []byte("httpRequest")) {
			c.t.Errorf("%s has no access log", name)
		}
	}}
}

// ask makes a request, and keeps header and body of the answer.
func (s *service) ask(method, path, media string, body []byte) (*http.Response, []byte) {
	s.c.t.Helper()
	resp := s.open(context.Background(), method, path, media, body)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.c.t.Fatal(err)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		s.c.t.Errorf("%s %s: %s\n%s", method, path, resp.Status, answer)
	}
	s.keep(method, path, resp, answer)
	return resp, answer
}

func (s *service) open(ctx context.Context, method, path, media string, body []byte) *http.Response {
	s.c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		s.c.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // which follows no redirect
	if err != nil {
		s.c.t.Fatal(err)
	}
	return resp
}

func (s *service) keep(method, path string, resp *http.Response, answer []byte) {
	var all bytes.Buffer
	if err := resp.Header.Write(&all); err != nil {
		s.c.t.Fatal(err)
	}
	all.Write(answer)
	all.Write(unescaped(answer))
	s.c.seen[fmt.Sprintf("answer %d: %s %s", len(s.c.seen), method, path)] = all.Bytes()
}

// unescaped returns text without what HTML, addresses and Markdown escape it with.
func unescaped(text []byte) []byte {
	in := html.UnescapeString(string(text))
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] == '%' && i+2 < len(in) {
			if b, err := hex.DecodeString(in[i+1 : i+3]); err == nil {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		if in[i] != '\\' {
			out = append(out, in[i])
		}
	}
	return out
}

// run makes runs until nothing is left to do, while /live is watched.
func (s *service) run() {
	s.c.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	stream := s.open(ctx, "GET", "/live", "", nil)
	var events bytes.Buffer
	shown, ended := make(chan struct{}), make(chan struct{})
	go func() { // until it is left
		defer close(ended)
		first := sync.OnceFunc(func() { close(shown) })
		defer first()
		in := bufio.NewReader(stream.Body)
		for {
			line, err := in.ReadString('\n')
			events.WriteString(line)
			if err != nil {
				return
			}
			if line == "\n" {
				first() // a whole event
			}
		}
	}()
	for {
		var run evalforge.RunSummary
		_, answer := s.ask("POST", "/extraction/run-once", "application/json", []byte(`{"batchSize": 500}`))
		if err := json.Unmarshal(answer, &run); err != nil {
			s.c.t.Fatalf("%v\n%s", err, answer)
		}
		if run.PickedUpCount == 0 {
			break
		}
	}
	<-shown
	leave()
	<-ended
	if !bytes.Contains(events.Bytes(), []byte("event: live")) {
		s.c.t.Errorf("/live showed nothing: %q", events.Bytes())
	}
	s.keep("GET", "/live", stream, events.Bytes())
}

// ids returns a field of all items of a list of the API.
func (s *service) ids(list, field string) []string {
	s.c.t.Helper()
	var ids []string
	for path := list + "?limit=500"; path != ""; {
		resp, answer := s.ask("GET", path, "", nil)
		var page struct {
			Items []map[string]any `json:"items"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			s.c.t.Fatalf("%s: %v\n%s", path, err, answer)
		}
		for _, item := range page.Items {
			ids = append(ids, item[field].(string))
		}
		path = nextPage(resp, answer)
	}
	if len(ids) == 0 {
		s.c.t.Errorf("%s is empty", list)
	}
	return ids
}

// nextPage returns the address of the page after an answer, or "".
func nextPage(resp *http.Response, answer []byte) string {
	if m := regexp.MustCompile(`^<(.*)>; rel="next"$`).FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		return m[1]
	}
	if m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindSubmatch(answer); m != nil {
		return html.UnescapeString(string(m[1]))
	}
	return ""
}

// readAll asks for all there is to read: every GET route of the program, lists to their
// end, and each of them for some of the documents.
func (s *service) readAll() {
	t := s.c.t
	t.Helper()
	patterns, runs := s.ids("/api/v1/patterns", "source_trace_id"), s.ids("/api/v1/runs", "runId")
	traces := append(s.ids("/api/v1/state", "trace_id"), "there is none")
	each := func(format string, ids []string, most int) (paths []string) {
		for i := 0; i < len(ids); i += 1 + len(ids)/most {
			paths = append(paths, fmt.Sprintf(format, url.PathEscape(ids[i])))
		}
		return paths
	}
	_, overview := s.ask("GET", "/", "", nil)
	var assets []string
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllSubmatch(overview, -1) {
		assets = append(assets, string(m[1]))
	}
	paths := map[string][]string{
		"/health":                       {"/health"},
		"/ready":                        {"/ready"},
		"/metrics":                      {"/metrics"},
		"/api/v1/openapi.yaml":          {"/api/v1/openapi.yaml"},
		"/api/v1/patterns":              {"/api/v1/patterns?limit=500"},
		"/api/v1/patterns/{id}":         each("/api/v1/patterns/%s", patterns, 50),
		"/api/v1/patterns/{id}/history": each("/api/v1/patterns/%s/history", patterns, 50),
		"/api/v1/runs":                  {"/api/v1/runs?limit=500"},
		"/api/v1/runs/{id}":             each("/api/v1/runs/%s", runs, 20),
		"/api/v1/errors":                {"/api/v1/errors?limit=500"},
		"/api/v1/state":                 {"/api/v1/state?limit=500"},
		"/api/v1/state/{id}":            each("/api/v1/state/%s", traces, 50),
		"/{$}":                          {"/"},
		"/patterns":                     {"/patterns", "/patterns?sort=severity"},
		"/patterns/{id}":                each("/patterns/%s", append(patterns, "none"), 50),
		"/patterns/{id}/ticket":         each("/patterns/%s/ticket", append(patterns, "none"), 50),
		"/export/{file}":                {"/export/patterns.jsonl", "/export/patterns.csv", "/export/other"},
		"/runs":                         {"/runs"},
		"/runs/{id}":                    each("/runs/%s", runs, 20),
		"/quarantine":                   {"/quarantine"},
		"/waiting":                      {"/waiting"},
		"/live":                         nil, // an endless one: run has it
		"/assets/{name}":                assets,
	}
	for _, rt := range programRoutes(t) {
		if rt.Method != http.MethodGet {
			continue
		}
		list, known := paths[rt.Path]
		if !known {
			t.Errorf("what %s answers is not searched for canaries; say above what to ask it for", rt.Pattern())
		}
		delete(paths, rt.Path)
		answered := rt.Path == "/live"
		for _, path := range list {
			for path != "" {
				resp, answer := s.ask("GET", path, "", nil)
				answered = answered || resp.StatusCode == http.StatusOK && len(answer) > 0
				path = nextPage(resp, answer)
			}
		}
		if known && !answered {
			t.Errorf("%s answered nothing: it was asked for %q", rt.Pattern(), list)
		}
	}
	for path := range paths { // what is left
		t.Errorf("there is no route GET %s", path)
	}
}

// changeSome asks for traces to be tried and extracted again.
func (s *service) changeSome() {
	s.c.t.Helper()
	ids := s.ids("/api/v1/state", "trace_id")
	ids = ids[:min(20, len(ids))]
	order, err := json.Marshal(map[string][]string{"traceIds": ids})
	if err != nil {
		s.c.t.Fatal(err)
	}
	for _, id := range ids {
		s.ask("POST", "/quarantine/retry", "application/x-www-form-urlencoded", []byte(url.Values{"trace": {id}}.Encode()))
	}
	s.ask("POST", "/api/v1/retry", "application/json", order)
	s.ask("POST", "/api/v1/rerun", "application/json", order)
}

// programRoutes returns every route of the program.
func programRoutes(t *testing.T) []route.Route {
	t.Helper()
	env := Env{Getenv: getenv(map[string]string{"EVALFORGE_STORE": "mem:"}), Stdout: io.Discard, Stderr: io.Discard, Now: time.Now}
	cfg, err := resolve(serveCommand().uses, nil, env.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	c := &call{Env: env, term: newTerminal(env), cfg: cfg, log: slog.New(slog.DiscardHandler), logTo: slog.DiscardHandler}
	guard, err := c.guard("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tel, stop, err := c.startTelemetry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	b, err := c.openBackend(t.Context(), rules.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.newServer(b, guard, tel)
	if err != nil {
		t.Fatal(err)
	}
	return s.Routes()
}

// takeIn sends planted documents to the service, and returns the ids of the traces that
// came as OTLP.
func (s *service) takeIn(specimens []specimen, text string) (received map[string]bool) {
	s.c.t.Helper()
	received = make(map[string]bool)
	id := regexp.MustCompile(`"traceId":"([0-9a-f]{28})[0-9a-f]{4}"`)
	for _, sp := range specimens {
		for i, places := range sp.companies(s.c.t) {
			doc := sp.plant(s.c.t, text, places...)
			if i%4 == 0 {
				s.ask("POST", "/api/v1/traces", "application/json", doc)
			}
			for line := range bytes.Lines(doc) {
				line = id.ReplaceAll(line, fmt.Appendf(nil, `"traceId":"${1}%04x"`, i)) // a trace of its own
				switch {
				case bytes.Contains(line, []byte(`"resourceSpans":`)):
					s.ask("POST", "/v1/traces", "application/json", line)
				case bytes.Contains(line, []byte(`"resourceLogs":`)):
					s.ask("POST", "/v1/logs", "application/json", line)
				default:
					continue
				}
				for _, m := range id.FindAllSubmatch(line, -1) {
					received[string(m[0][len(`"traceId":"`):len(m[0])-1])] = true
				}
			}
		}
	}
	for _, media := range []string{"application/json", "application/x-ndjson", "application/x-protobuf", "text/plain"} {
		for _, broken := range []string{text, fmt.Sprintf("{%q: [", text), fmt.Sprintf(`{"resourceSpans": %q, "messages": %q}`, text, text)} {
			for _, path := range []string{"/api/v1/traces", "/v1/traces", "/v1/logs", "/extraction/run-once", "/api/v1/retry", "/api/v1/rerun"} {
				s.ask("POST", path, media, []byte(broken))
			}
		}
	}
	return received
}

// askRudely makes requests that themselves hold what must not be logged. The answers may
// repeat it to whoever sent it, and are not searched.
func (s *service) askRudely(text string) {
	s.c.t.Helper()
	ask := func(path string) {
		resp := s.open(context.Background(), http.MethodGet, path, "", nil)
		_ = resp.Body.Close() // only the log counts
	}
	for _, path := range []string{"/api/v1/patterns", "/patterns", "/export/patterns.csv", "/api/v1/errors", "/quarantine", "/nothing"} {
		for _, name := range []string{"text", "service", "after", "cursor", "retried", text} {
			ask(path + "?" + url.Values{name: {text}}.Encode())
		}
	}
	for _, c := range redacttest.Canaries() {
		for _, path := range []string{"/patterns/", "/api/v1/state/", "/runs/", "/nothing/"} {
			ask(path + url.PathEscape(c.Text()))
		}
	}
}

// serveAndRead has the service take traces in over HTTP and OTLP, work on them, and show
// all that is in the store.
func (c *caught) serveAndRead(store string, specimens []specimen, text string) {
	c.t.Helper()
	s := c.serve(store)
	received := s.takeIn(specimens, text)
	s.stop() // which closes and stores the traces that are open
	s = c.serve(store)
	s.run()
	s.readAll()
	stored := 0
	for _, id := range s.ids("/api/v1/state", "trace_id") {
		if received[id] {
			stored++
		}
	}
	if stored < len(received)/4 {
		c.t.Errorf("of %d traces that came as OTLP %d are stored", len(received), stored)
	}
	s.changeSome()
	s.askRudely(text)
	s.stop()
}

// A value of every kind that another service, or an older version of this one, left in
// any document of the store as it came is not in what the service answers and logs.
func TestCanariesOfOthers(t *testing.T) {
	text := redacttest.Text(0) + "\n" + ownKey
	path := filepath.Join(t.TempDir(), "c.db")
	plantStore(t, path, text)
	model := geminitest.NewServer(t, echo)
	c := &caught{t: t, seen: make(map[string][]byte), env: getenv(map[string]string{
		"GOOGLE_GEMINI_BASE_URL": model.URL, "GEMINI_API_KEY": ownKey, "EVALFORGE_RETRY_BACKOFF": "0",
		"EVALFORGE_SOURCE_URLS": `{"other": "https://example.com/{trace_id}/{span_id}"}`,
	})}
	s := c.serve("sqlite:" + path)
	s.readAll()
	s.changeSome()
	s.run()
	s.stop()
	for i, r := range model.Requests() {
		c.seen[fmt.Sprintf("request %d", i)] = r.Body
	}
	c.search()
}

// plantStore makes a store with documents of all sorts and text in each of their fields
// but for the ids of documents, which are shown as they are: the next question is asked
// with them.
func plantStore(t *testing.T, path, text string) {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	put := func(id string, s specimen, group int) {
		companies := s.companies(t)
		value := json.RawMessage(bytes.SplitAfter(s.plant(t, text, companies[group%len(companies)]...), []byte("\n"))[0])
		if value[0] != '{' {
			value = fmt.Appendf(nil, `{"messages": %s}`, value)
		}
		_, err := db.PutTrace(ctx, evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(now), FailureType: text, Severity: text, ServiceName: text,
			Payload: value, RecurrenceCount: 1, StatusHistory: []evalforge.StatusChange{{Status: text, Actor: text, Destination: text}},
			ExportDestination: text, ExportReference: text})
		must(err)
	}
	claim := func(run string) []extract.Claim {
		claims, err := db.Claim(ctx, extract.ClaimRequest{RunID: run, Owner: "test", Limit: 500, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: rand.Text})
		must(err)
		return claims
	}
	list := specimens(t)
	for i, s := range list {
		put(fmt.Sprintf("trace-%d", i), s, i)
	}
	for _, run := range []string{"run-1", "run-2"} { // the second time everything gets a history
		record := evalforge.Run{RunID: run, StartedAt: evalforge.At(now), FinishedAt: evalforge.At(now), TriggeredBy: evalforge.Manual, ThrottleReason: text}
		for i, c := range claim(run) {
			outcome := evalforge.TraceOutcome{SourceTraceID: c.TraceID, Status: evalforge.Errored, ErrorReason: &text}
			failure := evalforge.ExtractionError{RunID: run, SourceTraceID: c.TraceID, ErrorType: evalforge.InvalidJSON, ErrorMessage: text,
				RecordedAt: evalforge.At(now), ModelResponseExcerpt: text}
			switch {
			case i%3 == 0:
				must(db.Fail(ctx, c.Lease, extract.Failure{Error: failure, Quarantine: true}))
			default:
				p := plantedPattern(c.TraceID, run, text, now)
				must(db.Commit(ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: now}))
				must(db.Reopen(ctx, c.TraceID, now))
				outcome.Status = evalforge.Stored
			}
			record.PickedUpCount++
			record.TraceOutcomes = append(record.TraceOutcomes, outcome)
		}
		must(db.SaveRun(ctx, record))
		now = now.Add(time.Second)
	}
	for i, s := range list { // for the service to work on
		put(fmt.Sprintf("fresh-%d", i), s, i+1)
	}
}

// plantedPattern returns a pattern with text in each field that is not an id or a digest.
func plantedPattern(id, run, text string, at time.Time) evalforge.Pattern {
	step := 0
	few := redacttest.Canaries()[0].Text() + "\n" + redacttest.Canaries()[3].Text() + "\n" + ownKey
	return evalforge.Pattern{
		PatternID: evalforge.PatternID(id), SourceTraceID: id, ExtractedAt: evalforge.At(at), Fingerprint: "f1",
		Analysis: evalforge.Analysis{
			Title: few, FailureType: evalforge.FailureTypes()[0], TriggerCondition: "planted", Summary: text, RootCauseHypothesis: text,
			Evidence: evalforge.Evidence{Signals: []string{text}, Excerpt: &few, Refs: []evalforge.EvidenceRef{
				{Step: &step, Quote: text, Match: text, SpanID: text}, {Quote: few, Verified: true}}},
			RecommendedActions:  []string{text},
			ReproductionContext: evalforge.ReproductionContext{InputPattern: text, RequiredState: &text, ToolsInvolved: []string{text}},
			Severity:            evalforge.Severities()[0], Confidence: 0.9, ConfidenceRationale: text,
			FailingStep: &evalforge.FailingStep{SpanID: text, Name: text, Agent: text},
		},
		Provenance: evalforge.Provenance{
			RunID: run, ServiceName: text, Analyzer: "rules", ModelVersion: text, Warnings: []string{text}, Redactions: map[string]int{"EMAIL": 1},
			ConfidenceMoves: []evalforge.ConfidenceMove{{Name: "evidence", Reason: text}}, Repaired: text,
		},
	}
}
