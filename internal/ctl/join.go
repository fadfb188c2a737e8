package ctl

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

type join struct {
	reaching
	cluster   string // context
	endpoint  string
	region    string
	zones     string
	location  string
	addresses string
	kindList  list
	adopt     bool
	timeout   time.Duration
	noSecrets bool
	wide      bool
	life      time.Duration
	dry       bool
	pull      bool
	manifests bool
	image     string
	home      string // URL of the federation's API
	out       output
}

// shortestLife is that of tokens: an API server refuses less (k8s.io/kubernetes/pkg/registry/core/serviceaccount).
const shortestLife = 10 * time.Minute

func (c *join) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	hostFlag(fs)
	fs.StringVar(&c.cluster, "cluster-context", "", "`X`, the context of the cluster; default: one of the cluster's name")
	fs.StringVar(&c.endpoint, "cluster-server", "", "`URL` of its API as fedns and fedsync reach it; default: that of the context")
	fs.StringVar(&c.region, "region", "", "`REGION`, instead of what its nodes say")
	fs.StringVar(&c.zones, "zones", "", "`ZONE,...`, instead of what its nodes say")
	fs.StringVar(&c.location, "location", "", "`\"LATITUDE LONGITUDE\"`, for nearest")
	fs.StringVar(&c.addresses, "addresses", "", "`RANGE,...`: it may announce only these")
	fs.Var(&c.kindList, "kind", "`GROUP/VERSION/KIND` that is propagated to it, too; may be given several times")
	fs.BoolVar(&c.adopt, "adopt", false, "have fedsync take over what is there already of the names of federated objects; fedctl adopt --dry-run says which, once it is a member")
	fs.BoolVar(&c.noSecrets, "no-secrets", false, "fedsync may have no Secrets there; default: as it was joined before")
	fs.BoolVar(&c.wide, "all-namespaces", false, "fedsync may write in every namespace there, and not only in those of the federation")
	fs.DurationVar(&c.life, "token-life", membership.DefaultTokenLife, "`DURATION` that tokens last; fedsync renews them; 0: for ever")
	fs.BoolVar(&c.pull, "pull", false, "fedsync runs in the cluster and fetches what that is to have: no credential for it leaves it")
	fs.BoolVar(&c.manifests, "manifests", false, "with --pull, print what the cluster needs, its credential too, for who administers it; the cluster isn't reached")
	fs.StringVar(&c.image, "image-fedns", "", "with --pull, `IMAGE` of fedsync: run it in the cluster; without it, it isn't, or stays as it is")
	fs.StringVar(&c.home, "federation-server", "", "with --pull, `URL` of the federation's API as the cluster reaches it; default: that of the context")
	fs.DurationVar(&c.timeout, "timeout", 2*time.Minute, "`DURATION` after which it is given up, and removed again")
	fs.BoolVar(&c.dry, "dry-run", false, "make nothing; with -o, print what would be made")
	c.out.declareObjects(fs)
}

func (c *join) run(ctx context.Context) error {
	name, err := c.clusterName()
	if err != nil {
		return err
	}
	r := membership.Request{Server: c.endpoint, Everywhere: c.wide, TokenLife: c.life, Pull: c.pull}
	if f := c.speaks("manifests", "image-fedns", "federation-server"); f != "" && !c.pull {
		return misused(&c.command, "join: --%s is of a cluster that pulls: --pull says so", f)
	}
	if f := c.speaks("cluster-server", "dry-run"); f != "" && c.pull {
		return misused(&c.command, "join: --%s doesn't go with --pull", f)
	}
	if strings.ContainsAny(c.image, " \t\n\"") {
		return misused(&c.command, "join: --image-fedns %q isn't an image, such as registry.example/fedns:0.2.0", c.image)
	}
	if c.given["no-secrets"] {
		r.NoSecrets = &c.noSecrets
	}
	if c.life != 0 && c.life < shortestLife {
		return misused(&c.command, "join: --token-life %s: Kubernetes gives none that last for less than %s", c.life, shortestLife)
	}
	if c.adopt {
		r.Adopt = c.Now().UTC().Format(time.RFC3339)
	}
	if r.Spec, err = c.spec(); err != nil {
		return err
	}
	if r.Kinds, err = c.kinds(c.kindList); err != nil {
		return err
	}
	for flag, at := range map[string]string{"cluster-server": c.endpoint, "federation-server": c.home} {
		if u, err := url.Parse(at); at != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return misused(&c.command, "join: --%s %q is not a URL such as https://203.0.113.1:6443", flag, at)
		}
	}
	if c.cluster == "" {
		c.cluster = name
	}
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		home, whose, err := c.federation(ctx)
		if err != nil {
			return err
		}
		if c.pull {
			return c.pulls(ctx, home, whose, name, r, p)
		}
		api, cut, err := c.open(kubeconfig.Choice{Context: c.cluster})
		if err != nil {
			return err
		}
		if err := c.reachable(cut); err != nil {
			return err
		}
		r.Endpoint, r.Fedsync = cut.Endpoint, whose.Fedsync
		m := &membership.Member{Federation: whose.Federation, Home: home, Cluster: name, API: api}
		lacks, err := c.kindsOf(ctx, m, whose, &r)
		if err != nil {
			return err
		}
		if c.dry {
			return c.show(ctx, m, r)
		}
		res, err := m.Join(ctx, r, p.say)
		if err != nil {
			return err
		}
		p.end()
		c.told(whose, name, cut.Endpoint.Server, res)
		if r.Adopt != "" {
			c.printf("fedsync takes over what was there before %s, where it has the name of a federated object\n", r.Adopt)
		}
		if len(r.Kinds) > 0 {
			c.printf("fedsync may keep %s there, too\n", v1alpha1.FormatKinds(r.Kinds))
		}
		if len(lacks) > 0 {
			c.printf("it doesn't serve %s, which the federation keeps; when it does, fedctl join again gives fedsync the rights\n", v1alpha1.FormatKinds(lacks))
		}
		return nil
	})
}

// pulls joins a cluster that pulls.
func (c *join) pulls(ctx context.Context, home *kube.API, whose v1alpha1.Settings, name string, r membership.Request, p *progress) error {
	_, cut, err := c.open(c.chosen())
	if err != nil {
		return err
	}
	to := cut.Endpoint
	if c.home != "" {
		to.Server, to.Proxy = c.home, ""
	}
	if to.Insecure || to.Proxy != "" {
		return advice.Errorf("--federation-server URL, and a context that says who signs its certificate", "context %q: insecure-skip-tls-verify, or proxy-url: fedsync takes neither from a Secret", cut.Name)
	}
	m := &membership.Member{Federation: whose.Federation, Home: home, Cluster: name}
	r.Kinds, r.Fedsync = c.propagated(r.Kinds, whose), whose.Fedsync
	if !c.manifests {
		api, _, err := c.open(kubeconfig.Choice{Context: c.cluster})
		if err != nil {
			return advice.Errorf("--manifests prints what the cluster needs, for who administers it", "%w", err)
		}
		m.API = api
		if r.Kinds, _, err = bootstrap.Served(ctx, api, r.Kinds); err != nil {
			return err
		}
	}
	there, res, err := m.Pull(ctx, membership.Pulling{Request: r, Federation: to, Image: c.image}, p.say)
	if err != nil {
		return err
	}
	p.end()
	if c.manifests {
		if c.out.form == "" {
			c.out.form = "yaml"
		}
		return c.render(c.out, there)
	}
	what := "cluster %s pulls what it is to have of federation %s now\n"
	if res.Again {
		what = "cluster %s pulls what it is to have of federation %s: what it has is renewed\n"
	}
	c.printf(what, name, whose.Federation)
	if !res.Expires.IsZero() && c.life > 0 {
		c.printf("its token ends at %s, unless its fedsync renews it, as it does while it runs\n", res.Expires.UTC().Format(time.RFC3339))
	}
	if c.image == "" {
		c.printf("it needs a fedsync: fedsync --pull --federation %s, as service account %s/%s; --image-fedns runs one\n", whose.Federation, v1alpha1.System, v1alpha1.WriterAccount(whose.Federation))
	}
	return nil
}

// reachable says why fedns and fedsync won't go the way that a context does: they take neither from a Secret.
func (c *join) reachable(cut *kubeconfig.Context) error {
	switch e := cut.Endpoint; {
	case e.Insecure:
		return advice.Errorf("kubectl config set-cluster says who signs it: --certificate-authority FILE --embed-certs",
			"context %q: insecure-skip-tls-verify: fedns and fedsync give credentials only to a server whose certificate they can look at", cut.Name)
	case e.Proxy != "" && c.endpoint == "":
		return advice.Errorf("--cluster-server URL says how they reach it; HTTPS_PROXY in their environment names a proxy of theirs",
			"context %q: proxy-url: fedns and fedsync take no proxy from a Secret", cut.Name)
	}
	return nil
}

// kindsOf finds out what is propagated to the cluster. It needs to serve only what --kind
// names: what else the federation keeps, it may lack. What comes with its definition, it will
// serve.
func (c *join) kindsOf(ctx context.Context, m *membership.Member, whose v1alpha1.Settings, r *membership.Request) (lacks []kube.Kind, err error) {
	named := len(r.Kinds) > 0
	if r.Kinds = c.propagated(r.Kinds, whose); named {
		return nil, nil
	}
	all := r.Kinds
	r.Kinds, lacks, err = bootstrap.Served(ctx, m.API, all)
	if err != nil || !membership.Defines(all) {
		return lacks, err
	}
	later, lacks, err := bootstrap.Served(ctx, m.Home, lacks)
	r.Kinds = append(r.Kinds, later...)
	return lacks, err
}

func (c *join) told(whose v1alpha1.Settings, name, server string, res membership.Result) {
	what := "is a member of federation %s now: %s\n"
	if res.Again {
		what = "is a member of federation %s: what it has is renewed: %s\n"
	}
	c.printf("cluster %s "+what, name, whose.Federation, server)
	if !res.Expires.IsZero() {
		c.printf("its tokens end at %s, unless fedsync renews them, as it does while it runs; fedctl join again renews them, too\n", res.Expires.UTC().Format(time.RFC3339))
	}
	switch {
	case c.life == 0:
		c.printf("its tokens don't end, as --token-life 0 says\n")
	case res.Lasts:
		c.printf("the token of fedns doesn't end: no fedsync that renews tokens has led here yet; the first one that does replaces it\n")
	}
	if res.Everywhere && !c.wide {
		c.printf("fedsync may write in all of its namespaces: the one that leads is of a version that needs to; fedctl join again, when it is upgraded, narrows that\n")
	}
	if res.Unkept {
		c.printf("it serves no ValidatingAdmissionPolicy (Kubernetes 1.30): nothing but fedsync itself keeps it out of the cluster's own namespaces\n")
	}
	if res.Unseen != nil {
		c.printf("from here %s can't be reached: %v\n", c.endpoint, res.Unseen)
	}
}

// show prints what would be made in the cluster, and then in the federation.
func (c *join) show(ctx context.Context, m *membership.Member, r membership.Request) error {
	kinds, err := m.Find(ctx, r.Kinds)
	if err != nil {
		return err
	}
	there, err := m.Planned(ctx, r, kinds)
	if err != nil {
		return err
	}
	there = append([]*kube.Object{apply.NewNamespace(v1alpha1.System)}, there...)
	home := append(m.Leave(), m.Object(r, nil))
	if c.out.form == "yaml" {
		c.printf("# In the cluster, context %q. Beside it a token for each account:\n", c.cluster)
		if err := c.render(c.out, there); err != nil {
			return err
		}
		c.printf("# In the API of federation %s. Beside it the Secrets %s and %s with these tokens:\n", m.Federation, membership.Reader(m.Cluster), membership.Reader(m.Cluster)+v1alpha1.WriterSuffix)
		return c.render(c.out, home)
	}
	return c.render(c.out, append(there, home...))
}

// spec reads the flags that a Cluster object has.
func (c *join) spec() (map[string]any, error) {
	out := map[string]any{}
	if c.given["region"] {
		out["region"] = c.region
	}
	if c.given["zones"] {
		out["zones"] = split(c.zones)
	}
	if c.given["location"] {
		if c.location != "" {
			if err := location(c.location); err != nil {
				return nil, misused(&c.command, "join: --location: %v", err)
			}
		}
		out["location"] = c.location
	}
	if c.given["addresses"] {
		for _, a := range split(c.addresses) {
			if _, err := netip.ParsePrefix(a.(string)); err != nil {
				if _, err := netip.ParseAddr(a.(string)); err != nil {
					return nil, misused(&c.command, "join: --addresses: %q is neither an address nor a network such as 203.0.113.0/24", a)
				}
			}
		}
		out["addresses"] = split(c.addresses)
	}
	return out, nil
}

func split(s string) []any {
	out := []any{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func location(s string) error {
	f := strings.Fields(s)
	if len(f) == 2 {
		lat, err1 := strconv.ParseFloat(f[0], 64)
		lon, err2 := strconv.ParseFloat(f[1], 64)
		if err1 == nil && err2 == nil && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180 {
			return nil
		}
	}
	return fmt.Errorf("%q is not a latitude and a longitude such as \"60.17 24.94\"", s)
}

var joinCommand = command{
	name: "join", args: "CLUSTER --cluster-context X", min: 1, max: 1,
	what: "make a cluster a member, or renew what it has",
	long: "Make a cluster a member of a federation: two service accounts in it, with the rights that are needed, and a Cluster object with their tokens in the federation's API. Run again, it renews what there is.",
	example: `# A cluster that is called in kubeconfig as it is to be here
fedctl join gce-us-central1-a --context myfederation

# One that keeps its credentials to itself: its administrator applies what is printed
fedctl join onprem --context myfederation --pull --manifests --image-fedns registry.example/fedns:0.2.0

# By another context, and with a place of its own
fedctl join onprem --context myfederation --cluster-context admin@onprem --region eu-north1 --location "60.17 24.94"`,
	proposes: (*shell).joining,
	make:     func(c *call) action { return &join{reaching: newReaching(c)} },
}
