package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxResponse bounds how much of a response is read. The longest legal answer is about
// a quarter of it.
const maxResponse = 4 << 20

// An exchange is what one call saw on the wire, where the SDK does not say.
type exchange struct {
	sent       bool // the request had its credentials and left
	status     int  // HTTP status, or the code of an error that came with status 200
	retryAfter time.Duration
	hinted     bool // the Retry-After header was there

	// Whether the base transport said that it could not write the request, and that it could,
	// to another connection. It may say so after the response came, or never.
	broke, wrote atomic.Bool
}

// trace returns a context in which the base transport tells what became of the request.
func (ex *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				ex.wrote.Store(true)
			} else {
				ex.broke.Store(true)
			}
		},
	})
}

type exchangeKey struct{}

// watch returns a context for one call, and the exchange that the transport fills in.
func watch(ctx context.Context) (context.Context, *exchange) {
	ex := new(exchange)
	return context.WithValue(ctx, exchangeKey{}, ex), ex
}

// Errors of the transport. Their texts hold nothing of the response.
var (
	errNotJSON = errors.New("the response is not a JSON object")
	errTooLong = fmt.Errorf("the response is longer than %d bytes", maxResponse)
)

// A cutError is a response that broke off.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the response broke off: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// A transport sits below the SDK. It reads each response whole, tells apart what the
// SDK would report alike (a cut body, one that is not JSON, an error inside a 200), and
// keeps the Retry-After header, which the SDK drops.
type transport struct {
	base http.RoundTripper
	now  func() time.Time
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		ex = new(exchange)
	}
	ex.sent = true
	resp, err := t.base.RoundTrip(req.WithContext(ex.trace(req.Context())))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	resp.Body.Close() // errors of closing a body that was read mean nothing
	ex.status = resp.StatusCode
	ex.retryAfter, ex.hinted = parseRetryAfter(resp.Header.Get("Retry-After"), t.now())
	good := resp.StatusCode >= 200 && resp.StatusCode < 300
	switch {
	case err != nil && (good || req.Context().Err() != nil):
		return nil, &cutError{err}
	case len(body) > maxResponse:
		return nil, errTooLong
	case good:
		code, err := embeddedError(body)
		if err != nil {
			return nil, err
		}
		if code != 0 {
			ex.status = code
			resp.StatusCode, resp.Status = code, strconv.Itoa(code)+" "+http.StatusText(code)
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// embeddedError returns the code of an error object in a response with status 200, or 0.
// An empty body is legal here: it is an answer without candidates.
func embeddedError(body []byte) (int, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return 0, nil
	}
	var m struct {
		Error *struct {
			Code json.Number `json:"code"`
		} `json:"error"`
	}
	if body[0] != '{' || !json.Valid(body) {
		return 0, errNotJSON
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Error == nil {
		if m.Error == nil && err == nil {
			return 0, nil
		}
		return http.StatusInternalServerError, nil // an error of another form
	}
	if n, err := m.Error.Code.Int64(); err == nil && n >= 400 && n < 600 {
		return int(n), nil
	}
	return http.StatusInternalServerError, nil
}

// parseRetryAfter reads both forms of the header: seconds and a date.
func parseRetryAfter(h string, now time.Time) (time.Duration, bool) {
	h = strings.TrimSpace(h)
	if n, err := strconv.ParseInt(h, 10, 32); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}
