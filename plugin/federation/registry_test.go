package federation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/geo"
)

// A server that starts while the registry can't be reached has the members that it
// had before, as they were: in the map, on the globe, and under orders. A cluster of
// the Corefile is the Corefile's.
func TestRegistryKept(t *testing.T) {
	w := shop(t)
	kubeconfig := w.write("kubeconfig", "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: there, context: {cluster: a}}]\n")
	if err := os.Mkdir(filepath.Join(w.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("state/fed.registry", `{"format": "fedns-registry", "version": 1, "registry": `+fmt.Sprintf("%q", fmt.Sprintf("%q %q", kubeconfig, "there"))+`, "clusters": [
		{"name": "eu", "spec": {"secretRef": {"name": "eu"}, "region": "nowhere"}},
		{"name": "oslo", "spec": {"secretRef": {"name": "oslo"}, "region": "no", "zones": ["no-a"], "location": "59.91 10.75", "drain": {"reason": "kernel"}}}]}`)
	stanzas, err := parsed(t, strings.ReplaceAll("federation fed {\ncluster eu {\nmanifests DIR/eu\n}\nregistry DIR/kubeconfig there\nstate DIR/state\nnets 198.51.100.0/24 no\n}", "DIR", w.dir))
	if err != nil {
		t.Fatal(err)
	}
	f, err := build(stanzas, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Next = test.NextHandler(dns.RcodeServerFailure, nil)
	f.start()
	t.Cleanup(f.stop)
	s := newStatusServer(f, stanzas)

	for name, want := range map[string]int{
		"web.shop.fed.svc.no-a.no.example.com.": dns.RcodeSuccess,       // leads up to eu
		"web.shop.fed.svc.nowhere.example.com.": dns.RcodeServerFailure, // others may have joined
		"api.shop.fed.svc.example.com.":         dns.RcodeServerFailure,
	} {
		if m := f.dig(t, name, dns.TypeA); m.Rcode != want {
			t.Errorf("%s: %s", name, dns.RcodeToString[m.Rcode])
		}
	}
	if f.Ready() {
		t.Error("ready, though nobody knows who else is a member")
	}
	var all report.Clusters
	s.get(t, &all, "clusters")
	if len(all.Clusters) != 2 || all.Clusters[0].Source != "manifests" || all.Clusters[1].Cluster != "oslo" || all.Clusters[1].Source != "registry" ||
		all.Clusters[1].Listed || len(all.Clusters[1].Places) != 1 || all.Clusters[1].Places[0].Region != "no" {
		t.Errorf("%+v", all.Clusters)
	}
	var snapshot report.Snapshot
	s.get(t, &snapshot, "snapshot")
	if got := strings.Join(snapshot.Federations[0].Clusters, " "); got != "eu oslo" {
		t.Errorf("clusters %q", got)
	}
	if e := s.why(t, "web.shop.fed.svc.example.com", "without", "oslo"); e.Without == nil {
		t.Errorf("without a member of the registry: %+v", e)
	}
	if got := f.books[0].Orders(time.Now()); len(got) != 1 || got[0].String() != `drain cluster/oslo reason "kernel (spec.drain of Cluster oslo)"` {
		t.Errorf("orders %v", got)
	}
	var preview report.Preview
	if s.get(t, &preview, "preview", "order", `up cluster/oslo reason "x"`); len(preview.Unknown) != 0 {
		t.Errorf("unknown: %+v", preview.Unknown)
	}
	located := func(want geo.Place) bool {
		return f.Geo[0].Region("no") == want
	}
	for end := time.Now().Add(time.Minute); !located(geo.Place{Point: geo.Point{Lat: 59.91, Lon: 10.75}, Source: geo.Location}); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody knows where it is")
		}
	}
}

// A registry is a source of clusters; one that isn't there is an error.
func TestRegistryConfigured(t *testing.T) {
	stanzas, err := parsed(t, "federation fed {\nregistry /nowhere/kubeconfig fed\n}")
	if err != nil || stanzas[0].registry != "/nowhere/kubeconfig" || stanzas[0].registryContext != "fed" {
		t.Fatalf("%+v, %v", stanzas, err)
	}
	if _, err := build(stanzas, nil); err == nil || !strings.Contains(err.Error(), "registry: kubeconfig: open /nowhere/kubeconfig") {
		t.Errorf("error %v", err)
	}
}
