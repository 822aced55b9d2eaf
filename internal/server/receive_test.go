package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An OTLP body that says it is too long is refused in OTLP's own words.
func TestOTLPBodyOverItsBound(t *testing.T) {
	s, stop := serve(t)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	req := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/traces", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	req.ContentLength = 17 << 20
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, req)
	if got := w.Body.String(); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(got, `"code":8`) || !strings.Contains(got, "send smaller batches") {
		t.Errorf("%d %s", w.Code, got)
	}
}
