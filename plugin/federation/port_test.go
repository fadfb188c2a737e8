package federation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/vector"
)

// withPorts is a slice, or a Service, with other ports: "http 80 TCP".
func withPorts(o object, ports ...string) object {
	list := []object{}
	for _, p := range ports {
		var name, proto string
		var number int
		fmt.Sscan(p, &name, &number, &proto)
		port := object{"name": name, "port": number, "protocol": proto}
		if name == "-" {
			delete(port, "name")
		}
		list = append(list, port)
	}
	if spec, ok := o["spec"].(object); ok {
		spec["ports"] = list
	} else {
		o["ports"] = list
	}
	return o
}

// called gives a slice another name, so that a Service can have several.
func called(name string, o object) object {
	o["metadata"].(object)["name"] = name
	return o
}

// hosted are endpoints of a Service as "address hostname", all of them ready.
func hostedAt(service string, pods ...string) object {
	o := endpoints(service, pods...)
	for _, e := range o["endpoints"].([]object) {
		addr, host, _ := strings.Cut(e["addresses"].([]string)[0], " ")
		if e["addresses"] = []string{addr}; host != "" {
			e["hostname"] = host
		}
	}
	return o
}

// For a port, only what has that port ready counts: otherwise its name leads up, as any
// name does, while that of the Service itself stays.
func TestPortReady(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	multi := func(addr string) object {
		return withPorts(vector.Service("shop", "multi", addr), "app1 80 TCP", "app2 81 TCP", "same 80 UDP", "bare 82 TCP")
	}
	part := func(name string, ready bool, zone string, ports ...string) object {
		return called(name, withPorts(vector.Slice("shop", "multi", ready, zone), ports...))
	}
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Node("m", "us", "us-b"), multi("192.0.2.1"),
		part("s1", true, "us-a", "app1 8080 TCP"), part("s2", false, "us-a", "app2 8081 TCP"),
		part("s3", true, "us-b", "app1 8080 TCP", "same 8080 UDP"), part("s4", true, "us-b", "- 8082 TCP"),
		withPorts(vector.Service("shop", "plain", "192.0.2.3"), "app1 80 TCP"), withPorts(vector.Slice("shop", "plain", true, "us-a")),
		func() object {
			o := withPorts(vector.Service("shop", "early", "192.0.2.4"), "app1 80 TCP", "app2 81 TCP")
			o["spec"].(object)["publishNotReadyAddresses"] = true
			return o
		}(), withPorts(vector.Slice("shop", "early", false, "us-a"), "app2 81 TCP"))
	w.cluster("eu", vector.Node("n", "eu", "eu-a"), multi("192.0.2.2"), part("s1", true, "eu-a", "app1 8080 TCP", "app2 8081 TCP"))
	f := w.serving("federation fed {\n" + both + "}")
	const tail = ".shop.fed.svc"
	for _, tt := range []struct{ name, want, ede string }{
		{"_app1._tcp.multi" + tail + ".us", "SRV 0 0 80 multi" + tail + ".us", ""},
		{"_app1._tcp.multi" + tail + ".us-a.us", "SRV 0 0 80 multi" + tail + ".us-a.us", ""},
		{"_app2._tcp.multi" + tail + ".us-a.us", "CNAME _app2._tcp.multi" + tail + "; CNAME _app2._tcp.multi" + tail + ".us; SRV 0 0 81 EU", "0 no ready endpoint with this port in zone us-a of region us"},
		{"_app2._tcp.multi" + tail + ".us", "CNAME _app2._tcp.multi" + tail + "; SRV 0 0 81 EU", "0 no ready endpoint with this port in region us"},
		{"_app2._tcp.multi" + tail + ".eu", "SRV 0 0 81 multi" + tail + ".eu", ""},
		{"_same._udp.multi" + tail + ".us-a.us", "CNAME _same._udp.multi" + tail + ".us; SRV 0 0 80 multi" + tail + ".us-b.us", ""},
		{"_same._udp.multi" + tail + ".us-b.us", "SRV 0 0 80 multi" + tail + ".us-b.us", ""},
		{"_bare._tcp.multi" + tail, "SOA", "0 no shard that is up has the port"},   // its slice's port has no name
		{"_app1._tcp.plain" + tail + ".us", "SRV 0 0 80 plain" + tail + ".us", ""}, // its slice says nothing of ports
		{"_app2._tcp.early" + tail + ".us", "SRV 0 0 81 early" + tail + ".us", ""},
		{"_app1._tcp.early" + tail + ".us", "CNAME _app1._tcp.early" + tail + "; SOA", ""},
		{"_app3._tcp.multi" + tail + ".us", "NXDOMAIN", ""},
	} {
		m := f.dig(t, tt.name+".example.com.", dns.TypeSRV)
		got := strings.TrimPrefix(strings.ReplaceAll(short(m), ".example.com.", ""), "NOERROR; ")
		want := strings.ReplaceAll(tt.want, "EU", "multi"+tail+".eu-a.eu") // not the name of all, which leads to us, too
		if strings.HasPrefix(want, "NXDOMAIN") {
			want += "; SOA"
		}
		if got != want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, want)
		}
		if e := ede(m); tt.ede != "" && e != tt.ede {
			t.Errorf("%s: extended error %q, want %q", tt.name, e, tt.ede)
		}
	}
	if m := f.dig(t, "multi"+tail+".us-a.us.example.com.", dns.TypeA); short(m) != "NOERROR; A 192.0.2.1" {
		t.Errorf("the Service itself: %s", short(m))
	}
}

// A headless Service of the cluster has a target for each of its pods, with the pod's port and
// address: what another pod listens at is no affair of its.
func TestPodTargets(t *testing.T) {
	http := object{"name": "http", "port": 80}
	f := home(t,
		inside("hports", "clusterIP=None", http), called("h1", withPorts(hostedAt("hports", "10.4.0.1"), "web 8080 TCP")), called("h2", withPorts(hostedAt("hports", "10.4.0.2"), "web 9090 TCP")),
		inside("named", "clusterIP=None", http), called("n4", withPorts(hostedAt("named", "10.5.0.1 n-0", "10.5.0.2 n-1", "10.5.0.3"), "web 80 TCP", "dns 53 UDP")),
		called("n6", withPorts(hostedAt("named", "fd00::5:1 n-0", "::5"), "web 80 TCP", "dns 53 UDP")),
		inside("twins", "clusterIP=None", http), called("t1", withPorts(hostedAt("twins", "10.6.0.1 twin"), "web 1 TCP")), called("t2", withPorts(hostedAt("twins", "10.6.0.2 twin"), "web 2 TCP")),
		inside("split", "clusterIP=None", http), called("s1", withPorts(hostedAt("split", "10.7.0.1"), "web 1 TCP")), called("s2", withPorts(hostedAt("split", "10.7.0.1"), "dns 2 UDP")),
		inside("half", "clusterIP=10.0.0.9", object{"name": "one", "port": 1}, object{"name": "two", "port": 2}), called("p1", withPorts(endpoints("half", "10.8.0.1"), "one 1 TCP")), called("p2", withPorts(endpoints("half", "-10.8.0.2"), "two 2 TCP")),
	).servingUnder(homely, homeKeys...)
	const in = ".shop.fed.svc.cluster.local."
	for _, tt := range []struct{ name, want, beside string }{
		{"_web._tcp.hports", "SRV 0 0 8080 10-4-0-1.hports; SRV 0 0 9090 10-4-0-2.hports", "10-4-0-1.hports 10.4.0.1; 10-4-0-2.hports 10.4.0.2"},
		{"_web._tcp.named", "SRV 0 0 80 0--5.named; SRV 0 0 80 10-5-0-3.named; SRV 0 0 80 n-0.named; SRV 0 0 80 n-1.named",
			"0--5.named ::5; 10-5-0-3.named 10.5.0.3; n-0.named 10.5.0.1; n-0.named fd00::5:1; n-1.named 10.5.0.2"},
		{"_dns._udp.named", "SRV 0 0 53 0--5.named; SRV 0 0 53 10-5-0-3.named; SRV 0 0 53 n-0.named; SRV 0 0 53 n-1.named",
			"0--5.named ::5; 10-5-0-3.named 10.5.0.3; n-0.named 10.5.0.1; n-0.named fd00::5:1; n-1.named 10.5.0.2"},
		{"_web._tcp.twins", "SRV 0 0 1 10-6-0-1.twins; SRV 0 0 2 10-6-0-2.twins", "10-6-0-1.twins 10.6.0.1; 10-6-0-2.twins 10.6.0.2"},
		{"_web._tcp.split", "SRV 0 0 1 10-7-0-1.split", "10-7-0-1.split 10.7.0.1"},
		{"_dns._udp.split", "SRV 0 0 2 10-7-0-1.split", "10-7-0-1.split 10.7.0.1"},
		{"_one._tcp.half", "SRV 0 0 1 half", "half 10.0.0.9"},
	} {
		m := f.dig(t, tt.name+in, dns.TypeSRV)
		if got := strings.TrimPrefix(strings.ReplaceAll(short(m), in, ""), "NOERROR; "); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
		var beside []string
		for _, rr := range m.Extra {
			if ips := ipsOf([]dns.RR{rr}); len(ips) > 0 {
				beside = append(beside, strings.TrimSuffix(rr.Header().Name, in)+" "+ips[0])
			}
		}
		slices.Sort(beside)
		if got := strings.Join(beside, "; "); got != tt.beside {
			t.Errorf("%s: beside it %s\nwant %s", tt.name, got, tt.beside)
		}
		// Each target can be asked for, and has the addresses that stand beside it.
		for _, rr := range m.Answer {
			srv, ok := rr.(*dns.SRV)
			if !ok {
				t.Errorf("%s: %v", tt.name, rr)
				continue
			}
			var its []string
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
				for _, a := range ipsOf(f.dig(t, srv.Target, qtype).Answer) {
					its = append(its, strings.TrimSuffix(srv.Target, in)+" "+a)
				}
			}
			for _, a := range its {
				if !slices.Contains(beside, a) {
					t.Errorf("%s: %s isn't beside it", tt.name, a)
				}
			}
			if len(its) == 0 {
				t.Errorf("%s: %s leads nowhere", tt.name, srv.Target)
			}
		}
	}
	for name, want := range map[string]string{
		"twin.twins":      "NOERROR; A 10.6.0.1; A 10.6.0.2", // two pods of one name
		"N-0.named":       "NOERROR; A 10.5.0.1",
		"n-2.named":       "NXDOMAIN; SOA",
		"10-4-0-3.hports": "NXDOMAIN; SOA",
		"x.n-0.named":     "NXDOMAIN; SOA",
		"named":           "NOERROR; A 10.5.0.1; A 10.5.0.2; A 10.5.0.3",
	} {
		if got := short(f.dig(t, name+in, dns.TypeA)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// A port that nobody has ready here leads away.
	m := f.dig(t, "_two._tcp.half"+in, dns.TypeSRV)
	if got := short(m); !strings.Contains(got, "CNAME _two._tcp.half.shop.fed.svc.eu-a.eu.example.com.") {
		t.Errorf("a port without a ready endpoint: %s", got)
	}
}

// Of many pods, an answer has some, all of which have their turn.
func TestPodTargetsBounded(t *testing.T) {
	f := many(t, 40).servingUnder(fmt.Sprintf(manyStanza, ""), homeKeys...)
	seen := map[string]bool{}
	for range 60 {
		m := f.dig(t, "_http._tcp.pods40.shop.fed.svc.cluster.local.", dns.TypeSRV)
		if m.Truncated || len(m.Answer) != 8 || len(ipsOf(m.Extra)) != 8 {
			t.Fatalf("%d targets, %d addresses, TC %v", len(m.Answer), len(ipsOf(m.Extra)), m.Truncated)
		}
		for _, rr := range m.Answer {
			seen[rr.(*dns.SRV).Target] = true
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d of 40 pods are targets", len(seen))
	}
}
