package secret_test

import (
	"context"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge/internal/gcp/secret"
)

// A manager is a server of the Secret Manager API, over gRPC and the network.
type manager struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	mu      sync.Mutex
	calls   int
	answers map[string]func() (*secretmanagerpb.SecretPayload, error)
}

func (m *manager) AccessSecretVersion(_ context.Context, req *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	answer, ok := m.answers[req.Name]
	if !ok {
		return nil, status.Error(codes.NotFound, "Secret Version ["+req.Name+"] not found.")
	}
	p, err := answer()
	if err != nil {
		return nil, err
	}
	return &secretmanagerpb.AccessSecretVersionResponse{Name: req.Name, Payload: p}, nil
}

// serve returns the options to reach m.
func (m *manager) serve(t *testing.T) []option.ClientOption {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	secretmanagerpb.RegisterSecretManagerServiceServer(srv, m)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return []option.ClientOption{
		option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

func payload(data string) *secretmanagerpb.SecretPayload {
	sum := int64(crc32.Checksum([]byte(data), crc32.MakeTable(crc32.Castagnoli)))
	return &secretmanagerpb.SecretPayload{Data: []byte(data), DataCrc32C: &sum}
}

func TestManager(t *testing.T) {
	const canary = "canary-value-of-a-secret"
	damaged := payload(canary)
	damaged.Data[0] ^= 1
	unsummed := payload(canary)
	unsummed.DataCrc32C = nil
	name := func(secret string) string { return "projects/own-project/secrets/" + secret + "/versions/5" }
	good := func(p *secretmanagerpb.SecretPayload) func() (*secretmanagerpb.SecretPayload, error) {
		return func() (*secretmanagerpb.SecretPayload, error) { return p, nil }
	}
	bad := func(code codes.Code) func() (*secretmanagerpb.SecretPayload, error) {
		return func() (*secretmanagerpb.SecretPayload, error) { return nil, status.Error(code, "says the server") }
	}
	m := &manager{answers: map[string]func() (*secretmanagerpb.SecretPayload, error){
		name("good"): good(payload(canary)), name("line"): good(payload(canary + "\r\n")), name("damaged"): good(damaged),
		name("unsummed"): good(unsummed), name("empty"): good(payload("\n")), name("binary"): good(payload(canary + "\x00\xff")),
		name("lines"): good(payload(canary + "\nmore")), name("none"): good(nil),
		name("denied"): bad(codes.PermissionDenied), name("disabled"): bad(codes.FailedPrecondition), name("stranger"): bad(codes.Unauthenticated),
		"projects/123/secrets/good/versions/latest": good(payload(canary)),
	}}
	r := secret.New(m.serve(t)...)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct{ ref, want string }{ // want: in the error, or ""
		{"sm://" + name("good"), ""},
		{"sm://projects/123/secrets/good/versions/latest", ""},
		{"sm://" + name("line"), ""},
		{"sm://" + name("damaged"), "checksum is wrong"},
		{"sm://" + name("unsummed"), "without a checksum"},
		{"sm://" + name("none"), "without a checksum"},
		{"sm://" + name("empty"), "is empty"},
		{"sm://" + name("binary"), "not one line of text"},
		{"sm://" + name("lines"), "not one line of text"},
		{"sm://" + name("absent"), "gcloud secrets versions list"},
		{"sm://" + name("denied"), "roles/secretmanager.secretAccessor"},
		{"sm://" + name("disabled"), "disabled or destroyed"},
		{"sm://" + name("stranger"), "gcloud auth application-default login"},
		{"sm://projects/p/secrets/good", "/versions/NUMBER"},
		{"sm://good", "/versions/NUMBER"},
		{"sm://projects/p/secrets/../versions/5", "/versions/NUMBER"},
	} {
		got, err := r.Read(t.Context(), tt.ref)
		if tt.want == "" && (err != nil || got != canary) {
			t.Errorf("%s: %q, %v", tt.ref, got, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v, want %q", tt.ref, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, "sm://"+name("good")); err == nil {
		t.Error("read with a context that is done")
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
		return "file://" + filepath.ToSlash(file)
	}
	r := secret.New()
	for _, tt := range []struct{ ref, value, want string }{
		{write("good", "value-1", 0o600), "value-1", ""},
		{write("line", "value-1\n", 0o600), "value-1", ""},
		{write("with space%20", "value-1", 0o600) + "x", "", "cannot be read"},
		{write("empty", "", 0o600), "", "is empty"},
		{write("large", strings.Repeat("x", secret.MaxBytes+1), 0o600), "", "more than 65536 bytes"},
		{"file://" + filepath.ToSlash(filepath.Join(dir, "absent")), "", "check that it is mounted"},
		{"file://relative/path", "", "three slashes"},
		{"file://", "", "three slashes"},
		{"file:///a?b", "", "three slashes"},
		{"file://" + filepath.ToSlash(dir), "", "cannot be read"},
	} {
		got, err := r.Read(t.Context(), tt.ref)
		if got != tt.value || tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.ref, got, err, tt.value, tt.want)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestIsReference(t *testing.T) {
	for v, want := range map[string]bool{
		"sm://projects/p/secrets/s/versions/1": true, "file:///run/secrets/key": true,
		"AIzaSyNotAReference": false, "": false, "https://x": false, "SM://x": false,
	} {
		if got := secret.IsReference(v); got != want {
			t.Errorf("IsReference(%q) = %v", v, got)
		}
	}
}
