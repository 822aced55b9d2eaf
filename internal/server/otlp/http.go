package otlp

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/evalforge/evalforge/internal/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

var _ http.Handler = (*Receiver)(nil)

// Codes of google.rpc.Code, which OTLP's error body carries.
const (
	codeInvalidArgument   = 3
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeUnavailable       = 14
)

// retryAfter is what a sender waits that was told to come again, in seconds.
const retryAfter = 2

// A refusal is a request that is not taken in.
type refusal struct {
	status int // HTTP
	code   int // google.rpc.Code
	reason string
}

// ServeHTTP serves /v1/traces and /v1/logs, whatever the path before them.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	protobuf, no := r.serve(w, req)
	if no != nil {
		writeError(w, protobuf, no)
	}
}

// serve takes a request in; it reports whether its answer is to be in protobuf.
func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) (protobuf bool, no *refusal) {
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	protobuf = media == "application/x-protobuf" || media == "application/protobuf"
	var logs bool
	switch path := req.URL.Path; {
	case hasSuffix(path, "/v1/traces"):
	case hasSuffix(path, "/v1/logs"):
		logs = true
	default:
		return protobuf, &refusal{http.StatusNotFound, codeUnimplemented, "only /v1/traces and /v1/logs are received"}
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return protobuf, &refusal{http.StatusMethodNotAllowed, codeUnimplemented, "use POST"}
	}
	if err != nil || !protobuf && media != "application/json" {
		return protobuf, &refusal{http.StatusUnsupportedMediaType, codeInvalidArgument, "Content-Type must be application/x-protobuf or application/json"}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.mu.Lock()
		r.stats.Refused++
		r.mu.Unlock()
		return protobuf, &refusal{http.StatusServiceUnavailable, codeUnavailable, "too many requests at the same time; send again later"}
	}
	if r.full() {
		return protobuf, &refusal{http.StatusServiceUnavailable, codeUnavailable, "traces are waiting to be stored; send again later"}
	}
	body, no := r.body(w, req)
	if no != nil {
		return protobuf, no
	}
	decode := trace.OTLPJSON
	if protobuf {
		decode = trace.OTLPProto
	}
	parts, rejected, err := decode(body, logs)
	if err != nil {
		return protobuf, &refusal{http.StatusBadRequest, codeInvalidArgument, err.Error()}
	}
	r.add(parts, rejected, time.Now())
	writeAccepted(w, protobuf, logs, rejected)
	return protobuf, nil
}

func hasSuffix(path, end string) bool {
	return len(path) >= len(end) && path[len(path)-len(end):] == end
}

// body reads the body, decompressed, within both bounds.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request) ([]byte, *refusal) {
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, codeResourceExhausted,
		fmt.Sprintf("the body is over %d bytes, or %d decompressed; send smaller batches", r.opt.MaxBody, r.opt.MaxDecoded)}
	if req.ContentLength > int64(r.opt.MaxBody) {
		return nil, tooLarge
	}
	var in io.Reader = http.MaxBytesReader(w, req.Body, int64(r.opt.MaxBody))
	switch enc := req.Header.Get("Content-Encoding"); enc {
	case "", "identity":
	case "gzip":
		zr, err := gzip.NewReader(in)
		if err != nil {
			return nil, badBody(err, tooLarge)
		}
		in = zr
	default:
		return nil, &refusal{http.StatusUnsupportedMediaType, codeInvalidArgument, "Content-Encoding must be gzip or none"}
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(r.opt.MaxDecoded)+1))
	switch {
	case err != nil:
		return nil, badBody(err, tooLarge)
	case len(body) > r.opt.MaxDecoded:
		return nil, tooLarge
	}
	return body, nil
}

func badBody(err error, tooLarge *refusal) *refusal {
	if over := (*http.MaxBytesError)(nil); errors.As(err, &over) {
		return tooLarge
	}
	return &refusal{http.StatusBadRequest, codeInvalidArgument, "the body cannot be read: " + err.Error()}
}

// writeAccepted answers as ExportTraceServiceResponse or ExportLogsServiceResponse, with a
// partial success when something was left out.
func writeAccepted(w http.ResponseWriter, protobuf, logs bool, rejected int) {
	const why = "items without a valid trace id were left out"
	if protobuf {
		var body []byte
		if rejected > 0 {
			var partial []byte
			partial = protowire.AppendTag(partial, 1, protowire.VarintType)
			partial = protowire.AppendVarint(partial, uint64(rejected))
			partial = protowire.AppendTag(partial, 2, protowire.BytesType)
			partial = protowire.AppendString(partial, why)
			body = protowire.AppendTag(body, 1, protowire.BytesType)
			body = protowire.AppendBytes(body, partial)
		}
		write(w, http.StatusOK, "application/x-protobuf", body)
		return
	}
	body := "{}"
	if rejected > 0 {
		field := "rejectedSpans"
		if logs {
			field = "rejectedLogRecords"
		}
		body = fmt.Sprintf(`{"partialSuccess":{%q:"%d","errorMessage":%q}}`, field, rejected, why)
	}
	write(w, http.StatusOK, "application/json", []byte(body))
}

// writeError answers with a google.rpc.Status, in the encoding of the request.
func writeError(w http.ResponseWriter, protobuf bool, no *refusal) {
	if no.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if protobuf {
		var body []byte
		body = protowire.AppendTag(body, 1, protowire.VarintType)
		body = protowire.AppendVarint(body, uint64(no.code))
		body = protowire.AppendTag(body, 2, protowire.BytesType)
		body = protowire.AppendString(body, no.reason)
		write(w, no.status, "application/x-protobuf", body)
		return
	}
	body, err := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{no.code, no.reason})
	if err != nil { // impossible: a number and a string always encode
		body = []byte("{}")
	}
	write(w, no.status, "application/json", body)
}

func write(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the sender is gone; it will send again
}
