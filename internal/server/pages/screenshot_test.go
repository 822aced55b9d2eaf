package pages_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var screenshots = flag.String("screenshots", "", "write screenshots of every page into this folder")

// shots are the pages that are shown in docs/pages.md.
func shots(w *world) map[string]string {
	return map[string]string{
		"overview": "/", "patterns": "/patterns?severity=high", "pattern": w.recurring(), "runs": "/runs", "run": w.lastRun(), "quarantine": "/quarantine",
	}
}

// TestScreenshots writes what docs/pages.md shows:
//
//	go test ./internal/server/pages -run TestScreenshots -screenshots ../../../docs/screenshots
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		return // nobody asked
	}
	browser := startBrowser(t)
	w := newWorld(t, nil)
	w.live()
	for name, path := range shots(w) {
		for _, l := range []look{{width: 1600, theme: "light"}, {width: 400, theme: "light"}, {width: 1600, theme: "dark"}} {
			if l.theme == "dark" && name != "overview" && name != "pattern" {
				continue
			}
			b := newTab(t, browser, w.url, l)
			b.open(path)
			file := filepath.Join(*screenshots, fmt.Sprintf("%s-%d-%s.png", name, l.width, l.theme))
			if err := os.WriteFile(file, b.screenshot(), 0o644); err != nil {
				t.Fatal(err)
			}
			b.close()
		}
	}
}
