package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/kube"
)

// The forms in which something is printed: the first two for people, the others for
// programs.
var (
	forms      = []string{"table", "wide", "json", "yaml", "name"}
	orderForms = []string{"table", "json", "yaml", "name"}
	dataForms  = []string{"table", "json", "yaml"}
	// objectForms are of objects that a dry run would make; without -o, it is told in words.
	objectForms = []string{"json", "yaml", "name"}
)

// An output is the form in which a command prints what it has found out: the flag -o.
type output struct {
	form  string
	forms []string
}

func (o *output) String() string { return o.form }

// Type is that of the flag, for its help.
func (o *output) Type() string { return "string" }

// Set takes one of the forms, or a template of kubectl's.
func (o *output) Set(form string) error {
	if slices.Contains(o.forms, form) {
		o.form = form
		return nil
	}
	kind, _, isTemplate := strings.Cut(form, "=")
	if isTemplate && slices.Contains(templates().AllowedFormats(), kind) {
		if _, err := templates().ToPrinter(form); err != nil {
			return fmt.Errorf("%q: %w", form, err)
		}
		o.form = form
		return nil
	}
	help := ""
	if near := o.near(strings.ToLower(kind)); len(near) > 0 {
		help = "; did you mean " + strings.Join(near, ", or ") + "?"
	}
	return fmt.Errorf("%q is none of %s, jsonpath=TEMPLATE and go-template=TEMPLATE%s", form, strings.Join(o.forms, ", "), help)
}

// near are the forms that may be meant by a word in small letters.
func (o *output) near(word string) []string {
	if slices.Contains(o.forms, word) {
		return []string{word}
	}
	return advice.Near(word, append(templates().AllowedFormats(), o.forms...))
}

// templates are the printers of kubectl's that take one.
func templates() *genericclioptions.KubeTemplatePrintFlags {
	return genericclioptions.NewKubeTemplatePrintFlags()
}

// declare declares -o, and what there was before.
func (o *output) declare(fs *pflag.FlagSet, forms []string) {
	o.form, o.forms = forms[0], forms
	fs.VarP(o, "output", "o", "`FORMAT`: "+strings.Join(forms, ", ")+", jsonpath=TEMPLATE or go-template=TEMPLATE")
	fs.BoolFunc("json", "print data, for programs", func(s string) error {
		yes, err := strconv.ParseBool(s)
		if err == nil && yes {
			o.form = "json"
		}
		return err
	})
	replace(fs, "json", "-o json")
}

// declareObjects declares -o of what a dry run would make.
func (o *output) declareObjects(fs *pflag.FlagSet) {
	o.forms = objectForms
	fs.VarP(o, "output", "o", "`FORMAT` of --dry-run: "+strings.Join(objectForms, ", ")+", jsonpath=TEMPLATE or go-template=TEMPLATE; default: in words")
}

// replaced is the annotation of a flag that another one replaces, which is its value.
const replaced = "fedctl/replaced-by"

// replace marks a flag that goes on working, but isn't shown any more.
func replace(fs *pflag.FlagSet, name, by string) {
	f := fs.Lookup(name)
	f.Hidden, f.Annotations = true, map[string][]string{replaced: {by}}
}

// data says whether a program is to read it.
func (o *output) data() bool { return o.form != "" && o.form != "table" && o.form != "wide" }

// wide says whether people want all columns.
func (o *output) wide() bool { return o.form == "wide" }

// put prints data as a program is to read it. names are what -o name prints.
func (c *call) put(o output, v any, names ...string) error {
	switch o.form {
	case "json":
		return c.print(v)
	case "yaml":
		text, err := yaml.Marshal(v)
		c.printf("%s", text)
		return err
	case "name":
		seen := map[string]bool{}
		for _, n := range names {
			if !seen[n] {
				c.printf("%s\n", n)
			}
			seen[n] = true
		}
		return nil
	}
	return fill(c.Stdout, o.form, v)
}

// fill fills a template. A list is called items there, as kubectl's are.
func fill(w io.Writer, form string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var data any
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	object, ok := data.(map[string]any)
	if !ok {
		object = map[string]any{"items": data}
	}
	p, err := templates().ToPrinter(form)
	if err != nil {
		return err
	}
	return p.PrintObj(&kube.Object{Object: object}, w)
}

// putObjects prints objects as kubectl does.
func (c *call) putObjects(o output, objects []*kube.Object) error {
	switch o.form {
	case "json", "yaml":
		text, err := kube.Print(objects, o.form)
		c.printf("%s", text)
		return err
	case "name":
		p := &printers.NamePrinter{ShortOutput: true}
		for _, x := range objects {
			if err := p.PrintObj(x, c.Stdout); err != nil {
				return err
			}
		}
		return nil
	}
	return fill(c.Stdout, o.form, append([]*kube.Object{}, objects...))
}
