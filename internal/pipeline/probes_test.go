package pipeline

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/probe"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// What a check comes to: a target, or why it is none.
func TestTarget(t *testing.T) {
	_, rules, err := probe.ParseLine(strings.Fields("tcp annotations on ports 80,443 paths /healthz*"))
	if err != nil {
		t.Fatal(err)
	}
	clusters := []shard.Cluster{{Name: "any"}, {Name: "bound", Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("127.0.0.0/8")}}}
	w := &worker{
		Pipeline: &Pipeline{federations: []Federation{{Name: "prod", Probes: rules}}},
		tables:   []*table.Table{table.New(clusters, shard.Policy{})},
	}
	for _, tt := range []struct {
		cluster, addr, spec string
		annotated           bool
		want, why           string
	}{
		{"any", "203.0.113.1:80", "tcp", false, "203.0.113.1:80 by tcp", ""},
		{"any", "203.0.113.1:80", "http /healthz/live", true, "203.0.113.1:80 by http /healthz/live 200-399", ""},
		{"any", "203.0.113.1:80", "http /admin", true, "", "a path"},
		{"any", "203.0.113.1:80", "http /admin", false, "203.0.113.1:80 by http /admin 200-399", ""},
		{"any", "203.0.113.1:22", "tcp", false, "", "a port"},
		{"any", "203.0.113.1:80", "tcp port 22", true, "", "a port"},
		{"any", "127.0.0.1:80", "tcp", true, "", "a loopback address"},
		{"any", "169.254.169.254:80", "http /healthz", true, "", "credentials"},
		{"any", "[fd00:ec2::254]:80", "tcp", true, "", "credentials"},
		{"any", "203.0.113.1:0", "tcp", false, "", ""},
		{"any", "203.0.113.1:80", "none", true, "", ""},
		{"bound", "198.51.100.7:80", "tcp", true, "198.51.100.7:80 by tcp", ""},
		{"bound", "203.0.113.1:80", "tcp", true, "", `outside the addresses of cluster "bound"`},
		{"bound", "127.0.0.1:80", "tcp", true, "", "a loopback address"},
		{"nobody", "203.0.113.1:80", "tcp", true, "", "outside"},
	} {
		tg, why, ok := w.target(0, shard.Check{Addr: netip.MustParseAddrPort(tt.addr), Spec: tt.spec, Cluster: topology.ClusterName(tt.cluster), Annotated: tt.annotated})
		if ok != (tt.want != "") || ok && tg.String() != tt.want || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%+v: %v, %q, %v", tt, tg, why, ok)
		}
	}
}
