// Command release makes all files of a release: archives of the programs, Debian packages, the
// image, the chart, the manifest for krew, what each program is made of, notes, and checksums.
//
// It publishes nothing. Made twice of one commit, by one version of Go, all of it is the same to
// the byte.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	var r release
	flag.StringVar(&r.root, "root", ".", "the `folder` of the repository")
	flag.StringVar(&r.out, "out", "bin/release", "the `folder` to write to, which is emptied first")
	flag.StringVar(&r.version, "version", "", "the `version`, such as 0.2.0; CHANGELOG.md has its notes")
	flag.StringVar(&r.url, "url", "https://github.com/fedns/fedns/releases/download", "where releases are downloaded from, each at `URL`/vVERSION")
	flag.StringVar(&r.nfpm, "nfpm", "", "the `program` nfpm, which makes the Debian packages; none: there are none")
	flag.StringVar(&r.cyclonedx, "cyclonedx", "", "the `program` cyclonedx-gomod; none: there is no image, and nothing says what programs are made of")
	servers := flag.String("platforms", "linux/amd64,linux/arm64", "which `ones` all programs are made for")
	clients := flag.String("clients", "darwin/amd64,darwin/arm64,windows/amd64", "which `ones` fedctl alone is made for; none: no others than those")
	flag.BoolVar(&r.dirty, "dirty", false, "make it of a checkout with changes, too: nobody can make that one again")
	flag.Parse()
	r.platforms, r.clients = listOf(*servers), listOf(*clients)
	if err := r.run(); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

// listOf parts a list by commas; "": it is empty.
func listOf(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(p string) bool { return p == "" })
}

// A release is what is to be made.
type release struct {
	root, out, version, url string
	nfpm, cyclonedx         string
	platforms, clients      []string
	dirty                   bool

	time time.Time // of the commit
}

// versions are those of Semantic Versioning, without the v.
var versions = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

func (r *release) run() error {
	if !versions.MatchString(r.version) {
		return fmt.Errorf("-version %q: it is to be a version such as 0.2.0", r.version)
	}
	changes, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes, err := notesOf(string(changes), r.version)
	if err != nil {
		return err
	}
	if err := r.commit(); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"archives", r.archives}, {"the chart", r.chart}, {"the manifest for krew", r.krew}, {"Debian packages", r.packages}, {"the image", r.image},
	} {
		fmt.Println(step.what)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.out, "NOTES.md"), []byte(notes), 0o644); err != nil {
		return err
	}
	return r.sums()
}

// notesOf is what a changelog says of a version, with the heading of the list.
func notesOf(changelog, version string) (string, error) {
	var out []string
	in := false
	var known []string
	for line := range strings.SplitSeq(changelog, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name, _, _ := strings.Cut(heading, " ")
			known = append(known, strings.Trim(name, "[]"))
			in = known[len(known)-1] == version
		}
		if in {
			out = append(out, line)
		}
	}
	text := strings.TrimSpace(strings.Join(out, "\n"))
	if !strings.Contains(text, "\n") {
		return "", fmt.Errorf("CHANGELOG.md says nothing of %s; it has %s", version, strings.Join(known, ", "))
	}
	return text + "\n", nil
}

// commit finds out the time of the commit, and refuses what isn't one.
func (r *release) commit() error {
	status, err := r.git("status", "--porcelain")
	if err != nil {
		return err
	}
	if status != "" && !r.dirty {
		return fmt.Errorf("the checkout has changes, so that nobody could make the release again:\n%s", status)
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = r.git("log", "-1", "--format=%ct"); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r.time = time.Unix(seconds, 0).UTC()
	return nil
}

func (r *release) git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", r.root}, args...)...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], said(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// command runs a program in the repository.
func (r *release) command(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = r.root
	cmd.Env = slices.Concat(os.Environ(), []string{"GOWORK=off", "GOFLAGS=", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.time.Unix())}, env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// said is an error of a program with what it has said.
func said(err error) error {
	var e *exec.ExitError
	if errors.As(err, &e) && len(e.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
	}
	return err
}

// tag is what programs say that they are, and the image is called.
func (r *release) tag() string { return "v" + r.version }
