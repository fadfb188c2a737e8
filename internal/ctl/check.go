package ctl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/ctl/check"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// resolvConf says who resolves names here.
const resolvConf = "/etc/resolv.conf"

// sample is of how many services the servers' answers are compared.
const sample = 20

// checkPause is between two rounds of --wait.
const checkPause = time.Second

type checking struct {
	reaching
	status   asking
	domain   string
	servers  string
	parent   string
	resolver string
	cluster  string
	pre      bool
	wait     bool
	timeout  time.Duration
	question time.Duration
}

func newChecking(c *call) *checking {
	return &checking{reaching: newReaching(c), status: asking{call: c}, question: 3 * time.Second}
}

func (c *checking) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	c.status.at(fs)
	c.status.out.declare(fs, dataForms)
	fs.StringVar(&c.domain, "domain", "", "`DOMAIN` whose delegation is looked at; default: those of the server")
	fs.StringVar(&c.servers, "servers", "", "`ADDRESS,...` of its name servers; default: those that it is delegated to")
	fs.StringVar(&c.parent, "parent", "", "`ADDRESS` of a name server of the parent zone; default: the resolver knows them")
	fs.StringVar(&c.resolver, "resolver", "", "`ADDRESS` of the resolver; default: the host's")
	fs.BoolVar(&c.pre, "pre", false, "look instead whether the cluster of --cluster-context can join: each right that it takes")
	fs.StringVar(&c.cluster, "cluster-context", "", "`X`, with --pre: the context of the cluster")
	fs.BoolVar(&c.wait, "wait", false, "look again until there is no error, for --timeout")
	fs.DurationVar(&c.timeout, "timeout", 5*time.Minute, "`DURATION`, with --wait")
}

var checkCommand = command{
	name: "check",
	what: "whether all is well, from outside in",
	long: "Looks at a federation from outside in: the delegation of its domain, each name server over UDP, TCP and with EDNS, what a running fedns says of its " +
		"clusters, services and orders, and, with --context, the objects of the federation's API. Each line is ok, a warning or an error, and what to do. " +
		"It exits with 1 if there is an error.",
	example: `# All that this host can see
fedctl check

# The federation's API, too, until there is no error
fedctl check --context myfederation --wait

# Whether a cluster can join
fedctl check --pre --context myfederation --cluster-context gke_project_europe-west1-b_gce-europe-west1-b`,
	make: func(c *call) action { return newChecking(c) },
}

func (c *checking) run(ctx context.Context) error {
	look := c.look
	if c.pre {
		if c.cluster == "" {
			return misused(&c.command, "check: --pre needs --cluster-context, the cluster that is to join")
		}
		look = c.lookBefore
	} else if c.cluster != "" {
		return misused(&c.command, "check: --cluster-context is for --pre")
	}
	end := c.Now().Add(c.timeout)
	for {
		all, err := look(ctx)
		if err != nil {
			return err
		}
		worst := check.Worst(all)
		if worst == check.Error && c.wait && c.Now().Before(end) {
			if !kube.Pause(ctx, checkPause) {
				return ctx.Err()
			}
			continue
		}
		if err := c.tellFindings(all); err != nil {
			return err
		}
		if worst == check.Error {
			return exit(wentWrong)
		}
		return nil
	}
}

// look looks at all that can be seen from here.
func (c *checking) look(ctx context.Context) ([]check.Finding, error) {
	var all []check.Finding
	var snap report.Snapshot
	domains := []string{c.domain}
	var names []string
	switch err := c.status.get(ctx, "snapshot", nil, &snap); {
	case err == nil:
		var clusters report.Clusters
		if err := c.status.get(ctx, "clusters", nil, &clusters); err != nil {
			return nil, err
		}
		services, err := c.status.services(ctx, url.Values{})
		if err != nil {
			return nil, err
		}
		all = check.Status(&snap, &clusters, services.Services)
		if c.domain == "" {
			domains = nil
			for _, f := range snap.Federations {
				for _, d := range f.Domains {
					if d = bare(d); !slices.Contains(domains, d) {
						domains = append(domains, d)
					}
				}
			}
		}
		for _, s := range services.Services[:min(len(services.Services), sample)] {
			names = append(names, bare(s.Global))
		}
	case errors.Is(err, errUnreachable):
		all = append(all, check.Finding{Group: "server", Level: check.Warning, Text: "what a running fedns says can't be asked: " + kube.Plain(err), Fix: "on its host, with --server URL, or by kubectl port-forward"})
		if c.domain == "" && *c.flags.Context == "" {
			return append(all, check.Finding{Group: "delegation", Level: check.Error, Text: "there is nothing to look at", Fix: "--domain DOMAIN, --server URL or --context CONTEXT"}), nil
		}
		if c.domain == "" {
			domains = nil
		}
	default:
		return nil, err
	}
	found, err := c.delegations(ctx, domains, names)
	if err != nil {
		return nil, err
	}
	all = append(found, all...)
	if *c.flags.Context != "" {
		found, err := c.objects(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (c *checking) delegations(ctx context.Context, domains, names []string) (all []check.Finding, err error) {
	var servers []string
	if c.servers != "" {
		servers = strings.Split(c.servers, ",")
	}
	asker, err := check.NewAsker(c.resolver, resolvConf, c.question)
	if err != nil {
		return nil, misused(&c.command, "check: %v", err)
	}
	for _, domain := range domains {
		done := c.waiting("the name servers of " + domain)
		d := asker.Delegation(ctx, domain, c.parent)
		var own []string
		for _, name := range names {
			if strings.HasSuffix(name, "."+domain) {
				own = append(own, name)
			}
		}
		found, err := asker.Servers(ctx, d, servers, own)
		done()
		if err != nil {
			return nil, misused(&c.command, "check: --servers: %v", err)
		}
		all = append(all, check.DNS(d, found)...)
		if d.Error == "" || c.parent != "" {
			all = append(all, check.Secure(asker.Anchors(ctx, domain, c.parent), asker.Signed(ctx, domain, found), c.Now())...)
		}
	}
	return all, nil
}

// objects looks at the federation's API.
func (c *checking) objects(ctx context.Context) ([]check.Finding, error) {
	api, whose, err := c.federation(ctx)
	if err != nil {
		return nil, err
	}
	a := check.API{Federation: whose.Federation, Now: c.Now(), Hosted: whose.Hosted}
	if a.Certificates, err = certificates(ctx, api); err != nil {
		return nil, err
	}
	if a.Clusters, err = api.List(ctx, v1alpha1.Clusters, "", ""); err != nil {
		return nil, err
	}
	if a.Refused, err = refused(ctx, api, a.Clusters); err != nil {
		return nil, err
	}
	leases, err := api.List(ctx, builtin.Leases, v1alpha1.System, "")
	if err != nil {
		return nil, err
	}
	for i := range leases {
		if s, ok := v1alpha1.ServerOf(&leases[i], whose.Federation); ok {
			a.Servers = append(a.Servers, s)
		}
	}
	// The chart's. An API that fedctl init made has none.
	if a.Services, err = api.List(ctx, builtin.Services, v1alpha1.System, "app.kubernetes.io/name=fedns"); err != nil && !kube.Forbidden(err) {
		return nil, err
	}
	secrets, err := api.List(ctx, builtin.Secrets, v1alpha1.System, "")
	switch {
	case err == nil:
		a.Secrets = map[string][]byte{}
		for i := range secrets {
			if content, is := kube.SecretData(&secrets[i])[v1alpha1.KubeconfigKey]; is {
				a.Secrets[secrets[i].GetName()] = content
			}
		}
	case !kube.Forbidden(err):
		return nil, err
	}
	return check.Objects(&a), nil
}

// refused are the clusters that pull, of which the object is gone that their credentials are bound to; as far as it may be known.
func refused(ctx context.Context, api *kube.API, clusters []kube.Object) (map[string]bool, error) {
	out := map[string]bool{}
	for i := range clusters {
		name := clusters[i].GetName()
		if pull, _, _ := unstructured.NestedBool(clusters[i].Object, "spec", "pull"); !pull {
			continue
		}
		there, err := api.Exists(ctx, builtin.Secrets, v1alpha1.PartOf(name), v1alpha1.BoundTo(v1alpha1.AgentName))
		if err != nil && !kube.Forbidden(err) {
			return nil, err
		}
		out[name] = err == nil && !there
	}
	return out, nil
}

// certificates are those that the way to an API goes by: what it shows, who vouches for it, and
// what it is shown.
func certificates(ctx context.Context, api *kube.API) (out []check.Certificate, err error) {
	add := func(of, file string, data []byte) error {
		if len(data) == 0 && file != "" {
			if data, err = os.ReadFile(file); err != nil {
				return err
			}
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err == nil {
				out = append(out, check.Certificate{Of: of, Ends: c.NotAfter})
			}
			if err != nil || !c.IsCA {
				return err // what follows vouches for it
			}
		}
		return nil
	}
	tlsConfig := api.REST.TLSClientConfig
	if err := errors.Join(add("your certificate", tlsConfig.CertFile, tlsConfig.CertData), add("the authority of the API's certificate", tlsConfig.CAFile, tlsConfig.CAData)); err != nil {
		return nil, err
	}
	server, err := url.Parse(api.Server)
	if err != nil || server.Scheme != "https" {
		return out, nil
	}
	host := server.Host
	if server.Port() == "" {
		host = net.JoinHostPort(server.Hostname(), "443")
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	// It was verified by who has asked the API; here only its end is read.
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: server.Hostname()}}).DialContext(ctx, "tcp", host)
	if err != nil {
		return out, nil // behind a proxy; the API has answered
	}
	defer conn.Close()
	if chain := conn.(*tls.Conn).ConnectionState().PeerCertificates; len(chain) > 0 {
		out = append(out, check.Certificate{Of: "the API's certificate", Ends: chain[0].NotAfter})
	}
	return out, nil
}

// lookBefore looks whether a cluster can join.
func (c *checking) lookBefore(ctx context.Context) (all []check.Finding, err error) {
	there, _, err := c.open(kubeconfig.Choice{Context: c.cluster})
	if err != nil {
		return nil, err
	}
	home, whose, err := c.federation(ctx)
	switch {
	case errors.Is(err, bootstrap.ErrNone):
		all = append(all, check.Finding{Group: "api", Level: check.Error, Text: kube.Plain(err), Fix: "fedctl init, or --context"})
	case err != nil:
		return nil, err
	default:
		all = append(all, check.Finding{Group: "api", Level: check.OK, Text: fmt.Sprintf("%s is the API of federation %s", home.Server, whose.Federation)})
		found, err := rights(ctx, "api", home, membership.HomeRights())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	version, err := there.Version(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, check.Finding{Group: "cluster", Level: check.OK, Text: fmt.Sprintf("%s answers, Kubernetes %s", there.Server, version)})
	found, err := rights(ctx, "cluster", there, membership.ClusterRights())
	return append(all, found...), err
}

// rights asks an API for each of some rights. What one may do with a resource, and what not, is a finding each.
func rights(ctx context.Context, group string, api *kube.API, all []kube.Right) (out []check.Finding, err error) {
	type answer struct {
		on  kube.Right // with no verb
		may bool
	}
	var answers []answer
	verbs := map[answer][]string{}
	for _, r := range all {
		may, err := api.May(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", api.Server, err)
		}
		a := answer{r, may}
		a.on.Verb = ""
		if verbs[a] == nil {
			answers = append(answers, a)
		}
		verbs[a] = append(verbs[a], r.Verb)
	}
	for _, a := range answers {
		r := a.on
		r.Verb = strings.Join(verbs[a], ", ")
		f := check.Finding{Group: group, Level: check.OK, Text: "you may " + r.String()}
		if !a.may {
			f.Level, f.Text, f.Fix = check.Error, "you may not "+r.String(), "it takes an administrator of that cluster"
		}
		out = append(out, f)
	}
	return out, nil
}

var levelColors = map[check.Level]string{check.OK: green, check.Warning: yellow, check.Error: red}

// tellFindings prints them, by group.
func (c *checking) tellFindings(all []check.Finding) error {
	if c.status.out.data() {
		return c.put(c.status.out, struct {
			Level    check.Level     `json:"level"`
			Findings []check.Finding `json:"findings"`
		}{check.Worst(all), all})
	}
	group := ""
	counts := map[check.Level]int{}
	for _, f := range all {
		if f.Group != group {
			if group != "" {
				c.printf("\n")
			}
			group = f.Group
			c.printf("%s\n", group)
		}
		counts[f.Level]++
		level := fmt.Sprintf("%-8s", f.Level)
		const indent = "           "
		text := strings.TrimPrefix(cli.Fold(f.Text, indent, c.Columns), indent)
		if c.Columns > 0 {
			level = c.colored(levelColors[f.Level], level)
		}
		c.printf("  %s %s", level, text)
		if f.Fix != "" {
			c.printf("%s", cli.Fold("fix: "+f.Fix, indent, c.Columns))
		}
		if f.Runbook != "" {
			c.printf("%ssee: %s\n", indent, f.Runbook)
		}
	}
	c.printf("\n%d ok, %s, %s\n", counts[check.OK], cli.Plural(counts[check.Warning], "warning"), cli.Plural(counts[check.Error], "error"))
	return nil
}
