package otlp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/server/otlp"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A receiver in a service: a handler, a goroutine, and a flush at the end.
func ExampleInto() {
	store := memory.New()
	redactor, err := redact.New(redact.Options{Key: []byte("the key of this example")})
	if err != nil {
		panic(err)
	}
	importer := &ingest.Importer{Store: store, Redactor: redactor, Now: time.Now}
	receiver := otlp.Into(importer.NewWriter(), otlp.Options{})

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { receiver.Run(ctx) })
	server := httptest.NewServer(receiver) // SDKs: OTEL_EXPORTER_OTLP_ENDPOINT=server.URL

	_, err = http.Post(server.URL+"/v1/traces", "application/json", strings.NewReader(`{"resourceSpans":[{"scopeSpans":[{"spans":[
		{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"chat","status":{"code":2,"message":"429 slow down"}}]}]}]}`))
	if err != nil {
		panic(err)
	}

	server.Close() // first no more requests,
	stop()         // then the flush:
	running.Wait() // what was accepted is stored when Run has returned
	t, err := store.Trace(context.Background(), "5b8efff798038103d269b633813fc60c")
	fmt.Println(t.TraceID, err)
	fmt.Println(receiver.Stats().Kept, "kept")
	// Output:
	// 5b8efff798038103d269b633813fc60c <nil>
	// 1 kept
}
