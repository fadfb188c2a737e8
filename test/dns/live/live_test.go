// Package live asks fedns about real clusters: API servers and whole members of
// package framework/cluster, read with the rights that fedns asks for and none more.
package live

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// A member is a cluster as the Corefile has it.
type member struct {
	name, kubeconfig string
	more             string // properties, a line each
}

// members are clusters as the Corefile has them, with the rights fedns asks for.
func members(t *testing.T, cs ...*cluster.Cluster) []member {
	t.Helper()
	var out []member
	for _, c := range cs {
		out = append(out, member{name: c.Name, kubeconfig: c.ReadOnly(t)})
	}
	return out
}

// corefile is a Corefile of myfederation under example.com.
func corefile(ms ...member) string {
	var b strings.Builder
	b.WriteString("example.com:PORT {\n bind ADDR\n federation myfederation {\n")
	for _, m := range ms {
		fmt.Fprintf(&b, "  cluster %[1]s {\n   kubeconfig %[2]s %[1]s\n%[3]s  }\n", m.name, m.kubeconfig, m.more)
	}
	b.WriteString(" }\n ready READY\n prometheus METRICS\n errors\n}\n")
	return b.String()
}

// A view is one service as a fedns shows it.
type view struct {
	*server.Server
	service string // "nginx.mynamespace"
	kind    string // "svc" or "ing"
}

func (v view) name(scope string) string {
	name := v.service + ".myfederation." + v.kind
	if scope != "global" {
		name += "." + scope
	}
	return name + ".example.com."
}

// at is what the service's name in a scope is answered with, in one line: where
// it leads, then the addresses, sorted.
//
//	→ europe-west1 → global → 192.0.2.1 192.0.2.2
func (v view) at(scope string) string {
	m, err := v.ask(scope, dns.TypeA)
	if err != nil {
		return err.Error()
	}
	return v.line(m)
}

func (v view) ask(scope string, qtype uint16) (*dns.Msg, error) {
	c := dns.Client{Timeout: 5 * time.Second}
	return server.Query(&c, new(dns.Msg).SetQuestion(v.name(scope), qtype), v.Addr)
}

func (v view) line(m *dns.Msg) string {
	if m.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[m.Rcode]
	}
	var way []string
	for _, target := range server.Chain(m) {
		scope := strings.TrimPrefix(strings.TrimSuffix(target, "example.com"), v.service+".myfederation."+v.kind+".")
		if scope = strings.TrimSuffix(scope, "."); scope == "" {
			scope = "global"
		}
		way = append(way, "→ "+scope)
	}
	end := "NODATA"
	if addrs := server.Addrs(m); len(addrs) > 0 {
		slices.Sort(addrs)
		end = strings.Join(addrs, " ")
	}
	if len(way) == 0 {
		return end
	}
	return strings.Join(append(way, "→ "+end), " ")
}

// is says what scopes are answered with at this moment.
func (v view) is(t *testing.T, want string, scopes ...string) {
	t.Helper()
	for _, scope := range scopes {
		if got := v.at(scope); got != want {
			t.Errorf("%s in %s: %q, want %q", v.service, scope, got, want)
		}
	}
}

// becomes waits until scopes are answered with want.
func (v view) becomes(t *testing.T, limit time.Duration, want string, scopes ...string) {
	t.Helper()
	limit = server.Patience(limit)
	start := time.Now()
	for _, scope := range scopes {
		for got := v.at(scope); got != want; got = v.at(scope) {
			if time.Since(start) > limit {
				t.Fatalf("%s in %s: still %q after %v, want %q", v.service, scope, got, limit, want)
			}
			time.Sleep(2 * time.Millisecond) // between two questions
		}
	}
	t.Logf("%s in %s: %q after %v", v.service, strings.Join(scopes, ", "), want, time.Since(start).Round(time.Millisecond))
}

// while asks for scopes without a pause as long as f runs, and wants the same
// answer every time.
func (v view) while(t *testing.T, f func(), want string, scopes ...string) {
	t.Helper()
	done, asked := make(chan struct{}), make(chan int)
	go func() {
		n, bad := 0, 0
		for ; ; n++ {
			select {
			case <-done:
				asked <- n
				return
			default:
			}
			scope := scopes[n%len(scopes)]
			if got := v.at(scope); got != want && bad < 5 {
				bad++
				t.Errorf("%s in %s: %q, want %q all the time", v.service, scope, got, want)
			}
		}
	}()
	// Also where f ends the test.
	defer func() {
		close(done)
		if n := <-asked; n == 0 {
			t.Error("nothing was asked")
		} else {
			t.Logf("%d questions", n)
		}
	}()
	f()
}

// logs waits until the server has printed a text.
func logs(t *testing.T, s *server.Server, limit time.Duration, text string) {
	t.Helper()
	server.Eventually(t, limit, fmt.Sprintf("the log says %q", text), func() bool { return strings.Contains(s.Log(), text) })
}

// ready is what the server's ready plugin says now.
func ready(t *testing.T, s *server.Server) bool {
	t.Helper()
	text, err := os.ReadFile(s.Corefile)
	if err != nil {
		t.Fatal(err)
	}
	_, addr, _ := strings.Cut(string(text), " ready ")
	addr, _, _ = strings.Cut(addr, "\n")
	r, err := http.Get("http://" + addr + "/ready")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// listening waits until the server answers at all.
func listening(t *testing.T, s *server.Server) {
	t.Helper()
	server.Eventually(t, 10*time.Second, "fedns listens", func() bool {
		if s.Exited() {
			t.Fatalf("fedns has ended:\n%s", s.Log())
		}
		_, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), s.Addr)
		return err == nil
	})
}

// errorsOf counts the calls to a cluster that ended for a reason.
func errorsOf(t *testing.T, s *server.Server, cluster, reason string) float64 {
	t.Helper()
	return s.Metric(t, fmt.Sprintf("coredns_federation_cluster_errors_total{cluster=%q,federation=\"myfederation\",reason=%q}", cluster, reason))
}

// web sets shop/web up in a cluster: a node in its zone, an address, a ready
// endpoint.
func web(t *testing.T, c *cluster.Cluster, region, zone, ip string) {
	t.Helper()
	c.AddNode(t, "node-1", region, zone)
	c.Expose(t, "shop", "web", ip)
	c.Slice(t, "shop", "web", zone, true)
}
