// Command evalforge turns failed traces of LLM applications into failure patterns.
// "evalforge help" lists what it can do; package cli does it.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/evalforge/evalforge/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	log.SetOutput(io.Discard) // libraries quote there what a service sent, and nothing redacts it
	// The first signal stops the command in an orderly way; from then on signals have
	// their usual effect, so the second ends it at once.
	signaled, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	context.AfterFunc(signaled, func() { release(); stop() })
	return cli.Main(ctx, os.Args[1:], cli.Env{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
	})
}
