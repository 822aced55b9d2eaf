package pages_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// axe-core checks accessibility. It is MPL-2.0 and only ever used here: the archive is taken from the npm
// registry by npm into the user's cache, and held to its digest.
const (
	axeVersion = "4.14.1"
	axeSHA256  = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
)

// loadAxe returns axe-core's script, or "" where it cannot be had and need not be.
func loadAxe(t *testing.T) string {
	t.Helper()
	script, err := fetchAxe(t.Context())
	if err != nil {
		if os.Getenv("EVALFORGE_REQUIRE_BROWSER") != "" {
			t.Fatalf("EVALFORGE_REQUIRE_BROWSER is set, but axe-core cannot be had: %v", err)
		}
		t.Logf("NOT CHECKED: accessibility, since axe-core cannot be had: %v", err)
	}
	return script
}

func fetchAxe(ctx context.Context) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "evalforge-test")
	name := filepath.Join(dir, "axe-core-"+axeVersion+".tgz")
	archive, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "npm", "pack", "axe-core@"+axeVersion, "--pack-destination", dir).CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm pack: %w: %s", err, out)
		}
		archive, err = os.ReadFile(name)
	}
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(archive); hex.EncodeToString(sum[:]) != axeSHA256 {
		return "", fmt.Errorf("%s is not axe-core %s: its SHA-256 is %x; delete it", name, axeVersion, sum)
	}
	return fromArchive(archive, "package/axe.min.js")
}

func fromArchive(archive []byte, name string) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", name, err)
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			return string(b), err
		}
	}
}

// checkAxe reports what axe-core finds wrong with the page, by the rules of WCAG 2.2 AA and its best practices.
func checkAxe(b *tab, axe string) {
	b.Helper()
	if axe == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](axe+";null")); err != nil {
		b.Fatal(err)
	}
	found := eval[string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
		r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.target.join(" ") + ": " + n.failureSummary)}))))`)
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.Fatal(err)
	}
	for _, v := range violations {
		b.Errorf("accessibility, %s: %s\n\t%s", v.ID, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}
