package check

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

func TestStatus(t *testing.T) {
	left := func(d time.Duration) *float64 { s := d.Seconds(); return &s }
	place := []report.Place{{Region: "eu"}}
	fed := report.Federation{Federation: "f", Heard: true, Settled: true}
	well := []report.Cluster{{Cluster: "a", Listed: true, Places: place}}
	up := []report.Service{{Kind: "svc", Namespace: "shop", Name: "web", Healthy: true, Addresses: []report.Address{{Address: "192.0.2.1"}}}}
	for _, tt := range []struct {
		name     string
		change   func(*report.Federation)
		clusters []report.Cluster
		services []report.Service
		want     []string

		publishing []report.Publication
	}{
		{"published", nil, well, up, []string{
			"ok fedns", "ok federation f: example.com is published on 192.0.2.53:53", "ok federation f: another server publishes example.com on external-dns/dns",
			"error federation f: example.org isn't published on 192.0.2.53:53 as it is answered (2 of its services and hosts): a.example.org: taken; b.example.org: taken",
			"ok federation f: example.net is published on external-dns/dns, as far as that can do it: policy nearest: every client gets every address there (3 of its services and hosts)", "ok 1 of 1", "ok 1 service", "ok no order",
		}, []report.Publication{
			{Federation: "f", Domain: "example.com.", Server: "192.0.2.53:53", Here: true, Pending: 1}, // it is being written
			{Federation: "f", Domain: "example.com.", Server: "external-dns/dns"},
			{Federation: "f", Domain: "example.org.", Server: "192.0.2.53:53", Here: true, Pending: 2, Problems: []string{"a.example.org: taken", "b.example.org: taken"}},
			{Federation: "f", Domain: "example.net.", Server: "external-dns/dns", Here: true, Limits: []string{"policy nearest: every client gets every address there (3 of its services and hosts)"}},
		}},
		{"all is well", nil, well, up, []string{"ok fedns v1 answers with serial 7", "ok 1 of 1 clusters are listed and fresh", "ok 1 service up in every", "ok no order"}, nil},
		{"an old database", func(f *report.Federation) {
			f.Geo = &report.GeoDatabase{File: "/geo.mmdb", Type: "City", AgeSeconds: 61.5 * 86400}
		}, well, up, []string{"ok fedns", "warning federation f: the geographic database /geo.mmdb is 61 days old", "ok 1 of 1", "ok 1 service", "ok no order"}, nil},
		{"a new one", func(f *report.Federation) {
			f.Geo = &report.GeoDatabase{File: "/geo.mmdb", Type: "City", AgeSeconds: 2 * 86400}
		}, well, up, []string{"ok fedns", "ok federation f: clients are placed by City, 2 days old", "ok 1 of 1", "ok 1 service", "ok no order"}, nil},
		{"one that can't be read", func(f *report.Federation) { f.Geo = &report.GeoDatabase{File: "/geo.mmdb"} }, well, up, []string{
			"ok fedns", "error federation f: the geographic database /geo.mmdb can't be read", "ok 1 of 1", "ok 1 service", "ok no order",
		}, nil},
		{"cut off", func(f *report.Federation) { f.Isolated = true }, []report.Cluster{{Cluster: "a", Listed: true, Silent: true, SilentSeconds: 90, Places: place}}, up, []string{
			"ok fedns", "error federation f: more than half of the clusters are silent at once", "error cluster a is silent for 1m30s", "ok 1 service", "ok no order",
		}, nil},
		{"refused", nil, []report.Cluster{{Cluster: "a", Listed: true, Silent: true, SilentSeconds: 4000, Reason: "unauthorized", Places: place}}, up, []string{
			"ok fedns", "error cluster a is silent for 1h7m: unauthorized", "ok 1 service", "ok no order",
		}, nil},
		{"never listed", func(f *report.Federation) { f.Heard, f.Settled = false, false }, []report.Cluster{{Cluster: "a", Reason: "forbidden: services"}}, nil, []string{
			"ok fedns", "error federation f: no cluster has been listed", "error cluster a has never been listed: forbidden", "warning no service is exported", "ok no order",
		}, nil},
		{"nowhere", nil, []report.Cluster{{Cluster: "a", Listed: true, Warning: "a namespace has the federation's name"}}, up, []string{
			"ok fedns", "warning cluster a: a namespace", "warning cluster a has no place", "ok 1 of 1", "ok 1 service", "ok no order",
		}, nil},
		{"no cluster", nil, nil, nil, []string{"ok fedns", "error there is no cluster", "warning no service", "ok no order"}, nil},
		{"services down, and a guard", func(f *report.Federation) { f.GuardHeldServices = 3 }, well, []report.Service{
			{Kind: "svc", Namespace: "shop", Name: "web", Down: "no ready endpoint (2)"}, {Kind: "ing", Namespace: "shop", Name: "front", Addresses: up[0].Addresses},
		}, []string{"ok fedns", "ok 1 of 1", "error 1 service without a shard that is up: service/shop/web (no ready endpoint (2))", "warning 1 service with a shard that isn't up: ingress/shop/front", "warning federation f: the guard holds withdrawals of 3 services", "ok no order"}, nil},
		{"orders", func(f *report.Federation) {
			f.InForce = []report.Order{{Action: "drain", Subject: "cluster/a", Reason: "x"}, {Action: "down", Subject: "zone/z", Reason: "y", LeftSeconds: left(10 * time.Minute)}, {Action: "up", Subject: "zone/y", Reason: "z", LeftSeconds: left(10 * time.Hour)}}
			f.OverridesError = "line 3"
		}, well, up, []string{"ok fedns", "error federation f: the file of overrides can't be read: line 3", "ok 1 of 1", "ok 1 service", "warning drain cluster/a (x) has no end", "warning down zone/z (y) ends in 10m"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fed
			if tt.change != nil {
				tt.change(&f)
			}
			s := report.Snapshot{Publishing: tt.publishing, Serial: 7, Versions: map[string]string{"fedns": "v1"}, Federations: []report.Federation{f}}
			compare(t, Status(&s, &report.Clusters{Clusters: tt.clusters}, tt.services), tt.want)
		})
	}
}

// Each runbook that a finding leads to is there.
func TestRunbooks(t *testing.T) {
	page, err := os.ReadFile("../../../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.ToLower(string(page))
	led := 0
	for _, name := range []string{"check.go", "api.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`f\.see\("(\w+)"\)`).FindAllStringSubmatch(string(source), -1) {
			if led++; !strings.Contains(sections, "\n## "+strings.ToLower(m[1])+"\n") {
				t.Errorf("there is no runbook %s", m[1])
			}
		}
	}
	if led < 5 {
		t.Errorf("only %d findings lead to one", led)
	}
	c := report.Clusters{Clusters: []report.Cluster{{Cluster: "a", Listed: true, Silent: true, SilentSeconds: 90}}}
	if all := Status(&report.Snapshot{}, &c, nil); !slices.ContainsFunc(all, func(f Finding) bool { return f.Runbook == runbooks+"fednsclustersilent" }) {
		t.Errorf("a silent cluster leads to none: %+v", all)
	}
}

func TestObjects(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	cluster := func(conditions ...any) unstructured.Unstructured {
		o := unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "eu"}}}
		if len(conditions) > 0 {
			o.Object["status"] = map[string]any{"conditions": conditions}
		}
		return o
	}
	condition := func(kind, status, message string) any {
		return map[string]any{"type": kind, "status": status, "message": message}
	}
	live := v1alpha1.Server{Name: "a", Version: "v1", Renewed: now, Duration: time.Minute}
	other := v1alpha1.Server{Name: "b", Version: "v2", Renewed: now, Duration: time.Minute}
	gone := v1alpha1.Server{Name: "c", Version: "v0", Renewed: now.Add(-time.Hour), Duration: time.Minute}
	token := func(left time.Duration) []byte {
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, now.Add(left).Unix()))
		return fmt.Appendf(nil, "users: [{user: {token: x.%s.y}}]", claims)
	}
	balancer := func(name string, age time.Duration, ingress []any) unstructured.Unstructured {
		return unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": name, "namespace": v1alpha1.System, "creationTimestamp": now.Add(-age).Format(time.RFC3339)},
			"spec":     map[string]any{"type": "LoadBalancer"}, "status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}},
		}}
	}
	fine := cluster(condition("Ready", "True", ""), condition("Heard", "True", ""))
	pulling := cluster(condition("Ready", "False", "its fedsync has said nothing for 20s"))
	pulling.Object["spec"] = map[string]any{"pull": true}
	for _, tt := range []struct {
		name string
		api  API
		want []string
	}{
		{"all is well", API{Clusters: []unstructured.Unstructured{fine}, Servers: []v1alpha1.Server{live, gone}, Secrets: map[string][]byte{"eu.cluster": token(30 * 24 * time.Hour)}}, []string{
			"ok Cluster eu is as it should be", "ok 1 fedns follow federation f", "ok the credentials in 1 Secrets hold",
		}},
		{"nobody follows", API{Clusters: []unstructured.Unstructured{cluster()}, Servers: []v1alpha1.Server{gone}}, []string{
			"warning Cluster eu: nobody says", "error no fedns follows federation f", "warning until when the clusters' credentials hold isn't known",
		}},
		{"conditions", API{Clusters: []unstructured.Unstructured{cluster(condition("Valid", "False", "region: a dot"), condition("Heard", "False", "silent"), condition("Ready", "Unknown", "no word"), condition("Drained", "True", ""))}, Servers: []v1alpha1.Server{live, other}, Secrets: map[string][]byte{}}, []string{
			"error Cluster eu: its spec is wrong: region: a dot", "error Cluster eu: fedns doesn't hear from it: silent", "error Cluster eu isn't ready: no word", "warning 2 fedns follow the federation, of versions v1, v2",
		}},
		{"a credential that is refused", API{Clusters: []unstructured.Unstructured{pulling}, Refused: map[string]bool{"eu": true}, Servers: []v1alpha1.Server{live}, Secrets: map[string][]byte{}}, []string{
			"error Cluster eu isn't ready: its credential is worth nothing: Secret federation-cluster-eu/agent.tokens is gone", "ok 1 fedns",
		}},
		{"tokens", API{Servers: []v1alpha1.Server{live}, Secrets: map[string][]byte{"a.cluster": token(time.Hour), "b.cluster-fedsync": token(-time.Hour), "c.cluster": []byte("users: [{user: {token: opaque}}]")}}, []string{
			"ok 1 fedns", "warning the credentials in Secret a.cluster end in 1h", "error the credentials in Secret b.cluster-fedsync have ended 1h ago",
		}},
		{"certificates", API{Servers: []v1alpha1.Server{live}, Secrets: map[string][]byte{}, Certificates: []Certificate{{"yours", now.Add(24 * time.Hour)}, {"its", now.Add(-24 * time.Hour)}, {"another", now.AddDate(9, 0, 0)}}}, []string{
			"ok 1 fedns", "warning yours ends on 2030-02-01, in 24h", "error its ended on 2030-01-30",
		}},
		{"load balancers", API{Servers: []v1alpha1.Server{live}, Secrets: map[string][]byte{}, Services: []unstructured.Unstructured{
			balancer("fedns", time.Hour, nil), balancer("new", time.Minute, nil), balancer("there", time.Hour, []any{map[string]any{"ip": "192.0.2.1"}}),
			{Object: map[string]any{"metadata": map[string]any{"name": "metrics"}, "spec": map[string]any{"type": "ClusterIP"}}},
		}}, []string{
			"ok 1 fedns", "error Service fedns has been waiting for a load balancer's address for 1h", "ok Service there has an address",
		}},
		{"certificates that hold", API{Servers: []v1alpha1.Server{live}, Secrets: map[string][]byte{}, Certificates: []Certificate{{"another", now.AddDate(9, 0, 0)}}}, []string{
			"ok 1 fedns", "ok the certificates of the API",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.api.Federation, tt.api.Now = "f", now
			compare(t, Objects(&tt.api), tt.want)
		})
	}
}
