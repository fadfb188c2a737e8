// Command fedctl asks a running fedns what it answers and why, gives it orders, and
// keeps the clusters of a federation.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/fedns/fedns/internal/ctl"
)

// version is set by the Makefile.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// client-go's own words: what went wrong is said once, by the command.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	log.SetOutput(io.Discard) // net/http's, too
	env := ctl.Env{Stdout: os.Stdout, Stderr: os.Stderr, Terminal: terminal(os.Stderr), Getenv: os.Getenv, Now: time.Now, Version: version}
	if terminal(os.Stdin) && env.Terminal {
		env.Stdin = os.Stdin
	}
	code := ctl.Run(ctx, env, os.Args[1:])
	stop()
	os.Exit(code)
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
