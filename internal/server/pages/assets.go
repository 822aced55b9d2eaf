package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// assets/uplot is uPlot as it is published, with its licence: see assets/uplot/README.md.
//
//go:embed assets/*.css assets/*.js assets/*.svg assets/uplot/*.css assets/uplot/*.js
var assetFiles embed.FS

// assets are the files that pages refer to, by name.
type assets map[string]asset

type asset struct {
	content []byte
	digest  string
}

func loadAssets() (assets, error) {
	all := assets{}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(name)
		sum := sha256.Sum256(b)
		all[path.Base(name)] = asset{b, hex.EncodeToString(sum[:6])}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return all, nil
}

// url returns the address of an asset, which changes with its content.
func (a assets) url(name string) (string, error) {
	f, ok := a[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return "/assets/" + name + "?v=" + f.digest, nil
}

// ServeHTTP serves an asset. Under the address of its content it may be kept for ever.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	f, ok := a[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.digest {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Etag", `W/"`+f.digest+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}
