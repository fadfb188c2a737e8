package faults

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// mount puts a small file system in memory at a path, until the test ends.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "fedns-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || !bytes.Contains(mounts, []byte(" "+dir+" ")) {
			return // the test has done it
		}
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
}

// saved waits until a server's state is on disk, and gives it.
func saved(t *testing.T, dir string) []byte {
	t.Helper()
	var text []byte
	server.Eventually(t, 10*time.Second, "the state is on disk", func() bool {
		var err error
		text, err = os.ReadFile(filepath.Join(dir, "myfederation.state"))
		return err == nil && bytes.Contains(text, []byte("192.0.2.3"))
	})
	return text
}

// Damaged, truncated, future and foreign files of state are set aside with an
// error, and the server starts.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	ms := folders(t)
	dir := t.TempDir()
	s := start(t, corefile(health+" state "+dir+"\n", ms...))
	good := saved(t, dir)
	s.Kill()
	sealed := func(text string) []byte {
		return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE([]byte(text)), text)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	first, rest, _ := bytes.Cut(good, []byte("\n"))
	for _, r := range []struct {
		name string
		text []byte
		want string // "": it is used
	}{
		{"a bit flipped", flipped, "checksum is wrong"},
		{"cut in the middle of a line", good[:len(good)/3], "the file ends in the middle"},
		{"cut between lines of the base", append(bytes.Clone(first), '\n'), "it ends before it begins to be complete"},
		{"without its first line", rest, "it isn't a state of fedns"},
		{"empty", nil, "it ends before it begins to be complete"},
		{"of a future version", append(sealed(`{"format":"fedns-state","version":4}`), rest...), "it is of version 4; this server knows versions 1 to 3"},
		{"of another program", sealed(`{"format":"something-else","version":1}`), "it isn't a state of fedns"},
		{"a picture", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"), "not a line of a state"},
		{"zeros", make([]byte, 1<<16), "the file ends in the middle"},
		{"a change of no known kind", append(append(bytes.Clone(good), sealed(`{"cluster":"x","at":"2026-01-02T03:04:05Z","changes":[{"weather":"fine"}]}`)...), good[len(good):]...), "a change of no known kind"},
		{"torn at the end, as a kill does", good[:len(good)-1], ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "myfederation.state")
			if r.name == "torn at the end, as a kill does" {
				r.text = append(bytes.Clone(good), sealed(`{"cluster":"x","at":"2026-01-02T03:04:05Z"}`)[:20]...)
			}
			write(t, file, string(r.text))
			begin := time.Now()
			s := start(t, corefile(health+" state "+dir+"\n", ms...))
			s.becomes(t, 2*time.Second, "web", everywhere)
			took := time.Since(begin)
			aside, err := filepath.Glob(file + ".damaged-*")
			if err != nil {
				t.Fatal(err)
			}
			if r.want == "" {
				if len(aside) > 0 || strings.Contains(s.Log(), "[ERROR]") {
					t.Errorf("set aside: %v", aside)
				}
				row(t, "file of state "+r.name, "used", "used", took)
				return
			}
			line := s.logs(t, time.Second, r.want)
			if !strings.Contains(line, "[ERROR]") || !strings.Contains(line, file) || !strings.Contains(line, "set aside as") {
				t.Errorf("it says %q, want an error with the file and where it was set aside", line)
			}
			if len(aside) != 1 {
				t.Fatalf("set aside: %v, want one", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, r.text) {
				t.Errorf("what was set aside isn't what was there: %d bytes, %v", len(kept), err)
			}
			if n := s.metric(t, "state_errors_total"); n != 1 {
				t.Errorf("state_errors_total %v, want 1", n)
			}
			saved(t, dir) // anew
			row(t, "file of state "+r.name, "set aside with an error; the server starts", fmt.Sprintf("%q", line), took)
		})
	}
}

// The folder of the state is full: that costs the persistence only, and is logged.
func TestFullState(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("file systems can only be mounted by root")
	}
	dir := filepath.Join(t.TempDir(), "state")
	mount(t, dir, "size=64k")
	ms := folders(t)
	config := corefile("heartbeat 200ms 600ms\n guard off\n state "+dir+"\n", ms...)
	s := start(t, config)
	saved(t, dir)
	e := look(t, s, "web.no-a", "web.eu-a")

	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; { // to the last page
		if _, err = filler.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	filler.Close()
	begin := time.Now()
	// What is known grows by more than the last page has room for.
	oslo := strings.TrimPrefix(ms[2].source, "manifests ")
	objects := []vector.Object{vector.Node("n", "no", "no-a"), vector.Service("shop", "web", "192.0.2.33"), vector.Slice("shop", "web", true, "no-a")}
	for i := range 40 {
		objects = append(objects, vector.Service("shop", fmt.Sprint("more", i), "192.0.2.33"), vector.Slice("shop", fmt.Sprint("more", i), true, "no-a"))
	}
	vector.WriteManifest(t, filepath.Join(oslo, "shop.json"), objects...)
	s.becomes(t, 2*time.Second, "web.no-a", "192.0.2.33")
	line := s.logs(t, 10*time.Second, "its state can't be kept")
	if !strings.Contains(line, "[ERROR]") || !strings.Contains(line, "no space left on device") {
		t.Errorf("it says %q", line)
	}
	if s.metric(t, "state_errors_total") == 0 {
		t.Error("state_errors_total is 0")
	}
	s.becomes(t, 2*time.Second, "more39.no-a", "192.0.2.33")
	e.unchanged(t, "web.eu-a")
	server.Eventually(t, time.Second, "the eye sees it as well", func() bool { return len(e.whats("web.no-a")) > 1 })
	if h := e.whats("web.no-a"); len(h) != 2 {
		t.Errorf("web.no-a: %s", timeline(h))
	}
	row(t, "the folder of the state is full", "costs only the persistence, logged", fmt.Sprintf("changes are answered; %q", line), time.Since(begin))

	// A start while it is full.
	begin = time.Now()
	e.halt()
	s.Kill()
	s = start(t, config)
	s.becomes(t, time.Second, "web.no-a", "192.0.2.33")
	s.logs(t, 10*time.Second, "its state can't be kept")
	row(t, "a start while the folder is full", "starts; logged", "so", time.Since(begin))

	// And when there is room again.
	begin = time.Now()
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	s.logs(t, 20*time.Second, "its state can be kept again")
	if text := saved(t, dir); !bytes.Contains(text, []byte("192.0.2.33")) {
		t.Error("the state lacks what came while the disk was full")
	}
	row(t, "room again", "kept again by itself", "so", time.Since(begin))
}

// What is done to the file of a server that runs, and to its folder: it is noticed, said,
// measured, and mended; a start without any API within reach answers all the same.
func stateLost(t *testing.T, w *world) {
	if os.Geteuid() != 0 {
		t.Skip("file systems can only be mounted by root")
	}
	var links []*link
	var members []member
	for _, c := range w.clusters {
		l, m := join(t, c)
		links, members = append(links, l), append(members, m)
	}
	dir := filepath.Join(t.TempDir(), "state")
	mount(t, dir, "size=4m")
	file := filepath.Join(dir, "myfederation.state")
	config := corefile("heartbeat 200ms 600ms\n hold 5m\n guard off\n state "+dir+"\n", members...)
	// restarted gives a server that was started while no API is within reach.
	restarted := func(s running) running {
		t.Helper()
		for _, l := range links {
			l.cut()
		}
		s.Kill()
		return running{Server: server.Launch(t, config), dial: net.Dial}
	}
	mended := func() {
		for _, l := range links {
			l.mend(t)
		}
	}
	s := start(t, config)
	s.becomes(t, healed, "web", everywhere)
	saved(t, dir)
	for _, r := range []struct {
		what string
		do   func() error
	}{
		{"the file is removed", func() error { return os.Remove(file) }},
		{"the file is cut in half", func() error {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			return os.Truncate(file, info.Size()/2)
		}},
		{"the folder is unmounted", func() error { return exec.Command("umount", "-l", dir).Run() }},
		{"the folder is removed", func() error { return os.RemoveAll(dir) }},
	} {
		begin := time.Now()
		before := s.metric(t, "state_errors_total")
		if err := r.do(); err != nil {
			t.Fatalf("%s: %v", r.what, err)
		}
		server.Eventually(t, 10*time.Second, r.what+", and it is counted", func() bool { return s.metric(t, "state_errors_total") > before })
		server.Eventually(t, 10*time.Second, r.what+", and that is over", func() bool { return s.metric(t, "state_failing") == 0 })
		saved(t, dir)
		took := time.Since(begin)
		s = restarted(s)
		s.becomes(t, 2*time.Second, "web", everywhere)
		if strings.Contains(s.Log(), "[ERROR] plugin/federation: state") {
			t.Errorf("%s, and the file after that:\n%s", r.what, s.Log())
		}
		mended()
		s.fresh(t, 2*healed, "web")
		server.Eventually(t, 10*time.Second, "the state is kept", func() bool { return s.metric(t, "state_failing") == 0 })
		saved(t, dir)
		row(t, "while it runs, "+r.what, "written anew, said; a start without an API answers", "so", took)
	}

	// Half a file, and no API: what is whole is answered, and the rest isn't denied.
	begin := time.Now()
	for _, l := range links {
		l.cut()
	}
	s.Kill()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lost := 0
	for i, l := range lines {
		if bytes.Contains(l, []byte(`"192.0.2.3"`)) {
			lines[i], lost = bytes.Replace(l, []byte("192.0.2.3"), []byte("192.0.2.4"), 1), lost+1
		}
	}
	if lost == 0 {
		t.Fatal("no line has the address")
	}
	write(t, file, string(bytes.Join(lines, nil)))
	s = running{Server: server.Launch(t, config), dial: net.Dial}
	s.becomes(t, 2*time.Second, "web", "192.0.2.1 192.0.2.2")
	if a := s.ask("nobody-knows"); a.what != "SERVFAIL" {
		t.Errorf("a name that may have been lost: %v", a)
	}
	if line := s.logs(t, time.Second, "checksum is wrong"); !strings.Contains(line, "the rest is used; set aside as") {
		t.Errorf("it says %q", line)
	}
	mended()
	s.becomes(t, 2*healed, "web", everywhere)
	s.becomes(t, 2*healed, "nobody-knows", "NXDOMAIN")
	row(t, "a start without an API, a line of the state damaged", "the rest is answered", "so", time.Since(begin))

	// A folder that can only be read.
	begin = time.Now()
	s.fresh(t, 2*healed, "web")
	saved(t, dir)
	for _, args := range [][]string{{"--bind", dir, dir}, {"-o", "remount,bind,ro", dir}} {
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Fatalf("mount %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	s = restarted(s)
	s.becomes(t, 2*time.Second, "web", everywhere)
	line := s.logs(t, 10*time.Second, "its state can't be kept")
	if !strings.Contains(line, "read-only file system") || s.metric(t, "state_failing") != 1 {
		t.Errorf("it says %q, and state_failing is %v", line, s.metric(t, "state_failing"))
	}
	row(t, "a start without an API, the folder of the state read-only", "answers from it, said, measured", fmt.Sprintf("%q", line), time.Since(begin))
}
