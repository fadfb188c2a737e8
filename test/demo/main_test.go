package demo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	narrate = flag.Bool("narrate", false, "tell the story in the terminal, as it happens")
	keep    = flag.Bool("keep", false, "leave the federation as it is before its end, until Ctrl-C")
	inPods  = flag.Bool("pods", false, "tell it in clusters whose pods run, too")
)

// The terminal, if the story is told there, and what ends with Ctrl-C.
var (
	terminal *os.File
	playing  = context.Background()
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *narrate {
		os.Exit(perform(m))
	}
	os.Exit(m.Run())
}

// excerpt is how much of what went wrong is shown to those who only wanted to
// watch; the rest is in a file.
const excerpt = 15

// perform runs the test with the story in the terminal, and nothing else: what
// package testing prints goes into a file, since after a failure it is mostly the
// logs of twenty programs.
func perform(m *testing.M) int {
	start := time.Now()
	log, err := os.CreateTemp("", "walk-*.log")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	terminal, os.Stdout = os.Stdout, log
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever presses it twice doesn't want to wait
	playing = ctx
	code := m.Run()
	took := time.Since(start).Round(time.Second)
	switch {
	case *keep && code == 0:
		fmt.Fprintf(terminal, "\nEnded after %v. Nothing is left running.\n", took)
	case ctx.Err() != nil:
		fmt.Fprintf(terminal, "\nInterrupted after %v. Nothing is left running.\n", took)
		code = 130 // as a shell has it
	case code != 0:
		text, err := os.ReadFile(log.Name())
		if err != nil {
			text = []byte(err.Error())
		}
		lines := strings.SplitAfterN(string(text), "\n", excerpt+1)
		fmt.Fprintf(terminal, "\n%sFAIL after %v. Nothing is left running; %s has all of it.\n", strings.Join(lines[:min(excerpt, len(lines)-1)], ""), took, log.Name())
		return code
	default:
		fmt.Fprintf(terminal, "\nPASS in %v. Nothing is left running.\n", took)
	}
	if err := os.Remove(log.Name()); err != nil {
		fmt.Fprintln(terminal, err)
		return 1
	}
	return code
}
