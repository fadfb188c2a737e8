// Package tools tests what the Makefile and .ci/run are made of: that busy loops begin and
// end with the tests, that a control plane which is there is taken, that each part of the
// tests can be run alone, and that the map of the tests has all of them.
package tools

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// at is a path in the repository.
func at(path ...string) string {
	return filepath.Join(append([]string{vector.Root()}, path...)...)
}

// script writes a program for sh into a folder, which is made.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// runs a command, with variables beside those there are.
func run(t *testing.T, dir string, env []string, command ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	// What make says to the makes that it starts isn't for these.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "STRESS", "KUBEBUILDER_ASSETS"}, name)
	})
	cmd.Env = append(cmd.Env, env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", command, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// Every folder with tests is in the map, and every folder in the map is there.
func TestMap(t *testing.T) {
	text, err := os.ReadFile(at("test", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var mapped []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "](") {
			continue
		}
		for _, link := range strings.Split(cells[1], "](")[1:] {
			folder, _, _ := strings.Cut(link, ")")
			if _, err := os.Stat(at("test", folder)); err != nil {
				t.Errorf("the map has %s, which isn't there", folder)
			}
			mapped = append(mapped, folder)
		}
		if len(cells) != 6 || slices.ContainsFunc(cells[1:5], func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("a row doesn't say what it shows, needs and takes: %s", line)
		}
	}
	found := 0
	err = filepath.WalkDir(at("test"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(at("test"), filepath.Dir(path))
		if strings.Contains(string(source), "\nfunc Test") {
			found++
			if !slices.Contains(mapped, filepath.ToSlash(folder)) {
				t.Errorf("%s has tests, and test/README.md has no row for its folder", path)
			}
		}
		return err
	})
	if err != nil || found < 50 {
		t.Errorf("%d files with tests: %v", found, err)
	}
}

// Each part of .ci/run is what the Makefile has for it; all of it is what people are told
// to run. It says how packages ended, and stops at the first part that fails.
func TestParts(t *testing.T) {
	root := t.TempDir()
	text, err := os.ReadFile(at(".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(root, ".ci", "run"), "")
	if err := os.WriteFile(filepath.Join(root, ".ci", "run"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(root, "path", "make"), `echo "make $*"
case $* in
*unit*) printf 'ok  \tfedns/a\t0.1s\n--- FAIL: TestB (0.00s)\nFAIL\tfedns/b\t0.2s\nFAIL\nmake: *** Error 1\n'; exit 2 ;;
*) printf 'ok  \tfedns/c\t0.1s\n?   \tfedns/d\t[no test files]\n' ;;
esac
`)
	env := []string{"PATH=" + filepath.Join(root, "path") + ":" + os.Getenv("PATH")}
	for _, tt := range []struct {
		args  string
		code  int
		makes []string
		says  []string
	}{
		{"", 0, []string{"make check test"}, []string{"all: passed in ", "\nok  \tfedns/c\t0.1s\n"}},
		{"check", 0, []string{"make check"}, []string{"check: passed in "}},
		{"e2e", 0, []string{"make e2e"}, []string{"e2e: passed in "}},
		{"peers", 0, []string{"make interop"}, []string{"peers: passed in "}},
		{"check e2e", 0, []string{"make check", "make e2e"}, []string{"check: passed in ", "e2e: passed in "}},
		{"unit peers", 2, []string{"make unit"}, []string{"unit: FAILED in ", "\n--- FAIL: TestB (0.00s)\nFAIL\tfedns/b\t0.2s\n"}},
		{"units", 2, nil, []string{`there is no part "units"; there are check, unit, e2e and peers`}},
	} {
		out, code := run(t, root, env, append([]string{filepath.Join(root, ".ci", "run")}, strings.Fields(tt.args)...)...)
		var makes []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "make ") {
				makes = append(makes, strings.TrimSpace(line))
			}
		}
		if code != tt.code || !slices.Equal(makes, tt.makes) {
			t.Errorf(".ci/run %s: exit %d, %q\n%s", tt.args, code, makes, out)
		}
		for _, want := range tt.says {
			if !strings.Contains(out, want) {
				t.Errorf(".ci/run %s doesn't say %q but\n%s", tt.args, want, out)
			}
		}
	}
	// The parts are all that there is to test.
	for _, target := range []string{"check", "test", "unit", "e2e", "interop"} {
		if out, code := run(t, at(), nil, "make", "-n", target); code != 0 {
			t.Errorf("make -n %s: exit %d\n%s", target, code, out)
		}
	}
}

// Known vulnerabilities fail a check where their list can be reached; else one line says
// that nobody has looked.
func TestVulncheck(t *testing.T) {
	for _, tt := range []struct {
		name, version string // what govulncheck does with -version
		code          int
		want          string
	}{
		{"reached", `echo "DB updated: 2026-11-29"`, 3, "Vulnerability #1: GO-2026-1\n"},
		{"not reached", `echo "DB: https://vuln.go.dev"`, 0, "govulncheck: skipped, since its list of vulnerabilities can't be reached\n"},
		{"not to be had", `echo trying; echo "no such host" >&2; exit 1`, 0, "govulncheck: skipped, since it can't be had: no such host\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			script(t, filepath.Join(path, "go"), `case $* in
"run vuln@v1 -version") `+tt.version+` ;;
"run vuln@v1 ./...") echo "Vulnerability #1: GO-2026-1"; exit 3 ;;
*) echo "go $*"; exit 9 ;;
esac
`)
			out, code := run(t, path, []string{"PATH=" + path + ":" + os.Getenv("PATH")}, at("test", "tools", "vulncheck.sh"), "vuln@v1")
			if code != tt.code || out != tt.want {
				t.Errorf("exit %d, it says %q", code, out)
			}
		})
	}
}

// What the pages about this repository name is there: files, folders, tests, other pages.
func TestPlaces(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(at(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "bin" || d.Name() == ".git") {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
			folder, err := filepath.Rel(at(), filepath.Dir(path))
			if err != nil {
				return err
			}
			tests[filepath.ToSlash(folder)+"."+string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "VERSIONING.md", "test/README.md"} {
		text, err := os.ReadFile(at(page))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range regexp.MustCompile("`((?:internal|plugin|cmd|test|deploy|docs|zones)/[\\w./-]*)`|`(Test\\w+)`|\\]\\(([\\w./-]+)\\)").FindAllStringSubmatch(string(text), -1) {
			found++
			where := at(m[1])
			if m[3] != "" {
				where = at(filepath.Dir(page), m[3])
			}
			// A test is named alone, or with its folder.
			if tests[m[1]] || tests[m[2]] {
				continue
			}
			if _, err := os.Stat(where); m[2] != "" || err != nil {
				t.Errorf("%s names %s, which isn't there", page, m[0])
			}
		}
		if found == 0 {
			t.Errorf("%s names nothing that could be looked for", page)
		}
	}
}

// Each command of fedctl has a man page, and the first tells what it exits with.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	if out, code := run(t, at(), nil, "go", "run", "./test/tools/man", dir); code != 0 {
		t.Fatalf("exit %d, %s", code, out)
	}
	for page, want := range map[string]string{
		"fedctl.1":              "EXIT STATUS",
		"fedctl-drain.1":        `\fB--evacuate\fP`,
		"fedctl-get-clusters.1": `fedctl get clusters --context myfederation`,
		"fedctl-explain.1":      `\fB-o\fP, \fB--output\fP="table"`,
		"fedctl-completion.1":   "fedctl",
	} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q: %v\n%s", page, want, err, text)
		}
	}
}
