package gemini

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

func TestCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, b Backend) {
		r := newRig(t, b, Options{})
		if err := r.Check(t.Context()); err != nil {
			t.Error(err)
		}
		r.srv.Gone(DefaultModel)
		if err := r.Check(t.Context()); err != nil || r.Model() != successors[0] {
			t.Errorf("with the model gone: %v, model %s", err, r.Model())
		}
		if n := len(r.srv.Requests()); n != 0 {
			t.Errorf("a check generated %d times", n)
		}
		r.srv.Gone(successors...)
		if err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "GEMINI_MODEL") {
			t.Errorf("with all models gone: %v", err)
		}
	})
}

// Each error says what to do.
func TestCheckSaysWhatToDo(t *testing.T) {
	tests := []struct {
		name           string
		reply          geminitest.Reply
		vertex, gemini string
	}{
		{"400 key", geminitest.InvalidKey(), "", "GEMINI_API_KEY"},
		{"401", geminitest.Status(401, "UNAUTHENTICATED", "x"), "gcloud auth application-default login", "GEMINI_API_KEY"},
		{"403", geminitest.Status(403, "PERMISSION_DENIED", "x"), "project test-project", "billing"},
		{"404 page", geminitest.HTML(404), "base URL", "base URL"},
		{"429", geminitest.RateLimited(0, ""), "quota", "quota"},
		{"400", geminitest.Status(400, "INVALID_ARGUMENT", "x"), "GEMINI_MODEL", "GEMINI_MODEL"},
		{"500", geminitest.Status(500, "INTERNAL", "x"), "status.cloud.google.com", "status.cloud.google.com"},
		{"503", geminitest.Status(503, "UNAVAILABLE", "x"), "status.cloud.google.com", "status.cloud.google.com"},
		{"another service", geminitest.JSON(200, map[string]any{"ok": true}), "proxy", "proxy"},
		{"garbage", geminitest.Garbage(), "proxy", "proxy"},
		{"dropped", geminitest.Drop(), "network", "network"},
		{"wrong form", geminitest.JSON(200, map[string]any{"totalTokens": "x"}), "no response", "no response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b Backend) {
				want := tt.vertex
				if b == GeminiAPI {
					want = tt.gemini
				}
				r := newRig(t, b, Options{})
				r.srv.OnProbe(tt.reply)
				err := r.Check(t.Context())
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			})
		})
	}
}

func TestCheckHonoursItsDeadline(t *testing.T) {
	r := newRig(t, Vertex, Options{})
	r.srv.OnProbe(geminitest.Never())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := r.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}
