package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A teller does what a user would do, and tells of it: sentences, commands as they
// are typed, and what these print. What is told has happened: the output that is
// shown is the one that was checked.
type teller struct {
	t   *testing.T
	ctx context.Context // ends with Ctrl-C
	out io.Writer
	dir string // where commands run
	bin string // where our programs are
}

const (
	// patience bounds every wait. Nothing takes half as long on two busy cores.
	patience = 90 * time.Second
	// between is from one look at what a command prints to the next: kubectl alone
	// costs a tenth of a second of a core.
	between = 200 * time.Millisecond
	// width is that of most terminals.
	width = 80
)

// chapter begins a part of the story.
func (s *teller) chapter(title string) { fmt.Fprintf(s.out, "\n== %s\n", title) }

// build builds a program, and says how long it takes: from nothing, minutes.
func (s *teller) build(program string) (path string, err error) {
	begin := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		path, err = server.Build(program)
	}()
	for tick := time.Tick(10 * time.Second); ; {
		select {
		case <-done:
			fmt.Fprintf(s.out, "%s: built in %.0f s\n", program, time.Since(begin).Seconds())
			return path, err
		case <-tick:
			fmt.Fprintf(s.out, "%s: is being built, for %.0f s now\n", program, time.Since(begin).Seconds())
		}
	}
}

// say tells something in between.
func (s *teller) say(text string) {
	fmt.Fprint(s.out, "\n")
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			fmt.Fprintln(s.out, line)
			line = "#"
		}
		line += " " + word
	}
	fmt.Fprintln(s.out, line)
}

// env is what a user has: our programs and kubectl in the PATH, a kubeconfig, and
// nothing else.
func (s *teller) env() []string {
	return []string{
		"PATH=" + strings.Join([]string{s.bin, filepath.Join(vector.Root(), "bin", "kube"), os.Getenv("PATH")}, ":"),
		"HOME=" + s.dir,
		"KUBECONFIG=" + filepath.Join(s.dir, "config"),
	}
}

// try runs a line of shell.
func (s *teller) try(line string, to io.Writer) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env()
	cmd.Stdout = io.MultiWriter(&out, to)
	cmd.Stderr = cmd.Stdout
	// All that the line has started is to end. It may say goodbye, but needn't clean
	// up: the clusters go, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nobody is left
	}
	return out.String(), err
}

// prompt shows what is typed: over several lines where it is wider than a terminal, broken where a shell takes that for a space.
func (s *teller) prompt(line string) {
	const more = " \\"
	shown, quoted := "$", false
	for word := range strings.SplitSeq(line, " ") {
		if !quoted && len(shown)+1+len(word)+len(more) > width && shown != "$" {
			fmt.Fprintln(s.out, shown+more)
			shown = "   "
		}
		shown += " " + word
		quoted = quoted != (strings.Count(word, "'")%2 == 1)
	}
	fmt.Fprintln(s.out, shown)
}

// run runs a command, which has to work, and to print each of want.
func (s *teller) run(line string, want ...string) string {
	s.t.Helper()
	s.prompt(line)
	out, err := s.try(line, &screen{out: s.out})
	s.ended()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.t.Fatalf("%s: doesn't say %q but\n%s", line, w, out)
		}
	}
	return out
}

// A screen leaves out what fedctl says of its progress, of which a terminal shows one
// line that is gone at the end.
type screen struct {
	out  io.Writer
	line []byte // that hasn't ended
}

var progress = regexp.MustCompile(`^(init|join|unjoin|deinit): `)

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.line = append(s.line, p...)
	for {
		end := bytes.IndexByte(s.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		if !progress.Match(s.line[:end]) {
			if _, err := s.out.Write(s.line[:end+1]); err != nil {
				return 0, err
			}
		}
		s.line = s.line[end+1:]
	}
}

// until runs a command again and again until it prints what is right, and shows
// only that.
func (s *teller) until(line string, right func(out string) bool) string {
	s.t.Helper()
	s.prompt(line)
	out := s.quietly(line, right)
	fmt.Fprint(s.out, out)
	return out
}

// quietly is until for what isn't of the story.
func (s *teller) quietly(line string, right func(out string) bool) string {
	s.t.Helper()
	for end := time.Now().Add(patience); ; {
		out, err := s.try(line, io.Discard)
		s.ended()
		if err == nil && right(out) {
			return out
		}
		if time.Now().After(end) {
			s.t.Fatalf("not within %v: %s: %v\n%s", patience, line, err, out)
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(between):
		}
	}
}

// ended leaves the test if Ctrl-C has been pressed.
func (s *teller) ended() {
	s.t.Helper()
	if s.ctx.Err() != nil {
		s.t.Skip("interrupted")
	}
}

// A job is a program in the background.
type job struct {
	*exec.Cmd
	gone <-chan struct{}
}

// background starts a program as a user would with an ampersand. Its log is in a
// file beside the kubeconfig, and shown if the test fails.
func (s *teller) background(program string, args ...string) *job {
	s.t.Helper()
	log := program + ".log"
	s.prompt(fmt.Sprintf("%s %s >%s 2>&1 &", program, strings.Join(args, " "), log))
	f, err := os.Create(filepath.Join(s.dir, log))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.Env = s.dir, s.env()
	cmd.Stdout, cmd.Stderr = f, f
	gone, err := vector.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
		if s.t.Failed() {
			text, err := os.ReadFile(f.Name())
			s.t.Logf("%s printed: %v\n%s", program, err, text)
		}
	})
	return &job{cmd, gone}
}

// await waits for a program to have ended.
func (s *teller) await(j *job) {
	s.t.Helper()
	select {
	case <-j.gone:
	case <-s.ctx.Done():
	case <-time.After(patience):
		s.t.Fatalf("%s is still there", j.Path)
	}
	s.ended()
}

// write puts a file where commands run.
func (s *teller) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// has says whether a command printed each of these.
func has(want ...string) func(string) bool {
	return func(out string) bool {
		for _, w := range want {
			if !strings.Contains(out, w) {
				return false
			}
		}
		return true
	}
}

// rows says whether a command printed just these lines, however they are spaced; in
// a line, "*" stands for any word.
func rows(want ...string) func(string) bool {
	return func(out string) bool {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != len(want) {
			return false
		}
		for i, line := range lines {
			have, need := strings.Fields(line), strings.Fields(want[i])
			if len(have) != len(need) {
				return false
			}
			for n := range have {
				if need[n] != "*" && have[n] != need[n] {
					return false
				}
			}
		}
		return true
	}
}
