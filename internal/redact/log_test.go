package redact

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

// Whatever is logged, and however it comes, is redacted; what is none stays.
func TestHandler(t *testing.T) {
	var buf bytes.Buffer
	plain := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	log := slog.New(newRedactor(t).Handler(plain))
	for _, tc := range []struct {
		name string
		log  func()
		want string
	}{
		{"message", func() { log.Warn("mail ann@example.com") }, `msg="mail «EMAIL»"`},
		{"string", func() { log.Warn("x", "detail", "mail ann@example.com") }, `msg=x detail="mail «EMAIL»"`},
		{"error", func() { log.Warn("x", "error", errors.New("mail ann@example.com")) }, `msg=x error="mail «EMAIL»"`},
		{"struct", func() { log.Warn("x", "who", struct{ Mail string }{"ann@example.com"}) }, `msg=x who={Mail:«EMAIL»}`},
		{"key", func() { log.Warn("x", "password", "pear") }, `msg=x password=«SECRET»`},
		{"id", func() { log.Warn("x", "trace_id", "4155550132") }, `msg=x trace_id=4155550132`},
		{"group", func() { log.Warn("x", slog.Group("g", "mail", "ann@example.com")) }, `msg=x g.mail=«EMAIL»`},
		{"with", func() { log.With("mail", "ann@example.com").WithGroup("g").Warn("x", "n", 1) }, `msg=x mail=«EMAIL» g.n=1`},
		{"nothing", func() { log.Warn("done", "n", 4155550132, "error", errors.New("no")) }, `msg=done n=4155550132 error=no`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			buf.Reset()
			tc.log()
			if got := shorten(string(bytes.TrimSpace(buf.Bytes()))); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
