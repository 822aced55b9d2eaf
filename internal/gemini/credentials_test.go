package gemini

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// serviceAccount points the default credentials at a made-up service account whose
// tokens come from tokenURL.
func serviceAccount(t *testing.T, tokenURL string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "robot@example.invalid", "token_uri": tokenURL, "project_id": "p",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

// Default credentials reach the service over https, and a token that cannot be had is a
// matter of configuration, found before anything of the trace is sent.
func TestDefaultCredentials(t *testing.T) {
	var refuse atomic.Bool
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refuse.Load() {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"made-up-token","token_type":"Bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	var asked atomic.Int32
	var authorization atomic.Value
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		authorization.Store(r.Header.Get("Authorization"))
		_ = json.NewEncoder(w).Encode(map[string]any{"candidates": []any{map[string]any{
			"finishReason": "STOP",
			"content":      map[string]any{"parts": []any{map[string]any{"text": string(prompts.Examples()[0].Answer)}}},
		}}})
	}))
	defer service.Close()
	serviceAccount(t, tokens.URL)

	for _, refused := range []bool{false, true} {
		refuse.Store(refused)
		before := asked.Load()
		a, err := New(t.Context(), Options{Backend: Vertex, Project: "p", BaseURL: service.URL, Transport: service.Client().Transport, Backoff: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Analyze(t.Context(), testInput())
		switch {
		case !refused && (err != nil || authorization.Load() != "Bearer made-up-token"):
			t.Errorf("error %v, authorization %q", err, authorization.Load())
		case refused && (extract.KindOf(err) != extract.KindConfig || !strings.Contains(err.Error(), "no access token")):
			t.Errorf("without a token: %s, %v", extract.KindOf(err), err)
		case refused && asked.Load() != before:
			t.Error("the service was asked without a token")
		}
		if refused {
			if err := a.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "gcloud auth") {
				t.Errorf("check: %v", err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
