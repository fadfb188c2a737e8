// Command licences lists the modules that fedns, fedsync and fedctl are linked from, with
// their licences, in docs/reference/modules.md; with -check, it says whether that is so.
//
// A module gets into a program without a word, by an import far away. This page is where
// it is seen, in the commit that brings it.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const page = "docs/reference/modules.md"

func main() {
	check := flag.Bool("check", false, "only say whether the page is as it would be written")
	texts := flag.String("texts", "", "write the licences' texts to this `file`, and nothing else")
	flag.Parse()
	if err := run(*check, *texts); err != nil {
		fmt.Fprintf(os.Stderr, "licences: %v\n", err)
		os.Exit(1)
	}
}

var programs = []string{"fedns", "fedsync", "fedctl"}

// A module is one that a program is linked from.
type module struct {
	path, version, dir string
	licence            string // SPDX
	in                 [3]bool
}

func run(check bool, texts string) error {
	modules, err := linked()
	if err != nil {
		return err
	}
	var unknown []error
	for _, m := range modules {
		if m.licence, err = m.identify(); err != nil {
			unknown = append(unknown, err)
		}
	}
	if err := errors.Join(unknown...); err != nil {
		return err
	}
	if texts != "" {
		return write(texts, modules)
	}
	made := table(modules)
	was, err := os.ReadFile(page)
	if err != nil && !check {
		return os.WriteFile(page, made, 0o644)
	}
	switch {
	case err != nil:
		return err
	case string(was) == string(made):
		return nil
	case check:
		return fmt.Errorf("%s isn't what the programs are linked from; make licences, and look at what has come", page)
	}
	return os.WriteFile(page, made, 0o644)
}

// linked gives all modules but this one, by path.
func linked() ([]*module, error) {
	all := map[string]*module{}
	for i, p := range programs {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", "./cmd/"+p)
		// Of one system: another has other packages of some.
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list -deps ./cmd/%s: %w", p, err)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue // of this module, or of Go
			}
			if len(f) != 3 {
				return nil, fmt.Errorf("go list: %q", line)
			}
			if all[f[0]] == nil {
				all[f[0]] = &module{path: f[0], version: f[1], dir: f[2]}
			}
			all[f[0]].in[i] = true
		}
	}
	var out []*module
	for _, m := range all {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *module) int { return cmp.Compare(a.path, b.path) })
	return out, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)`)

// files are those that a module's licence, and what it wants to be told, stand in.
func (m *module) files() (names []string, err error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) && !strings.HasSuffix(e.Name(), ".go") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// known are the licences that a module may have, by words that only they have. All let
// a program be handed on with their texts.
var known = []struct {
	spdx string
	has  *regexp.Regexp
}{
	{"Apache-2.0", regexp.MustCompile(`apache license,? version 2\.0|apache\.org/licenses/license-2\.0`)},
	{"MIT", regexp.MustCompile(`permission is hereby granted, free of charge`)},
	{"BSD-3-Clause", regexp.MustCompile(`redistribution and use in source and binary forms.*(neither the name|names of its contributors may)`)},
	{"BSD-2-Clause", regexp.MustCompile(`redistribution and use in source and binary forms`)},
	{"ISC", regexp.MustCompile(`permission to use, copy, modify, and(/or)? distribute this software for any purpose`)},
	{"CC0-1.0", regexp.MustCompile(`cc0 1\.0 universal`)},
	{"MPL-2.0", regexp.MustCompile(`mozilla public license,? v(ersion|\.) ?2\.0`)},
}

var spaces = regexp.MustCompile(`\s+`)

// identify reads the licences of a module.
func (m *module) identify() (string, error) {
	names, err := m.files()
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return "", err
		}
		text := spaces.ReplaceAllString(strings.ToLower(string(b)), " ")
		for _, l := range known {
			if l.spdx == "BSD-2-Clause" && slices.Contains(found, "BSD-3-Clause") {
				continue // it has the same words, and more
			}
			if l.has.MatchString(text) && !slices.Contains(found, l.spdx) {
				found = append(found, l.spdx)
			}
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s %s has no licence that is known here (%s)", m.path, m.version, strings.Join(names, ", "))
	}
	return strings.Join(found, " and "), nil
}

// table is the page.
func table(modules []*module) []byte {
	var counts [3]int
	var b strings.Builder
	for _, m := range modules {
		for i := range programs {
			if m.in[i] {
				counts[i]++
			}
		}
	}
	fmt.Fprintf(&b, `# Modules

What the programs for Linux are linked from, beside Go's standard library: %d modules in fedns, %d in fedsync, %d in fedctl. Made by `+"`make licences`"+`;
`+"`make check`"+` fails where it isn't so. The licences' texts are in the image, in `+"`/licences`"+`; a list for machines (CycloneDX) is beside it: see
[install](../install.md#the-image).

| module | version | licence | fedns | fedsync | fedctl |
|---|---|---|---|---|---|
`, counts[0], counts[1], counts[2])
	for _, m := range modules {
		fmt.Fprintf(&b, "| %s | %s | %s |", m.path, m.version, m.licence)
		for _, in := range m.in {
			if in {
				b.WriteString(" x |")
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// write writes the licences' texts, each once, with whose it is.
func write(to string, modules []*module) error {
	type text struct{ whose, content string }
	var all []text
	at := map[string]int{}
	for _, m := range modules {
		names, err := m.files()
		if err != nil {
			return err
		}
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(m.dir, name))
			if err != nil {
				return err
			}
			content := strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n"))
			whose := fmt.Sprintf("%s %s (%s)\n", m.path, m.version, name)
			if i, ok := at[content]; ok {
				all[i].whose += whose
				continue
			}
			at[content] = len(all)
			all = append(all, text{whose, content})
		}
	}
	var b strings.Builder
	b.WriteString("What fedns, fedsync and fedctl are linked from, beside Go's standard library, and the licences of each.\n")
	for _, t := range all {
		b.WriteString("\n" + strings.Repeat("=", 100) + "\n" + t.whose + "\n" + t.content + "\n")
	}
	return os.WriteFile(to, []byte(b.String()), 0o644)
}
