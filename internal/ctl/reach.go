package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// reaching is what commands have in common that reach the API of a federation: kubectl's
// flags that say which.
type reaching struct {
	*call
	flags  *genericclioptions.ConfigFlags
	opened []*kube.API
}

func newReaching(c *call) reaching {
	all := genericclioptions.NewConfigFlags(false)
	return reaching{call: c, flags: &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, ClusterName: all.ClusterName, AuthInfoName: all.AuthInfoName,
		Impersonate: all.Impersonate, ImpersonateUID: all.ImpersonateUID, ImpersonateGroup: all.ImpersonateGroup, Timeout: all.Timeout,
	}}
}

func (c *reaching) declare(fs *pflag.FlagSet) {
	c.flags.AddFlags(fs)
	fs.Lookup("kubeconfig").Usage = kubeconfigUsage
	fs.Lookup("context").Usage = "`CONTEXT` of the federation; default: the current one"
	fs.Lookup("request-timeout").Usage = "`DURATION` that one request to the API may take; 0: no longer than fedctl waits anyway"
}

const kubeconfigUsage = "`FILE`; default $KUBECONFIG, then ~/.kube/config"

// files declares what leads to several APIs: each has a context of its own.
func (c *reaching) files(fs *pflag.FlagSet) {
	(&genericclioptions.ConfigFlags{KubeConfig: c.flags.KubeConfig}).AddFlags(fs)
	fs.Lookup("kubeconfig").Usage = kubeconfigUsage
}

// hostFlag is of the commands of the first federations, in which the clusters'
// credentials were kept in the host cluster. They are in the federation's API now.
func hostFlag(fs *pflag.FlagSet) {
	fs.String("host-cluster-context", "", "`C`, accepted as kubefed had it; it isn't needed")
}

func (c *reaching) find() kubeconfig.Files {
	return kubeconfig.Find(*c.flags.KubeConfig, c.Getenv)
}

// chosen is what the flags say of the federation's API.
func (c *reaching) chosen() kubeconfig.Choice {
	return kubeconfig.Choice{
		Context: *c.flags.Context, Cluster: *c.flags.ClusterName, User: *c.flags.AuthInfoName,
		As: *c.flags.Impersonate, AsUID: *c.flags.ImpersonateUID, AsGroups: *c.flags.ImpersonateGroup,
	}
}

// open reaches the API of a context of the operator's.
func (c *reaching) open(what kubeconfig.Choice) (*kube.API, *kubeconfig.Context, error) {
	if _, err := c.requestTimeout(); err != nil {
		return nil, nil, err
	}
	if f := c.speaks("as-group", "as-uid"); f != "" && *c.flags.Impersonate == "" {
		return nil, nil, misused(&c.command, "%s: --%s is of somebody: --as says who", c.name, f)
	}
	cut, err := c.find().Choose(what)
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
	timeout, err := c.requestTimeout()
	if err != nil {
		return nil, err
	}
	api, err := kube.Open(kube.Config{Content: content, Agent: "fedctl/" + c.Version, Timeout: timeout, Wrap: func(t http.RoundTripper) http.RoundTripper { return &patient{c.call, t} }})
	if err == nil {
		c.opened = append(c.opened, api)
	}
	return api, err
}

// close lets go of all APIs that were reached, when the command has ended.
func (c *reaching) close() {
	for _, api := range c.opened {
		api.Close()
	}
}

// requestTimeout reads the flag as kubectl does: a number alone is one of seconds.
func (c *reaching) requestTimeout() (time.Duration, error) {
	text := *c.flags.Timeout
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, misused(&c.command, "%s: --request-timeout: %q isn't a duration such as 90s, 15m or 2h", c.name, text)
	}
	return d, nil
}

// federation reaches the federation's, and asks which one it is.
func (c *reaching) federation(ctx context.Context) (*kube.API, v1alpha1.Settings, error) {
	api, _, err := c.open(c.chosen())
	if err != nil {
		return nil, v1alpha1.Settings{}, err
	}
	whose, err := bootstrap.Read(ctx, api)
	return api, whose, err
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
		if k.Group == v1alpha1.Group {
			return nil, misused(&c.command, "%s: --kind: %s is the federation's own, and isn't kept in clusters", c.name, k)
		}
		out = append(out, k)
	}
	return out, nil
}

// propagated are the kinds that are kept in clusters beside fedsync's own: those that
// --kind names, else those that the federation's settings do.
func (c *call) propagated(flags []kube.Kind, whose v1alpha1.Settings) []kube.Kind {
	all := whose.AllKinds()
	if len(flags) == 0 {
		return all
	}
	left := slices.DeleteFunc(slices.Clone(all), func(k kube.Kind) bool { return slices.Contains(flags, k) })
	if len(left) > 0 {
		c.hint(fmt.Sprintf("federation %s keeps %s, too, which --kind doesn't name; without --kind all of them are meant", whose.Federation, v1alpha1.FormatKinds(left)))
	}
	return flags
}

// render prints objects for --dry-run.
func (c *call) render(out output, objects []*kube.Object) error {
	if out.form != "" {
		return c.putObjects(out, objects)
	}
	for _, o := range objects {
		c.printf("would make %s\n", kube.TitleOf(o))
	}
	return nil
}

// foretold prints what a rehearsal would have done to an API.
func (c *call) foretold(where string, r *kube.Rehearsal, out output) error {
	switch out.form {
	case "":
		lines := 0
		for _, x := range []struct {
			verb string
			list []*kube.Object
		}{{"change", r.Changed()}, {"remove", r.Removed()}} {
			for _, o := range x.list {
				c.printf("would %s %s, in %s\n", x.verb, kube.TitleOf(o), where)
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
	return c.render(out, r.Removed())
}

// formatted makes sure that -o is said of what a dry run prints.
func (c *call) formatted(out output, dry bool) error {
	if out.form != "" && !dry {
		return misused(&c.command, "%s: -o goes with --dry-run", c.name)
	}
	return nil
}

// errInterrupted is what a command ends with after Ctrl-C.
var errInterrupted = errors.New("interrupted")

// bounded runs what must come to an end, and says meanwhile what is waited for.
func (c *call) bounded(ctx context.Context, limit time.Duration, do func(context.Context, *progress) error) error {
	p := c.progress()
	defer p.end()
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(within, p)
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
