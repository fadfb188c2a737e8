package ctl

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/hosted"
	"github.com/fedns/fedns/internal/ctl/install/token"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
	"github.com/fedns/fedns/internal/sync/replicas"
)

type initialize struct {
	reaching
	plan     hosted.Plan
	hostName string // context
	domain   string
	api      string
	image    string // of fedns and fedsync; "": they aren't run
	kindList list
	surge    string
	timeout  time.Duration
	rotate   bool
	dry      bool
	out      output
}

// none is what --etcd-storage says for no volume.
const none = "none"

func (c *initialize) declare(fs *pflag.FlagSet) {
	c.files(fs)
	fs.StringVar(&c.hostName, "host-cluster-context", "", "`C` of the cluster that the API is set up in")
	fs.StringVar(&c.domain, "dns-zone-name", "", "`D`, the domain of the federation's names")
	fs.StringVar(&c.api, "api", "", "`KUBECONFIG/CONTEXT`, or one of the two: use this API instead of setting one up")
	fs.StringVar(&c.plan.ServiceType, "api-server-service-type", hosted.LoadBalancer, "`TYPE` of the Service in front: LoadBalancer, NodePort or ClusterIP")
	fs.StringVar(&c.plan.Advertise, "api-server-advertise-address", "", "`ADDRESS[:PORT]` that the API is reached at; default: what the Service gets")
	fs.IntVar(&c.plan.NodePort, "api-server-port", 0, "`PORT` on the nodes, for NodePort; default: the cluster chooses")
	fs.StringVar(&c.plan.APIImage, "image-kube-apiserver", hosted.APIServerImage, "`IMAGE`")
	fs.StringVar(&c.plan.EtcdImage, "image-etcd", hosted.EtcdImage, "`IMAGE`")
	fs.StringVar(&c.image, "image-fedns", "", "`IMAGE` of fedns and fedsync: run them in the host cluster, too, as the chart does; without it, they aren't, or stay as they are")
	fs.StringVar(&c.plan.Storage, "etcd-storage", "10Gi", "`SIZE` of etcd's volume; \"none\": the federation's objects go with etcd's pod")
	fs.StringVar(&c.plan.StorageClass, "etcd-storage-class", "", "`CLASS` of it; default: the cluster's own")
	fs.Var(&c.kindList, "kind", "`GROUP/VERSION/KIND` that is propagated, too; may be given several times")
	fs.StringVar(&c.surge, "surge", "", "`NUMBER` of replicas, or percentage of those wanted, that there may be beyond them while some move to another cluster; default: 25%")
	fs.BoolVar(&c.plan.HA, "ha", false, "three etcds and two API servers, no two of a kind on a node, instead of one each")
	fs.BoolVar(&c.rotate, "rotate-encryption-key", false, "give the API in the host cluster another key for Secrets in etcd, and write all of them with it")
	fs.DurationVar(&c.timeout, "timeout", 5*time.Minute, "`DURATION` after which it is given up, and removed again")
	fs.BoolVar(&c.dry, "dry-run", false, "make nothing; with -o, print what would be made, with keys of its own each time")
	c.out.declareObjects(fs)
}

func (c *initialize) run(ctx context.Context) error {
	federation := c.positional[0]
	if !label.MatchString(federation) || len(federation) > 40 {
		return misused(&c.command, "init: a federation can't be called %q: its name is a label in others; small letters, digits and dashes, at most 40", federation)
	}
	if c.domain == "" || !subdomain.MatchString(c.domain) {
		return misused(&c.command, "init: --dns-zone-name %q is not a domain, such as example.com", c.domain)
	}
	if c.api != "" && c.hostName != "" {
		return misused(&c.command, "init: --api and --host-cluster-context exclude each other")
	}
	if c.rotate && (c.api != "" || c.dry) {
		return misused(&c.command, "init: --rotate-encryption-key is for an API that fedctl has set up, and not for --dry-run")
	}
	if c.plan.HA && c.api != "" {
		return misused(&c.command, "init: --ha is for an API that fedctl sets up; how many servers the one of --api has is its own business")
	}
	if c.image != "" && c.api != "" {
		return misused(&c.command, "init: --image-fedns is for a host cluster; beside the API of --api, the chart runs them (docs/install.md)")
	}
	if strings.ContainsAny(c.image, " \t\n\"") {
		return misused(&c.command, "init: --image-fedns %q isn't an image, such as registry.example/fedns:0.2.0", c.image)
	}
	if c.plan.Storage == none {
		c.plan.Storage = ""
	}
	if c.surge != "" {
		if _, err := replicas.ParseSurge(c.surge); err != nil {
			return misused(&c.command, "init: --surge %v", err)
		}
	}
	c.plan.Federation = federation
	if c.api == "" {
		if err := c.plan.Check(); err != nil {
			return misused(&c.command, "init: %v", err)
		}
	}
	law := bootstrap.Settings{Federation: federation, Domain: c.domain, Hosted: c.api == "", Surge: c.surge}
	var err error
	if law.Kinds, err = c.kinds(c.kindList); err != nil {
		return err
	}
	if c.dry {
		if len(law.Kinds) > 0 {
			return misused(&c.command, "init: --kind isn't for --dry-run, which asks nobody how a kind is served")
		}
		return c.show(law)
	}
	if c.api == "" && c.hostName == "" {
		return misused(&c.command, "init: --host-cluster-context is missing: which cluster is to run the API? (--api uses one that runs already)")
	}
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		if c.api != "" {
			return c.adopt(ctx, law, p)
		}
		return c.raise(ctx, law, p)
	})
}

// show prints what would be made, in an order in which it can be applied: first
// that of the host, then that of the API which then runs there.
func (c *initialize) show(law bootstrap.Settings) error {
	var all []*kube.Object
	if c.api == "" {
		objects, err := c.plan.Render(c.Now())
		if err == nil && c.image != "" {
			var programs []*kube.Object
			programs, err = c.plan.Programs(law.Domain, c.image)
			objects = append(objects, programs...)
		}
		if err != nil {
			return err
		}
		if c.out.form == "yaml" {
			c.printf("# In the host cluster, context %q:\n", c.hostName)
			if err := c.render(c.out, objects); err != nil {
				return err
			}
			c.printf("# In the API of federation %s, that runs there then. Beside it, in the host cluster,\n# the Secrets %s and %s, with tokens that this API gives:\n", law.Federation, c.secretName(bootstrap.Fedns), c.secretName(bootstrap.Fedsync))
			objects = nil
		}
		all = objects
	} else if c.out.form == "yaml" {
		c.printf("# In the API of federation %s. Beside it the Secrets %s and %s, with\n# tokens that this API gives:\n", law.Federation, c.secretName(bootstrap.Fedns), c.secretName(bootstrap.Fedsync))
	}
	reach := bootstrap.ByName // one that is there may have controllers
	if c.api == "" {
		reach = bootstrap.Hollow
	}
	objects, err := law.Objects(reach)
	if err != nil {
		return err
	}
	all = append(append(all, apply.NewNamespace(v1alpha1.System)), objects...)
	return c.render(c.out, all)
}

// secretName is that of the Secret with a program's kubeconfig.
func (c *initialize) secretName(program string) string { return c.positional[0] + "-" + program }

// raise sets an API up in the host cluster.
func (c *initialize) raise(ctx context.Context, law bootstrap.Settings, p *progress) (err error) {
	api, _, err := c.open(kubeconfig.Choice{Context: c.hostName})
	if err != nil {
		return err
	}
	if err := c.asBefore(ctx, api); err != nil {
		return err
	}
	before, err := hosted.Admin(ctx, api, law.Federation)
	if err != nil && !kube.Missing(err) {
		return err
	}
	if err := c.free(law.Federation, before); err != nil {
		return err
	}
	there := &apply.Applied{API: api, Federation: law.Federation}
	inside := &apply.Applied{Federation: law.Federation}
	made := []*apply.Applied{there}
	if before != nil { // else what is inside goes with its API
		made = []*apply.Applied{inside, there}
	}
	defer c.undo(ctx, &err, "fedctl deinit "+law.Federation+" --host-cluster-context "+c.hostName+" --yes --force removes it", made...)
	admin, err := c.plan.Create(ctx, there, c.Now(), p.say)
	if err != nil {
		return err
	}
	own, err := c.reach(admin)
	if err != nil {
		return err
	}
	inside.API = own
	if c.rotate {
		if err := c.plan.Rotate(ctx, there, own, admin, p.say); err != nil {
			return err
		}
		p.end()
		c.printf("Secrets are encrypted with a new key in etcd; copies of etcd from before are so with the last\n")
	}
	tokens, err := law.Install(ctx, inside, p.say)
	if err != nil {
		return err
	}
	return c.finish(ctx, law, there, admin, tokens, c.hostName)
}

// asBefore has an API that is there keep how many servers it has. From one etcd to several leads no way that doesn't
// bet what is in it on each step; from an API to another one does.
func (c *initialize) asBefore(ctx context.Context, api *kube.API) error {
	there, ha, err := hosted.There(ctx, api, c.plan.Federation)
	if err != nil || !there || ha == c.plan.HA {
		return err
	}
	if c.given["ha"] {
		return advice.Errorf("fedctl backup FILE, fedctl deinit --force, fedctl init as you want it, fedctl restore FILE; the clusters go on meanwhile",
			"federation %s has %s already, and can't be changed to %s in place", c.plan.Federation, servers(ha), servers(c.plan.HA))
	}
	c.plan.HA = ha
	if err := c.plan.Check(); err != nil {
		return misused(&c.command, "init: %v", err)
	}
	return nil
}

func servers(ha bool) string {
	if ha {
		return "three etcds and two API servers"
	}
	return "one etcd and one API server"
}

// free makes sure that the name of the context isn't taken by something else. An
// API that was there before may come to another address.
func (c *initialize) free(name string, before []byte) error {
	has, err := c.find().Has(name)
	if err != nil || !has || before != nil {
		return err
	}
	return advice.Errorf("another name for the federation, or kubectl config rename-context "+name+" NEW", "kubeconfig %s: it has a context %q already, which isn't this federation's", c.find(), name)
}

// adopt makes an API that runs the federation's.
func (c *initialize) adopt(ctx context.Context, law bootstrap.Settings, p *progress) (err error) {
	cut, err := c.find().Pick(c.api)
	if err != nil {
		return err
	}
	if has, err := c.find().Has(law.Federation); err != nil {
		return err
	} else if has {
		if there, err := c.find().Context(law.Federation); err == nil && there.Endpoint.Server != cut.Endpoint.Server {
			return c.free(law.Federation, nil)
		}
	}
	api, err := c.reach(cut.Content)
	if err != nil {
		return err
	}
	l := &apply.Applied{API: api, Federation: law.Federation}
	defer c.undo(ctx, &err, "fedctl init again, or fedctl deinit, takes it from there", l)
	tokens, err := law.Install(ctx, l, p.say)
	if err != nil {
		return err
	}
	return c.finish(ctx, law, l, cut.Content, tokens, law.Federation)
}

// undo is apply.Undo, and says what is waited for.
func (c *initialize) undo(ctx context.Context, err *error, help string, made ...*apply.Applied) {
	if *err != nil {
		c.progress().say("what was made to be removed")
	}
	apply.Undo(ctx, err, help, made...)
}

// finish writes the programs' kubeconfigs, and then the operator's: a context is
// there when it leads somewhere.
func (c *initialize) finish(ctx context.Context, law bootstrap.Settings, l *apply.Applied, admin []byte, tokens bootstrap.Tokens, where string) error {
	e, err := kubeconfig.EndpointOf(admin)
	if err != nil {
		return err
	}
	for program, t := range map[string]token.Token{bootstrap.Fedns: tokens.Fedns, bootstrap.Fedsync: tokens.Fedsync} {
		content, err := kubeconfig.ForToken(law.Federation, e, t.Value)
		if err != nil {
			return err
		}
		if _, err := l.Apply(ctx, kube.NewSecret(v1alpha1.System, c.secretName(program), map[string][]byte{v1alpha1.KubeconfigKey: content})); err != nil {
			return err
		}
	}
	if c.image != "" {
		if err := c.plan.Run(ctx, l, law.Domain, c.image, c.progress().say); err != nil {
			return err
		}
	}
	path, err := c.find().Set(ctx, law.Federation, admin)
	if err != nil {
		return err
	}
	c.printf("federation %s: its API is %s, context %q in %s\n", law.Federation, e.Server, law.Federation, path)
	for _, x := range []struct {
		program string
		t       token.Token
	}{{bootstrap.Fedns, tokens.Fedns}, {bootstrap.Fedsync, tokens.Fedsync}} {
		c.printf("%s gets there with key %q of Secret %s/%s in context %q%s\n", x.program, v1alpha1.KubeconfigKey, v1alpha1.System, c.secretName(x.program), where, until(x.t.Expires))
	}
	if c.image != "" {
		c.printf("fedns and fedsync run in context %q; kubectl --context %s -n %s get service %s-fedns has the address that %s is to be delegated to\n", where, where, v1alpha1.System, law.Federation, law.Domain)
	}
	c.printf("%s\n", c.typed("next: fedctl --context="+law.Federation+" join CLUSTER --cluster-context CONTEXT"))
	return nil
}

// until says when something has to be renewed.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + t.UTC().Format(time.DateOnly) + " (run this again to renew it)"
}

var initCommand = command{
	name: "init", args: "NAME --host-cluster-context C --dns-zone-name D", min: 1, max: 1,
	what: "set the API of a federation up, or renew it",
	long: "Set the API of a federation up in a host cluster, or in one that runs already (--api). Run again, it renews what there is.",
	example: `# In a host cluster
fedctl init myfederation --host-cluster-context host --dns-zone-name example.com

# In a host cluster, and going on without any one of its nodes
fedctl init myfederation --host-cluster-context host --dns-zone-name example.com --ha

# With fedns and fedsync beside it, so that names are answered when clusters have joined
fedctl init myfederation --host-cluster-context host --dns-zone-name example.com --image-fedns registry.example/fedns:0.2.0

# In an API that runs already
fedctl init myfederation --api ./kubeconfig/admin --dns-zone-name example.com

# What would be made
fedctl init myfederation --host-cluster-context host --dns-zone-name example.com --dry-run -o yaml`,
	make: func(c *call) action { return &initialize{reaching: newReaching(c)} },
}
