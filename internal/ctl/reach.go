package ctl

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// reaching is what commands have in common that reach the API of a federation.
type reaching struct {
	*call
	kubeconfig, context string
}

func (c *reaching) declare(fs *pflag.FlagSet) {
	c.files(fs)
	fs.StringVar(&c.context, "context", "", "`CONTEXT` of the federation; default: the current one")
}

func (c *reaching) files(fs *pflag.FlagSet) {
	fs.StringVar(&c.kubeconfig, "kubeconfig", "", "`FILE`; default $KUBECONFIG, then ~/.kube/config")
}

// hostFlag is of the commands of the first federations, in which the clusters'
// credentials were kept in the host cluster. They are in the federation's API now.
func hostFlag(fs *pflag.FlagSet) {
	fs.String("host-cluster-context", "", "`C`, accepted as kubefed had it; it isn't needed")
}

func (c *reaching) find() kubeconfig.Files { return kubeconfig.Find(c.kubeconfig, c.Getenv) }

// open reaches the API of a context of the operator's.
func (c *reaching) open(name string) (*kube.API, *kubeconfig.Context, error) {
	cut, err := c.find().Context(name)
	if err != nil {
		return nil, nil, err
	}
	api, err := c.reach(cut.Content)
	if err != nil {
		return nil, nil, fmt.Errorf("kubeconfig %s: context %q: %w", c.find(), cut.Name, err)
	}
	return api, cut, nil
}

func (c *reaching) reach(content []byte) (*kube.API, error) {
	return kube.Open(kube.Config{Content: content, Agent: "fedctl/" + c.Version})
}

// federation reaches the federation's, and asks which one it is.
func (c *reaching) federation(ctx context.Context) (*kube.API, bootstrap.Settings, error) {
	api, _, err := c.open(c.context)
	if err != nil {
		return nil, bootstrap.Settings{}, err
	}
	whose, err := bootstrap.Read(ctx, api)
	if err != nil {
		api.Close()
		return nil, whose, err
	}
	return api, whose, nil
}

// label is what federations are called: it is one in every name.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// subdomain is what clusters may be called, and zones.
var subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

// longest is how long a cluster's name may be: those of its Secrets are longer.
const longest = 200

func (c *call) clusterName() (string, error) {
	name := c.positional[0]
	if !subdomain.MatchString(name) || len(name) > longest {
		return "", misused(&c.command, "%s: a cluster can't be called %q; small letters, digits, dashes and dots can stand in its name", c.name, name)
	}
	return name, nil
}

// kinds reads the flags of that name.
func (c *call) kinds(list []string) (out []kube.Kind, err error) {
	for _, text := range list {
		k, err := v1alpha1.ParseKind(text)
		if err != nil {
			return nil, misused(&c.command, "%s: --kind: %v", c.name, err)
		}
		out = append(out, k)
	}
	return out, nil
}

// render prints objects for --dry-run.
func (c *call) render(objects []*kube.Object, format string) error {
	switch format {
	case "":
		for _, o := range objects {
			c.printf("would make %s\n", titled(o))
		}
		return nil
	case "yaml", "json":
		text, err := kube.Print(objects, format)
		if err != nil {
			return err
		}
		c.printf("%s", text)
		return nil
	}
	return misused(&c.command, "%s: -o %q is none of yaml and json", c.name, format)
}

// foretold prints what a rehearsal would have done to an API.
func (c *call) foretold(where string, r *kube.Rehearsal, format string) error {
	switch format {
	case "":
		lines := 0
		for _, x := range []struct {
			verb string
			list []*kube.Object
		}{{"change", r.Changed()}, {"remove", r.Removed()}} {
			for _, o := range x.list {
				c.printf("would %s %s, in %s\n", x.verb, titled(o), where)
				lines++
			}
		}
		if lines == 0 {
			c.printf("there is nothing to remove in %s\n", where)
		}
		return nil
	case "yaml":
		c.printf("# To be removed from %s:\n", where)
	}
	return c.render(r.Removed(), format)
}

func titled(o *kube.Object) string {
	if ns := o.GetNamespace(); ns != "" {
		return o.GetKind() + " " + ns + "/" + o.GetName()
	}
	return o.GetKind() + " " + o.GetName()
}

// formatted makes sure that -o says something that render knows.
func (c *call) formatted(format string, dry bool) error {
	switch {
	case format != "" && format != "yaml" && format != "json":
		return misused(&c.command, "%s: -o %q is none of yaml and json", c.name, format)
	case format != "" && !dry:
		return misused(&c.command, "%s: -o goes with --dry-run", c.name)
	}
	return nil
}

// A progress shows what is waited for: on a terminal in one line, else in a line
// for each change.
type progress struct {
	*call
	last string
}

func (c *call) progress() *progress { return &progress{call: c} }

func (p *progress) say(what string) {
	switch {
	case what == p.last:
	case p.Terminal:
		fmt.Fprintf(p.Stderr, "\r\x1b[K%s: %s", p.name, what)
	default:
		fmt.Fprintf(p.Stderr, "%s: %s\n", p.name, what)
	}
	p.last = what
}

// end leaves the line empty.
func (p *progress) end() {
	if p.Terminal && p.last != "" {
		fmt.Fprint(p.Stderr, "\r\x1b[K")
	}
}

// errInterrupted is what a command ends with after Ctrl-C.
var errInterrupted = errors.New("interrupted")

// bounded runs what must come to an end.
func bounded(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(within)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errInterrupted, err)
	case within.Err() != nil:
		return fmt.Errorf("not within %s (--timeout): %w", limit, err)
	}
	return err
}
