package ctl

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/hosted"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// completeTime is how long somebody who has pressed the key waits for a server: then
// nothing is proposed. Why not isn't said, in the middle of a line.
var completeTime = time.Second

// A shell is one that asks what may come next on a command line.
type shell struct {
	context.Context
	*call
	flags *pflag.FlagSet
	begun string // the word
}

// A proposal is what may stand at one place.
type proposal func(*shell) []string

// values are proposals for flags, by their names. Where nothing stands the value is a file; nil
// is for text of which nobody knows.
var values = map[string]proposal{
	"context": (*shell).contexts, "host-cluster-context": (*shell).contexts, "cluster-context": (*shell).contexts, "api": (*shell).contexts,
	"cluster": (*shell).kubeClusters, "user": (*shell).kubeUsers,
	"without": (*shell).clusters, "federation": (*shell).federations, "namespace": (*shell).namespaces,
	"region": (*shell).regions, "type": one("A", "AAAA", "CNAME", "HTTPS", "NS", "PTR", "SOA", "SRV", "TXT"), "to": one(toFile, toAPI),
	"api-server-service-type": one(hosted.LoadBalancer, "NodePort", "ClusterIP"),
	"reason":                  nil, "until": nil, "for": nil, "timeout": nil, "ttl": nil, "request-timeout": nil, "as": nil, "as-group": nil, "as-uid": nil,
	"server": nil, "client": nil, "dns-zone-name": nil, "api-server-advertise-address": nil, "api-server-port": nil, "image-kube-apiserver": nil,
	"image-etcd": nil, "etcd-storage": nil, "etcd-storage-class": nil, "kind": nil, "cluster-server": nil, "zones": nil, "location": nil,
	"addresses": nil, "of": (*shell).clusters, "service": nil, "about": one(report.EventKinds...), "selector": nil, "pod": nil, "port": nil, "since": nil, "limit": nil, "drain-wait": nil, "deadline": nil, "max-deletes": nil,
	"publish": one("now", "never"), "activate": one("now", "never"), "inactive": one("never"), "delete": one("never"), "sync": one("now", "never"),
	"sync-end": one("never"), "algorithm": one("13", "15"),
}

// completes has cobra propose what may stand for a command's flags and its argument.
func completes(cmd *cobra.Command, c *call) {
	ask := func(propose proposal) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			if propose == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
			defer cancel()
			s := &shell{ctx, c, cmd.Flags(), begun}
			return proposed(propose(s), begun)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		propose, known := values[f.Name]
		if o, is := f.Value.(*output); is {
			propose, known = one(o.forms...), true
		}
		if known {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, ask(propose)) // fails for a second one only
		}
	})
	argument := ask(c.proposes)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= c.max {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return argument(cmd, args, begun)
	}
}

// proposed are those that go on from what was begun. What ends with a slash goes on.
func proposed(all []string, begun string) ([]string, cobra.ShellCompDirective) {
	all = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, begun) })
	slices.Sort(all)
	all = slices.Compact(all)
	directive := cobra.ShellCompDirectiveNoFileComp
	if slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(s, "/") }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return all, directive
}

// one proposes one of some words.
func one(words ...string) proposal { return func(*shell) []string { return words } }

// said is the value of a flag, the last of several; "": the command has none, or it wasn't given.
func (s *shell) said(flag string) string {
	f := s.flags.Lookup(flag)
	switch {
	case f == nil || !f.Changed:
		return ""
	case f.Value.Type() == "list":
		all := strings.Split(strings.Trim(f.Value.String(), "[]"), ",")
		return all[len(all)-1]
	}
	return f.Value.String()
}

// ask asks the server for a report. It says whether that has come.
func (s *shell) ask(what string, v url.Values, into any) bool {
	a := &asking{call: s.call, server: s.said("server")}
	if a.server == "" {
		a.server = s.usualServer()
	}
	return a.get(s, what, v, into) == nil
}

func (s *shell) snapshot() (all []report.Federation) {
	var out report.Snapshot
	if s.ask("snapshot", nil, &out) {
		all = out.Federations
	}
	only := s.said("federation")
	return slices.DeleteFunc(all, func(f report.Federation) bool { return only != "" && f.Federation != only })
}

func (s *shell) federations() []string {
	return collect(s.snapshot(), func(f report.Federation) string { return f.Federation })
}

func (s *shell) clusters() (out []string) {
	for _, f := range s.snapshot() {
		out = append(out, f.Clusters...)
	}
	return out
}

// services are as many as one page has, of the namespace that was said.
func (s *shell) services(namespace string) []report.Service {
	v := url.Values{"limit": {page}}
	if namespace != "" {
		v.Set("namespace", namespace)
	}
	if f := s.said("federation"); f != "" {
		v.Set("federation", f)
	}
	var all report.Services
	s.ask("services", v, &all)
	return all.Services
}

func (s *shell) namespaces() []string {
	if s.flags.Lookup("context") != nil && s.flags.Lookup("server") == nil {
		out := collect(s.placements(), func(p placement) string { return p.Object.Namespace })
		return slices.DeleteFunc(out, func(name string) bool { return name == "" })
	}
	return collect(s.services(""), func(x report.Service) string { return x.Namespace })
}

// regions are those of the big clouds.
func (s *shell) regions() []string {
	return collect(geo.Regions(), func(r geo.RegionInfo) string { return r.Name })
}

// names are services as explain takes them: shortly, and by their kinds once that has begun.
func (s *shell) names() (out []string) {
	if strings.Contains(s.begun, "/") {
		return collect(s.services(s.said("namespace")), named)
	}
	for _, x := range s.services(s.said("namespace")) {
		switch {
		case x.Kind == "host":
			out = append(out, x.Name)
		case x.Kind == "svc" && s.said("namespace") != "":
			out = append(out, x.Name)
		case x.Kind == "svc":
			out = append(out, x.Name+"."+x.Namespace)
		}
	}
	return out
}

// subjects are what an order may be about: first its kind, then its name.
func (s *shell) subjects() (out []string) {
	kind, rest, named := strings.Cut(s.begun, "/")
	if !named {
		for _, k := range []override.Kind{override.Cluster, override.Region, override.Zone, override.Service} {
			if override.Action(s.name).About(override.Subject{Kind: k}) == nil {
				out = append(out, string(k)+"/")
			}
		}
		return out
	}
	switch override.Kind(kind) {
	case override.Cluster:
		out = s.clusters()
	case override.Region, override.Zone:
		for _, f := range s.snapshot() {
			for _, p := range f.Scopes {
				if override.Kind(kind) == override.Zone {
					out = append(out, p.Zone)
				} else {
					out = append(out, p.Region)
				}
			}
		}
	case override.Service:
		namespace, _, whole := strings.Cut(rest, "/")
		if !whole {
			namespace = s.said("namespace")
		}
		for _, x := range s.services(namespace) {
			switch {
			case x.Kind != "svc":
			case s.said("namespace") != "" && !whole:
				out = append(out, x.Name)
			default:
				out = append(out, x.Namespace+"/"+x.Name)
			}
		}
	}
	out = slices.DeleteFunc(out, func(name string) bool { return name == "" })
	for i := range out {
		out[i] = kind + "/" + out[i]
	}
	return out
}

// ordered are what there are orders about, as far as the server knows of them; else what
// there may be.
func (s *shell) ordered() (out []string) {
	for _, f := range s.snapshot() {
		for _, o := range append(f.InForce, f.Overrides...) {
			out = append(out, o.Subject)
		}
	}
	if len(out) == 0 {
		return s.subjects()
	}
	return out
}

// reaching is what leads to APIs, as flags say it.
func (s *shell) reaching() reaching {
	c := newReaching(s.call)
	for flag, value := range map[string]*string{
		"kubeconfig": c.flags.KubeConfig, "context": c.flags.Context, "cluster": c.flags.ClusterName, "user": c.flags.AuthInfoName, "as": c.flags.Impersonate,
	} {
		*value = s.said(flag)
	}
	return c
}

// kubeconfig is what kubeconfigs have; what can't be read has nothing.
func (s *shell) kubeconfig() (contexts, clusters, users []string) {
	c := s.reaching()
	contexts, clusters, users, _ = c.find().Names()
	return contexts, clusters, users
}

func (s *shell) contexts() []string     { contexts, _, _ := s.kubeconfig(); return contexts }
func (s *shell) kubeClusters() []string { _, clusters, _ := s.kubeconfig(); return clusters }
func (s *shell) kubeUsers() []string    { _, _, users := s.kubeconfig(); return users }

// joining are contexts that may be a cluster's name.
func (s *shell) joining() []string {
	return slices.DeleteFunc(s.contexts(), func(name string) bool { return !subdomain.MatchString(name) })
}

// objects are what a federation's API tells of, as status takes it.
func (s *shell) objects() (out []string) {
	only := s.said("namespace")
	for _, p := range s.placements() {
		switch o := p.Object; {
		case only == "":
			out = append(out, o.String())
		case only == o.Namespace:
			out = append(out, o.Kind+"/"+o.Name)
		}
	}
	return out
}

func (s *shell) placements() []placement {
	return inTime(s, func(api *kube.API) []placement {
		all, err := placementsOf(s, api)
		if err != nil {
			return nil
		}
		return all
	})
}

// members are the clusters of a federation, as its API has them.
func (s *shell) members() []string {
	return inTime(s, func(api *kube.API) []string {
		all, _ := api.List(s, v1alpha1.Clusters, "", "")
		return names(all)
	})
}

// inTime asks the federation's API. It is given up in time even where a program that gives
// credentials waits for somebody.
func inTime[T any](s *shell, ask func(*kube.API) []T) []T {
	found := make(chan []T, 1)
	go func() {
		c := s.reaching()
		defer c.close()
		api, _, err := c.open(c.chosen())
		if err != nil {
			found <- nil
			return
		}
		found <- ask(api)
	}()
	select {
	case all := <-found:
		return all
	case <-s.Done():
		return nil
	}
}

// adoptable are subjects of which all can be taken over.
func (s *shell) adoptable() []string {
	return collect(s.members(), func(name string) string { return "cluster/" + name })
}

func names(all []kube.Object) []string {
	return collect(all, func(o kube.Object) string { return o.GetName() })
}
