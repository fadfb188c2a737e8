package publish

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/publish/externaldns"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// External-dns is given an object a service: addresses at every level and no CNAMEs, written when they change, by one fedns
// at a time; never emptied, and taken away with the service. What somebody else has written stays.
func TestExternalDNS(t *testing.T) {
	hub := cluster.New(t).API(t, "hub")
	hub.Kubectl(t, "apply", "-f", "testdata/dnsendpoints.yaml")
	hub.Kubectl(t, "wait", "--for=condition=Established", "crd/dnsendpoints.externaldns.k8s.io", "--timeout=60s")
	for _, ns := range []string{"dns", "federation-system"} {
		hub.Kubectl(t, "create", "namespace", ns)
	}
	api, err := kube.Open(kube.Config{Kubeconfig: hub.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	// endpoints are those of an object, a line each, and which version it is of.
	endpoints := func(name string) (lines []string, version string) {
		t.Helper()
		o, err := api.Get(t.Context(), externaldns.Kind, "dns", name)
		if kube.Missing(err) {
			return nil, ""
		}
		if err != nil {
			t.Fatal(err)
		}
		var spec struct {
			Endpoints []struct {
				DNSName, RecordType string
				RecordTTL           int
				Targets             []string
			}
		}
		b, err := json.Marshal(o.Object["spec"])
		if err == nil {
			err = json.Unmarshal(b, &spec)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range spec.Endpoints {
			lines = append(lines, fmt.Sprint(strings.TrimSuffix(e.DNSName, ".example.com"), " ", e.RecordType, " ", e.RecordTTL, " ", strings.Join(e.Targets, ",")))
		}
		return lines, o.GetResourceVersion()
	}
	w := &world{t.TempDir()}
	w.serve(t, article...)
	foreign := externaldns.Kind.New("dns", "api.mynamespace.myfederation.svc.example.com")
	foreign.Object["spec"] = map[string]any{"endpoints": []any{}}
	if _, err := api.Create(t.Context(), externaldns.Kind, foreign, "somebody"); err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, "grant pub zonesub ANY;") // the one that publishes does so everywhere
	text := w.corefile(" registry " + hub.Kubeconfig + "\n publish external-dns dns\n publish update " + p.addr + " key pub")
	// Another server block of the same federation, which publishes as well.
	clusters := text[strings.Index(text, " federation myfederation {"):strings.Index(text, " registry ")]
	text += "sub.example.com:PORT {\n bind ADDR\n tsig {\n  secret pub. " + secret + "\n }\n" + clusters + " registry " + hub.Kubeconfig + "\n publish update " + p.addr + " key pub zone example.com\n }\n}\n"
	servers := []*server.Server{server.Start(t, text), server.Start(t, text)}
	const object = nginx + ".example.com"
	has := func(what string, lines ...string) (version string) {
		t.Helper()
		server.Eventually(t, time.Minute, what, func() bool {
			got, v := endpoints(object)
			version = v
			for _, l := range lines {
				if !slices.Contains(got, l) {
					return false
				}
			}
			return got != nil
		})
		return version
	}
	all := "104.196.0.44,104.197.247.191,104.197.74.77,130.211.57.243"
	before := has("the object is there",
		nginx+" A 180 "+all, nginx+".europe-west1 A 180 "+all, nginx+".europe-west1-b.europe-west1 A 180 "+all,
		nginx+".us-central1 A 180 104.196.0.44,104.197.247.191,104.197.74.77", nginx+".asia-east1-a A 180 130.211.57.243")
	if lines, _ := endpoints(object); slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, " A ") }) {
		t.Errorf("not only addresses: %q", lines)
	}
	leads := func(s *server.Server) bool { return s.Metric(t, `coredns_federation_publishes{`) == 2 }
	if leads(servers[0]) == leads(servers[1]) {
		t.Error("not one of two publishes")
	}

	updated := func(want string) {
		t.Helper()
		for _, domain := range []string{".example.com", ".sub.example.com"} {
			server.Eventually(t, time.Minute, "BIND has "+want, func() bool { return strings.HasSuffix(p.dig(t, nginx+domain), " "+want) })
		}
	}
	updated("104.196.0.44, 104.197.247.191, 104.197.74.77, 130.211.57.243")

	// One that is somebody else's is left alone.
	w.cluster(t, article[4], vector.Service("mynamespace", "nginx", article[4].addr), vector.Slice("mynamespace", "nginx", false, article[4].zone),
		vector.Service("mynamespace", "api", "192.0.2.9"), vector.Slice("mynamespace", "api", true, article[4].zone))
	server.Eventually(t, time.Minute, "it is told of", func() bool {
		return strings.Contains(servers[0].Log()+servers[1].Log(), "api.mynamespace.myfederation.svc.example.com: an object of that name is there that isn't ours")
	})
	if lines, _ := endpoints("api.mynamespace.myfederation.svc.example.com"); len(lines) > 0 {
		t.Errorf("somebody else's: %q", lines)
	}
	if _, now := endpoints(object); now != before {
		t.Error("it is written again without a change")
	}

	// The one that publishes ends: the other goes on.
	if leads(servers[1]) {
		servers[0], servers[1] = servers[1], servers[0]
	}
	servers[0].Stop()
	w.serve(t, shard{"us-central1", "us-central1-a", "104.197.247.191", false}, shard{"asia-east1", "asia-east1-a", "130.211.57.243", false})
	last := has("the other one publishes", nginx+" A 180 104.196.0.44,104.197.74.77", nginx+".asia-east1 A 180 104.196.0.44,104.197.74.77", nginx+".us-central1-a A 180 104.196.0.44,104.197.74.77")

	updated("104.196.0.44, 104.197.74.77")

	// No shard at all: it stays as it was. No service: it goes.
	for _, a := range article {
		a.ready = false
		w.serve(t, a)
	}
	server.Eventually(t, time.Minute, "nothing is answered", func() bool { return len(servers[1].Ask(t, object, 1).Answer) == 0 })
	for _, a := range article {
		w.cluster(t, a, vector.Service("mynamespace", "nginx", a.addr), vector.Slice("mynamespace", "nginx", false, a.zone),
			vector.Service("mynamespace", "later", a.addr), vector.Slice("mynamespace", "later", true, a.zone))
	}
	server.Eventually(t, time.Minute, "another is written", func() bool {
		lines, _ := endpoints("later.mynamespace.myfederation.svc.example.com")
		return len(lines) > 0
	})
	if _, now := endpoints(object); now != last {
		t.Error("it is written while no shard is up")
	}
	for _, a := range article {
		w.cluster(t, a, vector.Service("mynamespace", "later", a.addr), vector.Slice("mynamespace", "later", true, a.zone))
	}
	server.Eventually(t, time.Minute, "it goes with the service", func() bool {
		lines, _ := endpoints(object)
		return lines == nil
	})
}
