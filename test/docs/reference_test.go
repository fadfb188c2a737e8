package docs

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/metric"
	_ "github.com/fedns/fedns/internal/sync/controller" // has metrics
	_ "github.com/fedns/fedns/plugin/federation"        // has metrics
	"github.com/fedns/fedns/plugin/federation/status"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var update = flag.Bool("update", false, "write what programs print with help into the pages that show it")

// sources are the texts of the product's Go files whose path passes.
func sources(t *testing.T, pass func(path string) bool) string {
	t.Helper()
	var out strings.Builder
	for _, dir := range []string{"cmd", "internal", "plugin"} {
		err := filepath.WalkDir(filepath.Join(vector.Root(), dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !pass(path) {
				return err
			}
			b, err := os.ReadFile(path)
			out.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// has fails for each of names that a page doesn't have as code, alone or with more
// behind it; at least that many are expected.
func has(t *testing.T, page string, atLeast int, names []string) {
	t.Helper()
	text := read(t, page)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < atLeast {
		t.Fatalf("only %d names found for %s: %v", len(names), page, names)
	}
	for _, name := range names {
		if !regexp.MustCompile("`(label )?" + regexp.QuoteMeta(name) + `\b`).MatchString(text) {
			t.Errorf("%s doesn't tell of %s", page, name)
		}
	}
}

func found(re, text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// Every label and annotation is told of.
func TestAnnotations(t *testing.T) {
	all := sources(t, func(string) bool { return true })
	has(t, "docs/reference/annotations.md", 20, found(`"((?:fedns\.io|federation\.kubernetes\.io)/[a-z][a-z-]*)"`, all))
}

// Every path of the status, and every field of what it says, is told of.
func TestStatusAPI(t *testing.T) {
	names := []string{status.Description}
	kinds := []any{report.Error{}, report.Moment{}}
	for _, r := range status.Routes {
		names, kinds = append(names, r.Path), append(kinds, r.Result)
	}
	for _, v := range kinds {
		names = append(names, keys(reflect.TypeOf(v))...)
	}
	has(t, "docs/reference/status-api.md", 60, names)
}

// keys are the names of a type's fields in JSON, at any depth.
func keys(of reflect.Type) []string {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keys(of.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var out []string
	for f := range of.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			out = append(out, name)
		}
		out = append(out, keys(f.Type)...)
	}
	return out
}

// built are the programs' paths; each is built once.
var built = map[string]string{}

func build(t *testing.T, program string) string {
	t.Helper()
	if built[program] == "" {
		path, err := server.Build(program)
		if err != nil {
			t.Fatal(err)
		}
		built[program] = path
	}
	return built[program]
}

// run is what a program prints, with nothing of this place's environment.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(build(t, program), args...)
	cmd.Env = []string{"HOME=/", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// commands are those that fedctl lists: of one word or two.
func commands(t *testing.T) []string {
	t.Helper()
	all := found(`(?m)^  ((?:get |keys )?[a-z]+) +[A-Z]`, run(t, "fedctl", "help"))
	all = slices.DeleteFunc(all, func(c string) bool { return c == "help" })
	if len(all) < 15 {
		t.Fatalf("only %d commands found: %v", len(all), all)
	}
	return all
}

// The reference of the programs is what they print. With -update it becomes that.
func TestHelp(t *testing.T) {
	const page = "docs/reference/fedctl.md"
	text := read(t, page)
	blocks, _ := parse(page, text)
	var told []string
	for _, b := range blocks {
		command, shown, _ := strings.Cut(b.text, "\n")
		program, args, ok := strings.Cut(strings.TrimPrefix(command, "$ "), " ")
		if !strings.HasPrefix(command, "$ ") || !ok {
			t.Errorf("%s:%d: begins with %q, not with a command", page, b.line, command)
			continue
		}
		told = append(told, strings.TrimPrefix(args, "help "))
		// Tabs and the ends of lines are no part of it.
		want := regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAllString(strings.ReplaceAll(run(t, program, strings.Fields(args)...), "\t", "    "), "")
		switch {
		case shown == want:
		case *update:
			text = strings.Replace(text, "```text\n"+b.text+"```", "```text\n"+command+"\n"+want+"```", 1)
		default:
			t.Errorf("%s:%d: %s prints\n%s\nnot\n%s(hint: go test ./test/docs -run TestHelp -update)", page, b.line, command, want, shown)
		}
	}
	for _, c := range commands(t) {
		if !slices.Contains(told, c) {
			t.Errorf("%s doesn't tell of fedctl %s", page, c)
		}
	}
	if *update {
		if err := os.WriteFile(filepath.Join(vector.Root(), page), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever is told to type something of fedctl or fedsync types a command that there is,
// with flags that it has.
func TestFlags(t *testing.T) {
	known := commands(t)
	help := map[string]string{}
	checked := 0
	for _, page := range manual(t) {
		blocks, prose := parse(page, read(t, page))
		lines := found("`((?:fedctl|fedsync|bin/fedns|fedns) [^`]*)`", strings.Join(prose, "\n"))
		for _, b := range blocks {
			lines = append(lines, found(`(?m)^(?:\$ )?((?:fedctl|fedsync|bin/fedns) .*)$`, b.text)...)
		}
		for _, line := range lines {
			line, _, _ = strings.Cut(line, " # ")
			words := strings.Fields(strings.NewReplacer("[", " ", "]", " ").Replace(line))
			program := strings.TrimPrefix(words[0], "bin/")
			words = words[1:]
			if words[0] == "help" || words[0] == "COMMAND" || words[0] == "--help" {
				continue
			}
			subject := []string{""}
			if program == "fedctl" {
				i := slices.IndexFunc(words, func(w string) bool { return !strings.HasPrefix(w, "-") })
				if i < 0 {
					continue // flags alone, of whatever
				}
				subject = strings.Split(words[i], "|") // drain|down|up
				if two := strings.Join(words[i:min(i+2, len(words))], " "); words[i] == "get" || slices.Contains(known, two) {
					subject = []string{two}
				}
			}
			for _, s := range subject {
				if program == "fedctl" && !slices.Contains(known, s) {
					t.Errorf("%s: %q: there is no command %q", page, line, s)
					continue
				}
				key := program + " " + s
				if help[key] == "" && program == "fedctl" {
					help[key] = run(t, program, append([]string{"help"}, strings.Fields(s)...)...)
				} else if help[key] == "" {
					help[key] = run(t, program, "--help")
				}
				checked++
				for _, w := range words {
					m := regexp.MustCompile(`^--?([a-z][a-z-]*)`).FindStringSubmatch(w)
					if m != nil && !regexp.MustCompile(`(?m)^ +(-\w, )?--?`+m[1]+`( |=|,|$|\t)`).MatchString(help[key]) {
						t.Errorf("%s: %q: %s has no flag --%s", page, line, key, m[1])
					}
				}
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d commands found", checked)
	}
}

// Every alert links to a section of the runbooks, which says where to look, and each section is of
// an alert.
func TestRunbooks(t *testing.T) {
	page := read(t, "docs/runbooks.md")
	sections := map[string]string{}
	for _, part := range strings.Split(page, "\n## ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		sections[name] = text
	}
	rules := read(t, "deploy/monitoring/rules.yaml")
	alerts := found(`- alert: (\w+)`, rules)
	if len(alerts) < 15 {
		t.Fatalf("only %d alerts found", len(alerts))
	}
	for _, a := range alerts {
		if link := "docs/runbooks.md#" + strings.ToLower(a) + "'"; strings.Count(rules, link) != 1 {
			t.Errorf("alert %s doesn't link to its section: %s", a, link)
		}
		text := sections[a]
		delete(sections, a)
		if !strings.Contains(text, "\n* ") || !strings.Contains(text, "fedctl ") {
			t.Errorf("the section of %s says neither where to look nor what to do: %q", a, text)
		}
	}
	for name := range sections {
		t.Errorf("section %s is of no alert", name)
	}
}

// Every metric that an alert or the board speaks of is there.
func TestRules(t *testing.T) {
	rules := read(t, "deploy/monitoring/rules.yaml") + read(t, "deploy/monitoring/board.json")
	there := map[string]bool{}
	for _, set := range []*metric.Set{metric.Fedns, metric.Fedsync} {
		for _, f := range set.Families() {
			there[set.Prefix+f.Name] = true
		}
	}
	names := regexp.MustCompile(`\b(?:coredns_federation_|fedsync_)\w+`).FindAllString(rules, -1)
	if len(names) < 15 {
		t.Fatalf("only %d found: %v", len(names), names)
	}
	for _, name := range names {
		if !there[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("deploy/monitoring speaks of %s; there is none", name)
		}
	}
}
