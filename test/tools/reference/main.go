// Command reference makes what the manual's reference has of tables in the code: the options of a Corefile, labels
// and annotations, the fields of the kinds, metrics, and exit codes. What is made stands between two marks of a page,
// beside what people write there. With -check it changes nothing, and fails if a page is stale.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/internal/metric"
	_ "github.com/fedns/fedns/internal/sync/controller" // has metrics
	"github.com/fedns/fedns/plugin/federation"
)

// parts are what is made, by its page and its mark there.
var parts = []struct {
	page, mark string
	made       func(root string) (string, error)
}{
	{"corefile.md", "options of Federation", optionsOf("Federation")},
	{"corefile.md", "options of Cluster", optionsOf("Cluster")},
	{"corefile.md", "options of Health", optionsOf("Health")},
	{"corefile.md", "options of Answers", optionsOf("Answers")},
	{"corefile.md", "options of Serving", optionsOf("Serving")},
	{"annotations.md", "In a member cluster", marks(v1alpha1.InMembers)},
	{"annotations.md", "On a federated object", marks(v1alpha1.OnFederated)},
	{"annotations.md", "Written by the programs", marks(v1alpha1.ByPrograms)},
	{"metrics.md", "metrics of fedns", func(string) (string, error) { return metrics(metric.Fedns), nil }},
	{"metrics.md", "metrics of fedsync", func(string) (string, error) { return metrics(metric.Fedsync), nil }},
	{"exit-codes.md", "exit codes of fedctl", func(string) (string, error) { return exitCodes(), nil }},
	{"crd.md", "spec of Cluster", func(root string) (string, error) { return fields(root, "clusters", "spec") }},
	{"crd.md", "status of Cluster", func(root string) (string, error) { return fields(root, "clusters", "status") }},
	{"crd.md", "spec of Order", func(root string) (string, error) { return fields(root, "orders", "spec") }},
	{"crd.md", "status of Order", func(root string) (string, error) { return fields(root, "orders", "status") }},
	{"crd.md", "Placement", func(root string) (string, error) { return fields(root, "placements", "") }},
	{"crd.md", "Work", func(root string) (string, error) { return fields(root, "works", "") }},
	{"crd.md", "Agent", func(root string) (string, error) { return fields(root, "agents", "") }},
}

func main() {
	check := flag.Bool("check", false, "fail if a page is stale, and change nothing")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	for _, p := range parts {
		made, err := p.made(root)
		if err != nil {
			return err
		}
		page := filepath.Join(root, "docs", "reference", p.page)
		text, err := os.ReadFile(page)
		if err != nil {
			return fmt.Errorf("%w; it is run in the repository's root", err)
		}
		begin, end := "<!-- made: "+p.mark+" -->\n", "<!-- /made -->"
		before, rest, found := strings.Cut(string(text), begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return fmt.Errorf("%s: needs %q and %q, between which it goes", page, strings.TrimSpace(begin), end)
		}
		next := before + begin + made + end + after
		switch {
		case next == string(text):
		case check:
			return fmt.Errorf("the part %q of %s isn't what the code says; make reference, and commit it", p.mark, page)
		default:
			if err := os.WriteFile(page, []byte(next), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain is a text as Markdown that isn't any.
func plain(text string) string { return strings.ReplaceAll(text, "*", `\*`) }

// A table is one of Markdown.
type table struct{ strings.Builder }

func newTable(heads ...string) *table {
	t := &table{}
	t.row(heads...)
	t.WriteString(strings.Repeat("|---", len(heads)) + "|\n")
	return t
}

func (t *table) row(cells ...string) {
	for _, c := range cells {
		t.WriteString("| " + strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`) + " ")
	}
	t.WriteString("|\n")
}

// optionsOf makes the list of the options in one part of the page.
func optionsOf(part string) func(string) (string, error) {
	return func(string) (string, error) {
		all := federation.Manual()[part]
		if len(all) == 0 {
			return "", fmt.Errorf("there are no options of %s", part)
		}
		return "* " + strings.Join(all, "\n* ") + "\n", nil
	}
}

// marks makes a table of labels and annotations.
func marks(all []v1alpha1.Mark) func(string) (string, error) {
	return func(string) (string, error) {
		t := newTable("label or annotation", "what it does")
		for _, m := range all {
			t.row(m.Name, m.Says)
		}
		return t.String(), nil
	}
}

func metrics(s *metric.Set) string {
	t := newTable("`"+s.Prefix+"...`", "kind", "what it says")
	for _, f := range s.Families() {
		name := f.Name
		if len(f.Labels) > 0 {
			name += "{" + strings.Join(f.Labels, ",") + "}"
		}
		t.row("`"+name+"`", f.Kind, plain(strings.TrimSuffix(f.Help, ".")))
	}
	return t.String()
}

func exitCodes() string {
	t := newTable("code", "")
	for _, e := range ctl.ExitCodes {
		t.row(fmt.Sprint(e.Code), e.Says)
	}
	return t.String()
}

// A schema is what is read of a definition's.
type schema struct {
	Description          string
	Type, Format         string
	Enum                 []string
	MaxItems             int
	Required             []string
	Properties           map[string]schema
	Items                *schema
	AdditionalProperties *schema
}

// fields are those of a kind below one of its fields, or of all that isn't every object's.
func fields(root, kind, below string) (string, error) {
	path := filepath.Join(root, "deploy", kind+".yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema schema }
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if n := len(definition.Spec.Versions); n != 1 {
		return "", fmt.Errorf("%s: has %d versions, not one", path, n)
	}
	s := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	head := "field"
	if below != "" {
		s, head = s.Properties[below], "field of `"+below+"`"
	}
	for _, every := range []string{"apiVersion", "kind", "metadata"} {
		delete(s.Properties, every)
	}
	t := newTable(head, "type", "what it says")
	s.rows(t, "", map[string]schema{})
	return t.String(), nil
}

// rows adds the fields of a schema and what is in them, by name. What has the fields of one before, among shown,
// refers to that.
func (s schema) rows(t *table, prefix string, shown map[string]schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[name]
		says := plain(f.Description)
		if slices.Contains(s.Required, name) {
			says += " Required."
		}
		if f.MaxItems > 0 {
			says += fmt.Sprintf(" At most %d.", f.MaxItems)
		}
		if f.Enum != nil {
			says += " One of `" + strings.Join(f.Enum, "`, `") + "`."
		}
		path, inner := prefix+name, f
		kind := f.Type
		switch {
		case f.Items != nil:
			inner, kind = *f.Items, "list of "+f.Items.Type+"s"
		case f.AdditionalProperties != nil:
			inner, kind, path = *f.AdditionalProperties, "by name", path+".NAME"
		case f.Format == "date-time":
			kind = "time"
		}
		alike := ""
		for _, other := range slices.Sorted(maps.Keys(shown)) {
			if len(inner.Properties) > 1 && reflect.DeepEqual(shown[other].Properties, inner.Properties) {
				alike = other
			}
		}
		if alike != "" {
			t.row("`"+path+"`", kind, says+" Its fields are those of `"+alike+"`.")
			continue
		}
		shown[path] = inner
		t.row("`"+path+"`", kind, says)
		inner.rows(t, path+".", shown)
	}
}
