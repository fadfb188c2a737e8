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

	"golang.org/x/term"
	"k8s.io/klog/v2"

	"github.com/fedns/fedns/internal/ctl"

	// The authorities of the public, for where the system has none, as in the image.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is set by the Makefile.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// client-go's own words: what went wrong is said once, by the command.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	log.SetOutput(io.Discard) // net/http's, too
	env := ctl.Env{
		Program: os.Args[0], Stdout: os.Stdout, Stderr: os.Stderr, Input: os.Stdin, Columns: columns(os.Stdout), ErrColumns: columns(os.Stderr),
		Getenv: os.Getenv, Now: time.Now, Version: version,
	}
	if term.IsTerminal(int(os.Stdin.Fd())) && env.ErrColumns > 0 {
		env.Stdin = os.Stdin
	}
	code := ctl.Run(ctx, env, os.Args[1:])
	stop()
	os.Exit(code)
}

// usual is how wide a terminal is that doesn't say.
const usual = 80

// columns is how wide a terminal is; 0: it is none.
func columns(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return usual
}
