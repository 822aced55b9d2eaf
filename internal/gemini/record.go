package gemini

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/redact"
)

// A recording is one answer of the real service with the question, as a file keeps it:
// without headers, keys, project and ids, redacted, and with the marker of the message
// replaced, so that the same question finds it again.
type recording struct {
	Recorded string          `json:"recorded"` // day
	Service  string          `json:"service"`  // host that answered
	Model    string          `json:"model"`
	Verb     string          `json:"verb"`
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
}

// A Recorder is a transport that keeps the answers of the real service in files. It is
// for making golden answers with an account of one's own: it records nothing of any other
// service, nothing that was asked without credentials, and no failures.
type Recorder struct {
	dir    string
	base   http.RoundTripper
	hide   []string // texts that must not be in a file: project, key
	redact *redact.Redactor
	now    func() time.Time
	real   func(*http.Request) bool
}

// NewRecorder returns a recorder into dir, which must exist. Besides what redaction
// finds, the texts of hide are removed.
func NewRecorder(dir string, hide ...string) (*Recorder, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("recordings: %s is no folder", dir)
	}
	r, err := redact.New(redact.Options{Key: []byte("recordings of answers")})
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return &Recorder{dir: dir, base: http.DefaultTransport, hide: hide, redact: r, now: time.Now, real: realService}, nil
}

// realService reports a request with credentials to Google.
func realService(req *http.Request) bool {
	return req.URL.Scheme == "https" && strings.HasSuffix(req.URL.Hostname(), ".googleapis.com") &&
		(req.Header.Get("Authorization") != "" || req.Header.Get("X-Goog-Api-Key") != "")
}

// RoundTrip implements [http.RoundTripper]. A response that cannot be recorded is an
// error: who records wants to know.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if !r.real(req) {
		return nil, fmt.Errorf("recording answers of %s: only the real service, asked with credentials, is recorded", req.URL.Hostname())
	}
	sent, err := drain(req.Body)
	if err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := r.base.RoundTrip(again)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	got, err := drain(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if err := r.save(req, sent, got); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return resp, nil
}

// CloseIdleConnections closes those of the transport below.
func (r *Recorder) CloseIdleConnections() {
	if c, ok := r.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (r *Recorder) save(req *http.Request, sent, got []byte) error {
	model, verb, ok := asked(req)
	if !ok || verb != "generateContent" {
		return nil
	}
	rec := recording{Recorded: r.now().UTC().Format(time.DateOnly), Service: req.URL.Hostname(), Model: model, Verb: verb}
	var err error
	if rec.Request, err = r.scrub(unmarked(sent)); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	bare, err := essential(got)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if rec.Response, err = r.scrub(unmarkedBy(bare, sent)); err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	b, err := json.MarshalIndent(rec, "", " ")
	if err != nil {
		return err
	}
	for _, secret := range r.hide {
		if secret != "" && bytes.Contains(b, []byte(secret)) {
			return errors.New("the file would hold the project or the key")
		}
	}
	name := filepath.Join(r.dir, recordingName(model, verb, unmarked(sent)))
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

var projectPath = regexp.MustCompile(`projects/[^/"'\s\\]+`)

// scrub returns a JSON document without what must not be kept.
func (r *Recorder) scrub(doc []byte) ([]byte, error) {
	for _, secret := range r.hide {
		if secret != "" {
			doc = bytes.ReplaceAll(doc, []byte(secret), []byte("HIDDEN"))
		}
	}
	doc = projectPath.ReplaceAll(doc, []byte("projects/HIDDEN"))
	out, _, err := r.redact.JSON(doc)
	return out, err
}

// essential keeps of a response what reading it needs: ids, signatures and times can lead
// back to an account.
func essential(body []byte) ([]byte, error) {
	var resp struct {
		Candidates []struct {
			Content struct {
				Role  string `json:"role,omitempty"`
				Parts []struct {
					Text    string `json:"text"`
					Thought bool   `json:"thought,omitempty"`
				} `json:"parts,omitempty"`
			} `json:"content"`
			FinishReason string `json:"finishReason,omitempty"`
		} `json:"candidates"`
		PromptFeedback json.RawMessage `json:"promptFeedback,omitempty"`
		UsageMetadata  json.RawMessage `json:"usageMetadata,omitempty"`
		ModelVersion   string          `json:"modelVersion,omitempty"`
	}
	if err := json.Unmarshal(body, &resp); err != nil {
		return nil, errors.New("it is not the JSON of a response") // the error would quote it
	}
	return json.Marshal(resp)
}

// A Replayer is a transport that answers from recordings, without network or key. A
// question that was not recorded is refused with 400.
type Replayer struct{ dir string }

// NewReplayer returns a replayer of the recordings in dir.
func NewReplayer(dir string) (*Replayer, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("recordings: %s is no folder", dir)
	}
	return &Replayer{dir}, nil
}

// RoundTrip implements [http.RoundTripper].
func (r *Replayer) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := drain(req.Body)
	if err != nil {
		return nil, err
	}
	status, body := http.StatusOK, []byte(nil)
	if body, err = r.find(req, sent); err != nil {
		status = http.StatusBadRequest
		if body, err = json.Marshal(errorBody{errorDetail{status, "INVALID_ARGUMENT", err.Error()}}); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (r *Replayer) find(req *http.Request, sent []byte) ([]byte, error) {
	model, verb, ok := asked(req)
	if !ok {
		return nil, errors.New("only questions to a model are recorded")
	}
	b, err := os.ReadFile(filepath.Join(r.dir, recordingName(model, verb, unmarked(sent))))
	if err != nil {
		return nil, fmt.Errorf("there is no recording of this question to %s: record it with an account, or ask what was recorded, with the same version of the prompt", model)
	}
	var rec recording
	if err := json.Unmarshal(b, &rec); err != nil {
		return nil, fmt.Errorf("the recording cannot be read: %w", err)
	}
	return sameValues(rec.Response, rec.Request, sent), nil
}

// sameValues gives the placeholders in a recorded response the form that they have in the
// question that is asked now, under another installation's key. Both questions are equal
// but for these.
func sameValues(response, recorded, sent []byte) []byte {
	then, now := placeholderForm.FindAll(recorded, -1), placeholderForm.FindAll(sent, -1)
	if len(then) != len(now) {
		return response
	}
	current := map[string][]byte{}
	for i := range then {
		current[string(then[i])] = now[i]
	}
	return placeholderForm.ReplaceAllFunc(response, func(p []byte) []byte {
		if c := current[string(p)]; c != nil {
			return c
		}
		return p
	})
}

var (
	callPath        = regexp.MustCompile(`/models/([^/:]+):(\w+)$`)
	markerForm      = regexp.MustCompile(`"text":"Marker: ([a-z]{14})\\n`)
	placeholderForm = regexp.MustCompile(`\[REDACTED:[A-Z][A-Z0-9_]*:[0-9a-f]{4}\]`)
)

// asked returns the model and the verb of a request.
func asked(req *http.Request) (model, verb string, ok bool) {
	m := callPath.FindStringSubmatch(req.URL.Path)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// unmarked returns a request with its marker replaced by a constant.
func unmarked(body []byte) []byte { return unmarkedBy(body, body) }

// unmarkedBy replaces the marker of a request in a text.
func unmarkedBy(text, request []byte) []byte {
	m := markerForm.FindSubmatch(request)
	if m == nil {
		return text
	}
	return bytes.ReplaceAll(text, m[1], []byte(strings.Repeat("0", 16)))
}

// recordingName returns the name of the file for a question. It does not depend on the
// order of JSON keys, the marker, or the key that placeholders are made with.
func recordingName(model, verb string, request []byte) string {
	var v any
	canonical := request
	if json.Unmarshal(request, &v) == nil {
		if b, err := json.Marshal(v); err == nil {
			canonical = b
		}
	}
	canonical = placeholderForm.ReplaceAllFunc(canonical, func(p []byte) []byte { return p[:bytes.LastIndexByte(p, ':')] })
	sum := sha256.Sum256(append([]byte(model+" "+verb+"\n"), canonical...))
	return model + "-" + hex.EncodeToString(sum[:8]) + ".json"
}

// drain reads a body whole and closes it.
func drain(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(body, maxResponse+1))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(b) > maxResponse {
		err = errTooLong
	}
	return b, err
}
