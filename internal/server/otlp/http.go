package otlp

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
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

// unpackedBodies is how many bodies of the greatest size there may be decompressed at the same
// time: what is made of one takes a multiple of it. Many small ones may.
const unpackedBodies = 2

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
	if r.full() {
		return protobuf, &refusal{http.StatusServiceUnavailable, codeUnavailable, "traces are waiting to be stored; send again later"}
	}
	// The body is read first: a sender that is slow must not keep others from being served.
	sent, no := r.read(w, req)
	defer r.reading.Add(-int64(cap(sent)))
	if no != nil {
		return protobuf, no
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.refused()
		return protobuf, &refusal{http.StatusServiceUnavailable, codeUnavailable, "too many requests at the same time; send again later"}
	}
	body, unpacked, no := r.body(req, sent)
	defer r.unpacked.Add(-unpacked)
	if no != nil {
		return protobuf, no
	}
	decode := trace.OTLPJSON
	if protobuf {
		decode = trace.OTLPProto
	}
	if !trace.OTLPFits(body, protobuf, logs) {
		return protobuf, &refusal{http.StatusRequestEntityTooLarge, codeResourceExhausted,
			fmt.Sprintf("the body has more than %d values; send smaller batches", trace.MaxOTLPValues)}
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

// How slow a sender may be: a body has firstTime, and a second more for each of its
// leastSpeed bytes.
const (
	firstTime  = 10 * time.Second
	leastSpeed = 16 << 10
)

func (r *Receiver) refused() {
	r.mu.Lock()
	r.stats.Refused++
	r.mu.Unlock()
}

// read reads the body as it was sent. What it takes is counted in r.reading, whether it
// fails or not: the caller takes cap(sent) off again.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request) (sent []byte, no *refusal) {
	if req.ContentLength > int64(r.opt.MaxBody) {
		return nil, r.tooLarge()
	}
	control, began := http.NewResponseController(w), time.Now()
	for {
		if len(sent) == cap(sent) {
			// A body takes no more than twice what came of it, whatever its length is said to be.
			more := min(max(4<<10, 2*cap(sent)), r.opt.MaxBody+1)
			grow := int64(more - cap(sent))
			if r.reading.Add(grow) > int64(r.opt.MaxMemory/readingShare+r.opt.MaxBody) {
				r.reading.Add(-grow)
				r.refused()
				return sent, &refusal{http.StatusServiceUnavailable, codeUnavailable, "too many bodies are being read; send again later"}
			}
			sent = append(make([]byte, 0, more), sent...)[:len(sent):more]
		}
		// Where there is no connection, as in tests, there is no deadline.
		_ = control.SetReadDeadline(began.Add(firstTime + time.Duration(len(sent)/leastSpeed)*time.Second))
		n, err := req.Body.Read(sent[len(sent):cap(sent)])
		sent = sent[:len(sent)+n]
		switch {
		case len(sent) > r.opt.MaxBody:
			return sent, r.tooLarge()
		case err == io.EOF:
			_ = control.SetReadDeadline(time.Time{})
			return sent, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return sent, &refusal{http.StatusServiceUnavailable, codeUnavailable, "the body came too slowly; send it again"} // senders do not repeat after 408
		case err != nil:
			return sent, badBody(err, r.tooLarge())
		}
	}
}

func (r *Receiver) tooLarge() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, codeResourceExhausted,
		fmt.Sprintf("the body is over %d bytes, or %d decompressed; send smaller batches", r.opt.MaxBody, r.opt.MaxDecoded)}
}

// body returns what was sent, decompressed, and how many bytes that takes beside sent. They
// are counted in r.unpacked, whether it fails or not: the caller takes them off again.
func (r *Receiver) body(req *http.Request, sent []byte) (body []byte, unpacked int64, no *refusal) {
	switch enc := req.Header.Get("Content-Encoding"); {
	case enc == "", strings.EqualFold(enc, "identity"):
		if len(sent) > r.opt.MaxDecoded {
			return nil, 0, r.tooLarge()
		}
		return sent, 0, nil
	case !strings.EqualFold(enc, "gzip"):
		return nil, 0, &refusal{http.StatusUnsupportedMediaType, codeInvalidArgument, "Content-Encoding must be gzip or none"}
	}
	body, no = r.unpack(sent)
	return body, int64(cap(body)), no
}

func (r *Receiver) unpack(sent []byte) (body []byte, no *refusal) {
	zr, err := gzip.NewReader(bytes.NewReader(sent))
	if err != nil {
		return nil, badBody(err, r.tooLarge())
	}
	for {
		if len(body) == cap(body) {
			more := min(max(4<<10, len(sent), 2*cap(body)), r.opt.MaxDecoded+1)
			grow := int64(more - cap(body))
			if r.unpacked.Add(grow) > unpackedBodies*int64(r.opt.MaxDecoded+1) {
				r.unpacked.Add(-grow)
				r.refused()
				return body, &refusal{http.StatusServiceUnavailable, codeUnavailable, "too many large bodies are being decoded; send again later"}
			}
			body = append(make([]byte, 0, more), body...)[:len(body):more]
		}
		n, err := zr.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > r.opt.MaxDecoded:
			return body, r.tooLarge()
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, badBody(err, r.tooLarge())
		}
	}
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
	const why = "items that are no objects, or have no valid trace id, were left out"
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
