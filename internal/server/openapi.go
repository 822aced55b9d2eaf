package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"time"
)

// openapi describes the API. It is written by hand; tests hold routes and answers to it.
//
//go:embed openapi.yaml
var openapi []byte

// getOpenAPI answers with the description of the API.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	sum := sha256.Sum256(openapi)
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Cache-Control", "no-cache")
	h.Set("Etag", `W/"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(openapi))
	return nil
}
