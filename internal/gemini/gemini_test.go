package gemini

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genai"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

func TestNewReportsWhatIsMissing(t *testing.T) {
	tests := []struct {
		name string
		opt  Options
		want string
	}{
		{"no backend", Options{}, "vertex, gemini"},
		{"no key", Options{Backend: GeminiAPI}, "GEMINI_API_KEY"},
		{"no project", Options{Backend: Vertex}, "GOOGLE_CLOUD_PROJECT"},
		{"bad project", Options{Backend: Vertex, Project: "a/b"}, "GOOGLE_CLOUD_PROJECT"},
		{"location with a host", Options{Backend: Vertex, Project: "p", Location: "evil.example/"}, "VERTEX_AI_LOCATION"},
		{"model with a query", Options{Backend: GeminiAPI, APIKey: testKey, Model: "m?key=x"}, "GEMINI_MODEL"},
		{"model that climbs", Options{Backend: GeminiAPI, APIKey: testKey, Model: "models/../x"}, "GEMINI_MODEL"},
		{"temperature", Options{Backend: GeminiAPI, APIKey: testKey, Temperature: genai.Ptr(math.NaN())}, "GEMINI_TEMPERATURE"},
		{"output limit", Options{Backend: GeminiAPI, APIKey: testKey, MaxOutputTokens: -1}, "GEMINI_MAX_OUTPUT_TOKENS"},
		{"base URL", Options{Backend: GeminiAPI, APIKey: testKey, BaseURL: "localhost:80"}, "http://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(t.Context(), tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v does not name %q", err, tt.want)
			}
			if strings.Contains(err.Error(), testKey) {
				t.Errorf("the key stands in %v", err)
			}
		})
	}
}

// Missing Google credentials are found at once, with the remedy, and are never sought
// for a plain http address.
func TestNewWithoutCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
	_, err := New(t.Context(), Options{Backend: Vertex, Project: "p"})
	if err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") {
		t.Errorf("error = %v", err)
	}
	a, err := New(t.Context(), Options{Backend: Vertex, Project: "p", BaseURL: "http://localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// Vertex takes a key where no project is given.
func TestVertexExpressMode(t *testing.T) {
	srv := geminitest.NewServer(t)
	a, err := New(t.Context(), Options{Backend: Vertex, APIKey: testKey, BaseURL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Analyze(t.Context(), testInput()); err != nil {
		t.Fatal(err)
	}
	q := srv.Requests()[0]
	if q.Path != "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent" || q.Header.Get("X-Goog-Api-Key") != testKey {
		t.Errorf("path %s, key %q", q.Path, q.Header.Get("X-Goog-Api-Key"))
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"", 0, false},
		{"soon", 0, false},
		{"-1", 0, false},
		{"99999999999999", 0, false},
		{"0", 0, true},
		{" 7 ", 7 * time.Second, true},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second, true},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0, true},
	}
	for _, tt := range tests {
		if got, ok := parseRetryAfter(tt.header, now); got != tt.want || ok != tt.ok {
			t.Errorf("parseRetryAfter(%q) = %v, %v; want %v, %v", tt.header, got, ok, tt.want, tt.ok)
		}
	}
}

// A response that does not end is not read for ever.
func TestEndlessResponse(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *geminitest.Request) {
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	r := newRig(t, GeminiAPI, Options{}, endless, geminitest.Well())
	if ans, err := r.analyze(t); err != nil || ans.Attempts != 2 {
		t.Errorf("answer %+v, error %v", ans, err)
	}
}
