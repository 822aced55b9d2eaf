// Package secret reads secrets that are kept elsewhere: in Google's Secret Manager, or in
// files that the platform mounts.
//
// A setting whose value begins with sm:// or file:// is a reference, and [Reader.Read]
// returns what it stands for. What is read never appears in an error.
package secret

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The beginnings of references.
const (
	managerScheme = "sm://"
	fileScheme    = "file://"
)

const (
	// MaxBytes bounds a secret; it is Secret Manager's own bound.
	MaxBytes = 64 << 10
	timeout  = 10 * time.Second
)

// IsReference reports whether v stands for a secret that is kept elsewhere.
func IsReference(v string) bool {
	return strings.HasPrefix(v, managerScheme) || strings.HasPrefix(v, fileScheme)
}

// A Reader reads secrets. The connection to Secret Manager is made when it is first
// needed. It is safe for concurrent use.
type Reader struct {
	options []option.ClientOption
	mu      sync.Mutex
	client  *secretmanager.Client
}

// New returns a reader. The options say how Secret Manager is reached; without any it is
// Google's, with the credentials of the environment.
func New(options ...option.ClientOption) *Reader { return &Reader{options: options} }

// Close frees the connection.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return nil
	}
	err := r.client.Close()
	r.client = nil
	return err
}

// Read returns the secret that ref stands for, without the line end that editors and echo
// leave behind it. Its errors say what to do, and never hold the secret.
func (r *Reader) Read(ctx context.Context, ref string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	read := r.manager
	if strings.HasPrefix(ref, fileScheme) {
		read = file
	}
	data, err := read(ctx, ref)
	if err != nil {
		return "", err
	}
	v := strings.TrimRight(string(data), "\r\n")
	switch {
	case strings.TrimSpace(v) == "":
		return "", errors.New("the secret is empty")
	case !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\r\n"):
		return "", errors.New("the secret is not one line of text")
	}
	return v, nil
}

// file reads file:///PATH.
func file(_ context.Context, ref string) ([]byte, error) {
	u, err := url.Parse(ref)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("this is no file on this machine; write file:///PATH, with three slashes")
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w; check that it is mounted and that this user may read it", err)
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("the file has more than %d bytes; is it the right one?", MaxBytes)
	}
	return data, nil
}

// isVersionName reports whether name is projects/P/secrets/S/versions/V, with a project's
// id or number.
func isVersionName(name string) bool {
	p := strings.Split(name, "/")
	if len(p) != 6 || p[0] != "projects" || p[2] != "secrets" || p[4] != "versions" {
		return false
	}
	for _, word := range []string{p[1], p[3], p[5]} {
		odd := func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.:", r)
		}
		if word == "" || strings.Trim(word, ".") == "" || strings.ContainsFunc(word, odd) {
			return false
		}
	}
	return true
}

// manager reads sm://NAME from Secret Manager, and checks that it came over unharmed.
func (r *Reader) manager(ctx context.Context, ref string) ([]byte, error) {
	name := strings.TrimPrefix(ref, managerScheme)
	if !isVersionName(name) {
		return nil, errors.New("this is no version of a secret; write sm://projects/PROJECT/secrets/SECRET/versions/NUMBER, or latest instead of a number")
	}
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return nil, explain(err)
	}
	p := resp.GetPayload()
	if p == nil || p.DataCrc32C == nil {
		return nil, errors.New("the secret came without a checksum; add a new version of the secret")
	}
	if sum := crc32.Checksum(p.Data, crc32.MakeTable(crc32.Castagnoli)); int64(sum) != *p.DataCrc32C {
		return nil, errors.New("the secret was damaged on the way: its checksum is wrong; try again")
	}
	return p.Data, nil
}

// connect returns the client, made on first use. It outlives ctx.
func (r *Reader) connect(ctx context.Context) (*secretmanager.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		c, err := secretmanager.NewClient(context.WithoutCancel(ctx), r.options...)
		if err != nil {
			return nil, fmt.Errorf("cannot use Secret Manager: %w; log in with: gcloud auth application-default login", err)
		}
		r.client = c
	}
	return r.client, nil
}

// explain says what an answer of Secret Manager means, and what to do.
func explain(err error) error {
	why := "try again; if it stays so, see https://status.cloud.google.com"
	switch code := status.Code(err); code {
	case codes.NotFound:
		why = "there is no such version; gcloud secrets versions list SECRET shows which there are"
	case codes.PermissionDenied:
		why = "give the service account roles/secretmanager.secretAccessor on the secret, and enable the API secretmanager.googleapis.com in its project"
	case codes.FailedPrecondition:
		why = "the version is disabled or destroyed; enable it, or name another"
	case codes.Unauthenticated:
		why = "the credentials are not valid; gcloud auth application-default login makes new ones"
	case codes.DeadlineExceeded:
		why = "it did not answer in time; check the way to secretmanager.googleapis.com"
	}
	s := status.Convert(err)
	return fmt.Errorf("the answer of Secret Manager is %s (%s); %s", s.Code(), s.Message(), why)
}
