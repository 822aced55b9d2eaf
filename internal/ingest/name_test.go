package ingest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
)

func TestPersonalIDs(t *testing.T) {
	im, _ := newImporter(t)
	r := im.newRun()
	for id, personal := range map[string]bool{
		"+49 171 9876543":                                true,
		"536-22-1789":                                    true,
		"82.165.12.44":                                   true,
		"4111 1111 1111 1111":                            true,
		"4111-1111-1111-1111":                            true,
		"DE89370400440532013000":                         true,
		"sess:jane.roe@customer-mail.com":                true,
		"user:2a02:8108:8b40:2c00:1d2f:33ff:fe5a:77c1":   true,
		"user:2a02:8108:8b40:2c00:1d2f:33ff:fe5a:77c1:7": true,
		"req-82.165.12.44-7":                             true,
		"case_536-22-1789":                               true,
		"order/4111-1111-1111-1111/2":                    true,
		apiKey:                                           true,
		"call_" + apiKey + "_2":                          true,

		"":                                     false,
		"1234567890":                           false,
		"4111111111111111":                     false, // a number that a system counted up to
		"call_4111111111111111":                false,
		"1772600000000000000":                  false,
		otelID:                                 false,
		"123e4567-e89b-12d3-a456-426614174000": false,
		"run_123e4567-e89b-12d3-a456-426614174000":      false,
		"urn:uuid:123e4567-e89b-12d3-a456-426614174000": false,
		"checkout-4711":                 false,
		"run_20260304_050607_0000cafe":  false,
		"2026-01-02T03:04:05Z-1":        false,
		"shop/eu-west-1/session-12":     false,
		"trace.1712345678901":           false,
		"astropy__astropy-12907":        false,
		"v1.24.3-rc.1":                  false,
		"01HZX3Q5T8W2N4B6C7D9E0F1G2":    false,
		"projects/p-1/traces/0af765191": false,
	} {
		if got := r.cleanID(id) != id; got != personal {
			t.Errorf("%q: personal %t, want %t (%q)", id, got, personal, r.cleanID(id))
		}
	}
}

// A key of the service's own is no id, even if it is all hex.
func TestOwnSecretIsNoID(t *testing.T) {
	im, _ := newImporter(t)
	red, err := redact.New(redact.Options{Key: []byte("the key of this test"), Secrets: []string{otelID}})
	if err != nil {
		t.Fatal(err)
	}
	im.Redactor = red
	if r := im.newRun(); r.cleanID(otelID) == otelID {
		t.Error("the service's own secret is taken for an id")
	}
}

func TestPersonalIDsAndNamesAreNotStored(t *testing.T) {
	im, s := newImporter(t)
	secrets := []string{"+49 171 9876543", "536-22-1789", "82.165.12.44", "4111-1111-1111-1111", "maria.plantemail@realmail-zq.org", "2a02:8108:8b40:2c00:1d2f:33ff:fe5a:77c1"}
	files := map[string]string{}
	for i, secret := range secrets {
		inner := fmt.Sprintf(`{"trace_id": %q, "messages": [{"role": "user", "content": "number %d"}]}`, "id_"+secret, i)
		files[fmt.Sprintf("id-%d.jsonl", i)] = raw(secret, fmt.Sprint("whole ", i)) + "\n" +
			fmt.Sprintf(`{"trace_id": %q, "trace_payload": %s}`, "id_"+secret, inner) + "\n"
		files["bad "+secret+".json"] = "{"
		files["bad_"+secret+".json.gz"] = "no gzip"
		files["skipped_"+secret+".txt"] = ""
	}
	sum, err := im.Import(t.Context(), write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(secrets); sum.Created != 2*n || sum.Failed != 2*n || sum.Ignored != n {
		t.Errorf("summary %+v", sum)
	}
	_, missing := im.Import(t.Context(), filepath.Join(t.TempDir(), "no_"+secrets[1]+".json"))
	stored, err := s.Peek(t.Context(), extract.ClaimRequest{RunID: "run", Owner: "test", Limit: 100, Now: now, LeaseUntil: now, NewToken: func() string { return "t" }})
	if err != nil {
		t.Fatal(err)
	}
	recorded, _, err := s.Errors(t.Context(), extract.ErrorQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != sum.Created || len(recorded) != sum.Failed {
		t.Errorf("%d traces and %d errors stored", len(stored), len(recorded))
	}
	ids := map[string]bool{}
	for _, e := range recorded {
		ids[e.SourceTraceID] = true
	}
	if len(ids) != len(recorded) {
		t.Errorf("%d errors have %d source ids", len(recorded), len(ids))
	}
	all, err := json.Marshal([]any{sum, stored, recorded, fmt.Sprint(missing)})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if i := strings.Index(string(all), secret); i >= 0 {
			t.Errorf("%q got out: …%s…", secret, all[max(0, i-80):min(len(all), i+80)])
		}
	}
}
