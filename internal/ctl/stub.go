package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/ctl/stub"
	"github.com/fedns/fedns/internal/kube"
)

type stubbing struct {
	reaching
	domain, servers, form     string
	federation, clusterDomain string
	apply, remove             bool
}

func (c *stubbing) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.Lookup("context").Usage = "`CONTEXT` of the cluster, with --apply and --remove; default: the current one"
	fs.StringVar(&c.domain, "domain", "", "`DOMAIN` that fedns answers for")
	fs.StringVar(&c.servers, "servers", "", "`ADDRESS,...` of fedns, with :PORT if it isn't 53")
	fs.StringVarP(&c.form, "output", "o", "coredns", "`FORM`: "+strings.Join(stub.Forms(), ", "))
	fs.StringVar(&c.federation, "federation", "", "`NAME` of the federation, for pods' short names: fedns needs the option local for them")
	fs.StringVar(&c.clusterDomain, "cluster-domain", "cluster.local", "`DOMAIN` of the cluster, with --federation")
	fs.BoolVar(&c.apply, "apply", false, "write it into the cluster of --context: coredns, coredns-custom and kube-dns")
	fs.BoolVar(&c.remove, "remove", false, "take it out of the cluster of --context again")
}

var stubCommand = command{
	name: "stub",
	what: "what points a cluster's DNS, or a host's, at fedns",
	long: "Prints what a resolver takes to ask fedns for a domain, and where it goes; with --apply writes it into a cluster's own DNS, in the place of what stub " +
		"wrote before, and with --remove takes it out.",
	example: `# For the Corefile of a cluster
fedctl stub --domain example.com --servers 192.0.2.53,198.51.100.53

# With short names for its pods, written there
fedctl stub --domain example.com --servers 192.0.2.53 --federation myfederation --apply --context gce-us-east1-b

# For unbound on a host
fedctl stub --domain example.com --servers 192.0.2.53 -o unbound`,
	make: func(c *call) action { return &stubbing{reaching: newReaching(c)} },
}

// writtenForms are those that a cluster's API can take.
var writtenForms = []string{"coredns", "coredns-custom", "kube-dns"}

func (c *stubbing) run(ctx context.Context) error {
	s, err := c.stub()
	if err != nil {
		return err
	}
	if !slices.Contains(stub.Forms(), c.form) {
		return misused(&c.command, "stub: -o %q is none of %s", c.form, strings.Join(stub.Forms(), ", "))
	}
	if !c.apply && !c.remove {
		text, where := s.Text(c.form)
		c.hint("it goes to " + where)
		c.printf("%s", text)
		return nil
	}
	if c.apply && c.remove {
		return misused(&c.command, "stub: --apply or --remove, not both")
	}
	if !slices.Contains(writtenForms, c.form) {
		return misused(&c.command, "stub: %s can't be written by fedctl; without --apply it is printed", c.form)
	}
	api, cut, err := c.open(c.chosen())
	if err != nil {
		return err
	}
	changed, err := c.edit(ctx, api, s)
	switch {
	case err != nil:
		return fmt.Errorf("cluster of context %s: %w", cut.Name, err)
	case !changed:
		c.printf("%s is as it should be\n", c.form)
	case c.remove:
		c.printf("%s doesn't ask fedns for %s any more\n", c.form, s.Domain)
	default:
		c.printf("%s asks fedns for %s, once it has read that: in two minutes at the latest\n", c.form, s.Domain)
	}
	return nil
}

func (c *stubbing) stub() (*stub.Stub, error) {
	s := &stub.Stub{Domain: strings.ToLower(strings.TrimSuffix(c.domain, "."))}
	if !subdomain.MatchString(s.Domain) {
		return nil, misused(&c.command, "stub: --domain %q isn't a domain, such as example.com", c.domain)
	}
	if c.federation != "" {
		if !label.MatchString(c.federation) {
			return nil, misused(&c.command, "stub: --federation %q isn't a federation's name", c.federation)
		}
		if s.Federation, s.ClusterDomain = c.federation, strings.TrimSuffix(c.clusterDomain, "."); !subdomain.MatchString(s.ClusterDomain) {
			return nil, misused(&c.command, "stub: --cluster-domain %q isn't a domain, such as cluster.local", c.clusterDomain)
		}
	}
	if c.servers == "" && c.remove {
		return s, nil
	}
	for text := range strings.SplitSeq(c.servers, ",") {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				return nil, misused(&c.command, "stub: --servers: %q isn't an address, such as 192.0.2.53 or 192.0.2.53:1053", text)
			}
			a = netip.AddrPortFrom(ip, 53)
		}
		s.Servers = append(s.Servers, a)
	}
	return s, nil
}

// edit writes a stub into a ConfigMap, or takes it out; changed says whether it had to.
func (c *stubbing) edit(ctx context.Context, api *kube.API, s *stub.Stub) (changed bool, err error) {
	name, key := "coredns", "Corefile"
	switch c.form {
	case "coredns-custom":
		name, key = "coredns-custom", s.CustomKey()
	case "kube-dns":
		name, key = "kube-dns", "stubDomains"
	}
	o, err := api.Get(ctx, builtin.ConfigMaps, "kube-system", name)
	missing := kube.Missing(err)
	switch {
	case missing && c.form == "coredns":
		return false, advice.Errorf("-o says which other DNS the cluster has: "+strings.Join(stub.Forms(), ", "), "there is no ConfigMap kube-system/coredns")
	case missing && c.remove:
		return false, nil
	case missing:
		o = builtin.ConfigMaps.New("kube-system", name)
	case err != nil:
		return false, err
	}
	before, _, _ := unstructured.NestedString(o.Object, "data", key)
	after, err := c.edited(s, before)
	if err != nil || after == before {
		return false, err
	}
	if after == "" {
		unstructured.RemoveNestedField(o.Object, "data", key)
	} else if err := unstructured.SetNestedField(o.Object, after, "data", key); err != nil {
		return false, err
	}
	if missing {
		_, err = api.Create(ctx, builtin.ConfigMaps, o, "fedctl")
	} else {
		_, err = api.Put(ctx, builtin.ConfigMaps, o, "") // with its version: nobody else's edit is lost
	}
	return err == nil, err
}

func (c *stubbing) edited(s *stub.Stub, text string) (string, error) {
	switch {
	case c.form == "coredns" && c.remove:
		return s.WithoutBlocks(text), nil
	case c.form == "coredns":
		out, err := s.Corefile(text)
		if errors.Is(err, stub.ErrTaken) {
			err = advice.Errorf("kubectl -n kube-system edit configmap coredns", "%w", err)
		}
		return out, err
	case c.form == "kube-dns" && c.remove:
		return s.WithoutStubDomains(text)
	case c.form == "kube-dns":
		return s.StubDomains(text)
	case c.remove:
		return "", nil
	default:
		return s.Blocks(), nil
	}
}
