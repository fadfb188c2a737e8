// Package input gives fedns, as a program, what it should not be given: each
// wrong thing gets a clear message, and nothing is lost or half done.
package input

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

const name = "web.shop.fed.svc.example.com"

// shop writes a cluster's manifests and gives the folder.
func shop(t *testing.T, addrs ...string) string {
	t.Helper()
	dir := t.TempDir()
	vector.WriteManifest(t, filepath.Join(dir, "shop.json"),
		vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", addrs...), vector.Slice("shop", "web", true, "eu-a"))
	return dir
}

func block(stanza string) string {
	return "example.com:PORT {\n bind ADDR\n ready READY\n prometheus METRICS\n federation fed {\n" + stanza + "\n }\n errors\n}\n"
}

func folder(dir string) string { return "cluster c {\n manifests " + dir + "\n}\n" }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What can't be started isn't half-started: the program ends, and says why.
func TestRefused(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	for _, tt := range []struct{ name, stanza, want string }{
		{"no cluster", "ttl 60s", `federation "fed": has no cluster`},
		{"unknown property", folder(dir) + "members all", `unknown property "members"; it has cluster, registry,`},
		{"missing registry", folder(dir) + "registry " + dir + "/nowhere ctx", "registry: kubeconfig: open " + dir + "/nowhere: no such file"},
		{"local of no member", folder(dir) + "local paris cluster.local", `"paris" is no cluster of federation "fed"; it has c`},
		{"local without a key", folder(dir) + "local c cluster.local", `add "fed.svc.cluster.local:`},
		{"missing kubeconfig", "cluster c {\n kubeconfig " + dir + "/nowhere ctx\n}", "nowhere: no such file"},
		{"missing folder", folder(dir + "/nowhere"), "nowhere: no such file"},
		{"ttl", folder(dir) + "ttl 0s", "out of range"},
		{"selector", folder(dir) + "select ===", "is not a label selector"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := server.Launch(t, block(tt.stanza))
			select {
			case <-s.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("it started")
			}
			if log := s.Log(); !strings.Contains(log, tt.want) || !strings.Contains(log, "Corefile:") {
				t.Errorf("it says\n%s\nwhich lacks %q, or the file and line", log, tt.want)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := server.Launch(t, strings.Replace(block(folder(shop(t, "192.0.2.1"))), "PORT", port, 1))
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it started")
	}
	if !strings.Contains(s.Log(), "address already in use") || !strings.Contains(s.Log(), port) {
		t.Errorf("it says\n%s", s.Log())
	}
}

// A manifest that becomes wrong keeps what it last said, and the log says where
// it is wrong; a half-written one too.
func TestBrokenManifest(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	file := filepath.Join(dir, "shop.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := server.Start(t, block(folder(dir)))
	for _, wrong := range []string{string(good[:len(good)/2]), "{\n\"kind\": \"List\",\n oops\n}"} {
		seen := strings.Count(s.Log(), file+":")
		write(t, file, wrong)
		server.Eventually(t, 2*time.Second, "the log names file and line", func() bool { return strings.Count(s.Log(), file+":") > seen })
		if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 {
			t.Errorf("answered with %v", got)
		}
	}
	write(t, file, strings.ReplaceAll(string(good), "192.0.2.1", "192.0.2.2"))
	server.Eventually(t, time.Second, "the mended file is answered", func() bool {
		got := server.Addrs(s.Ask(t, name, dns.TypeA))
		return len(got) == 1 && got[0] == "192.0.2.2"
	})
	if n := s.Metric(t, "coredns_federation_manifest_errors_total"); n < 2 {
		t.Errorf("%v errors counted", n)
	}
}

// A cluster may announce only what it was allowed; what it may not is left out,
// logged once, and counted.
func TestForeignAddress(t *testing.T) {
	dir := shop(t, "192.0.2.1", "203.0.113.66")
	s := server.Start(t, block("cluster c {\n manifests "+dir+"\n addresses 192.0.2.0/24\n}"))
	if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 || got[0] != "192.0.2.1" {
		t.Errorf("answered with %v", got)
	}
	vector.WriteManifest(t, filepath.Join(dir, "more.json"), vector.Node("m", "eu", "eu-b")) // judged again
	server.Eventually(t, 2*time.Second, "the second zone is answered", func() bool {
		return s.Ask(t, "web.shop.fed.svc.eu-b.eu.example.com", dns.TypeA).Rcode == dns.RcodeSuccess
	})
	if n := strings.Count(s.Log(), "203.0.113.66"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, s.Log())
	}
	if n := s.Metric(t, `coredns_federation_notices_total{cluster="c",federation="fed",kind="address"}`); n != 1 {
		t.Errorf("counted %v times", n)
	}
}

// What nobody can reach is announced by nobody; it is logged once, and counted.
func TestUnusableAddress(t *testing.T) {
	dir := shop(t, "192.0.2.1", "127.0.0.1", "fe80::1", "::ffff:169.254.1.1")
	s := server.Start(t, block(folder(dir)))
	if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 || got[0] != "192.0.2.1" {
		t.Errorf("answered with %v", got)
	}
	if got := server.Addrs(s.Ask(t, name, dns.TypeAAAA)); len(got) != 0 {
		t.Errorf("answered with %v", got)
	}
	for _, want := range []string{"127.0.0.1, the loopback address", "fe80::1, a link-local address", "169.254.1.1, a link-local address"} {
		if n := strings.Count(s.Log(), "shop/web announces "+want+", where nobody can reach it; left out"); n != 1 {
			t.Errorf("%s: logged %d times:\n%s", want, n, s.Log())
		}
	}
	if n := s.Metric(t, `coredns_federation_notices_total{cluster="c",federation="fed",kind="address"}`); n != 3 {
		t.Errorf("counted %v times", n)
	}
}

// A load balancer's name that doesn't resolve takes only itself out.
func TestDeadHostname(t *testing.T) {
	dir := shop(t, "192.0.2.1", "gone.example.net")
	s := server.Start(t, block(folder(dir)+"resolver 127.0.0.1:1"))
	if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 {
		t.Errorf("answered with %v", got)
	}
	server.Eventually(t, 10*time.Second, "the log names the host", func() bool { return strings.Contains(s.Log(), "load balancer gone.example.net") })
}

// A reload of a Corefile that is wrong leaves the old one going.
func TestBrokenReload(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	s := server.Start(t, block(folder(dir)))
	for _, wrong := range []string{block(folder(dir) + "speed 11"), "nonsense {", block("cluster c {\n kubeconfig /nowhere x\n}")} {
		s.Write(t, wrong)
		seen := len(s.Log())
		s.Reload(t)
		server.Eventually(t, 10*time.Second, "the log says that it failed", func() bool { return strings.Contains(s.Log()[seen:], "[ERROR]") })
		if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 {
			t.Fatalf("answered with %v\n%s", got, s.Log())
		}
	}
	s.Write(t, block(folder(dir)+"ttl 7s 7s"))
	s.Reload(t)
	server.Eventually(t, 10*time.Second, "a good Corefile is taken", func() bool {
		m := s.Ask(t, name, dns.TypeA)
		return len(m.Answer) == 1 && m.Answer[0].Header().Ttl == 7
	})
}

// A cache in the same block keeps nothing of what is answered here.
func TestCacheBeside(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	s := server.Start(t, strings.Replace(block(folder(dir)), " errors\n", " errors\n cache 300\n", 1))
	if got := server.Addrs(s.Ask(t, name, dns.TypeA)); len(got) != 1 {
		t.Fatalf("answered with %v", got)
	}
	vector.WriteManifest(t, filepath.Join(dir, "shop.json"),
		vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "eu-a"))
	server.Eventually(t, time.Second, "the change is answered", func() bool {
		got := server.Addrs(s.Ask(t, name, dns.TypeA))
		return len(got) == 1 && got[0] == "192.0.2.2"
	})
}

// A reload that fails when everything has started already, for a port that is
// taken, leaves nothing behind: the old server goes on alone.
func TestReloadPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := shop(t, "192.0.2.1")
	// With -share, it doesn't look before it starts.
	s := server.Launch(t, block(folder(dir)), "sh", "-c", `exec "$0" -share "$@"`)
	s.WaitReady(t)
	s.Write(t, block(folder(dir))+"example.net:"+port+" {\n bind ADDR\n federation fed {\n"+folder(dir)+"}\n}\n")
	s.Reload(t)
	server.Eventually(t, 20*time.Second, "the log says that the reload failed", func() bool {
		return strings.Contains(s.Log(), "address already in use")
	})
	for _, ready := range []bool{false, true} { // whoever else follows says the first by the second
		vector.WriteManifest(t, filepath.Join(dir, "shop.json"),
			vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", ready, "eu-a"))
		server.Eventually(t, 2*time.Second, "the old server follows its clusters", func() bool {
			return (len(server.Addrs(s.Ask(t, name, dns.TypeA))) == 1) == ready
		})
	}
	if n := strings.Count(s.Log(), "shard shop/web in c: down"); n != 1 {
		t.Errorf("%d servers follow the clusters:\n%s", n, s.Log())
	}
}

// A cluster that can't be reached holds up no block of several, at the start.
func TestSeveralBlocks(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, kubeconfig, "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c}}]\n")
	stanza := folder(dir) + "cluster dead {\n kubeconfig " + kubeconfig + " c\n}\n"
	var blocks string
	for _, domain := range []string{"example.com", "example.net", "example.org"} {
		blocks += domain + ":PORT {\n bind ADDR\n federation fed {\n" + stanza + "}\n}\n"
	}
	s := server.Launch(t, blocks)
	for _, domain := range []string{"example.com", "example.net", "example.org"} {
		server.Eventually(t, 30*time.Second, domain+" is answered", func() bool {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.fed.svc."+domain+".", dns.TypeA), s.Addr)
			return err == nil && len(server.Addrs(m)) == 1
		})
	}
	// A start that waits says so when the ten seconds are over, block by block.
	if strings.Contains(s.Log(), "cluster dead: not listed within") {
		t.Errorf("it was waited for:\n%s", s.Log())
	}
}

// The apex file is followed; one that has become wrong leaves what it said.
func TestApexFile(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	apex := filepath.Join(t.TempDir(), "db")
	const soa = "@ SOA ns1 hostmaster 1 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n"
	write(t, apex, soa)
	s := server.Start(t, block(folder(dir)+"apex "+apex))
	serial := func() uint32 {
		return s.Ask(t, "example.com", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
	}
	before := serial()
	write(t, apex, soa+"www A 192.0.2.80\n")
	server.Eventually(t, 3*time.Second, "the new record is answered", func() bool {
		return len(server.Addrs(s.Ask(t, "www.example.com", dns.TypeA))) == 1
	})
	server.Eventually(t, 3*time.Second, "the serial has moved on", func() bool { return int32(serial()-before) > 0 })
	write(t, apex, soa+"web.shop.fed.svc A 192.0.2.66\n")
	server.Eventually(t, 3*time.Second, "the clash is logged", func() bool {
		return strings.Contains(s.Log(), "belongs to the federation") && strings.Contains(s.Log(), "what it said last stays")
	})
	if got := server.Addrs(s.Ask(t, "www.example.com", dns.TypeA)); len(got) != 1 {
		t.Errorf("the last good records are gone: %v", got)
	}
}

// Packets that are garbage don't stop the server.
func TestGarbage(t *testing.T) {
	s := server.Start(t, block(folder(shop(t, "192.0.2.1"))))
	c, err := net.Dial("udp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	valid, err := new(dns.Msg).SetQuestion(name+".", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(valid) {
		if _, err := c.Write(valid[:cut]); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 {
			broken := append([]byte(nil), valid...)
			broken[cut] ^= 1 << bit
			if _, err := c.Write(broken); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Over TCP: the socket may have no room left for a datagram just now.
	m := s.Exchange(t, "tcp", new(dns.Msg).SetQuestion(name+".", dns.TypeA))
	if got := server.Addrs(m); len(got) != 1 || s.Exited() {
		t.Errorf("answered with %v\n%s", got, s.Log())
	}
}

// Files with secrets that everybody on the host can read are warned of, one line each.
func TestExposedSecrets(t *testing.T) {
	dir := shop(t, "192.0.2.1")
	cookies := filepath.Join(t.TempDir(), "cookies")
	write(t, cookies, strings.Repeat("ab", 16)+"\n") // 0644
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, kubeconfig, "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n")
	stanza := folder(dir) + "cluster d {\n kubeconfig " + kubeconfig + "\n}\ncookies " + cookies
	said := func(log, file string) bool {
		return strings.Contains(log, "[WARNING] plugin/federation: federation fed: "+file+" holds secrets and can be read by everybody on this host (mode 0644): chmod 0640\n")
	}
	s := server.Start(t, block(stanza))
	if log := s.Log(); !said(log, cookies) || !said(log, kubeconfig) {
		t.Errorf("it says\n%s", log)
	}
	for _, file := range []string{cookies, kubeconfig} {
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if log := server.Start(t, block(stanza)).Log(); strings.Contains(log, "holds secrets") {
		t.Errorf("it says\n%s", log)
	}
}

// A member that writes a Service of 1990 has no say in how a name is answered that others have:
// neither while the server runs, nor after restarts and reloads.
func TestServiceOf1990(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	put := func(i int, created, policy string) {
		region := []string{"eu", "us"}[i]
		o := vector.Service("shop", "web", []string{"192.0.2.1", "198.51.100.1"}[i])
		m := o["metadata"].(vector.Object)
		m["creationTimestamp"], m["annotations"] = created, vector.Object{"fedns.io/policy": policy}
		vector.WriteManifest(t, filepath.Join(dirs[i], "all.json"), vector.Node("n", region, region+"-a"), o, vector.Slice("shop", "web", true, region+"-a"))
	}
	put(0, "2024-01-01T00:00:00Z", "all")
	s := server.Start(t, block("cluster a {\n manifests "+dirs[0]+"\n}\ncluster b {\n manifests "+dirs[1]+"\n}\nstate "+t.TempDir()))
	check := func(when string) {
		t.Helper()
		server.Eventually(t, 30*time.Second, when, func() bool { return len(s.Ask(t, name, dns.TypeA).Answer) == 2 })
	}
	server.Eventually(t, 30*time.Second, "an answer", func() bool { return len(s.Ask(t, name, dns.TypeA).Answer) == 1 })
	put(1, "1990-01-01T00:00:00Z", "weighted 1")
	server.Eventually(t, 30*time.Second, "they disagree", func() bool {
		return strings.Contains(s.Log(), `clusters "a" and "b" disagree on fedns.io/policy; that of the federation counts`)
	})
	check("of 1990")
	s.Restart(t)
	s.WaitReady(t)
	check("after a restart")
	s.Reload(t)
	check("after a reload")
	put(0, "1980-01-01T00:00:00Z", "all") // its own age counts for nothing either
	check("in the end")
}

// Of TCP connections there are as many as there may be: those that are silent go, and who asks is
// answered, whoever holds as many as he can get.
func TestTCPConnections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere nobody looks")
	}
	s := server.Start(t, block(folder(shop(t, "192.0.2.1"))+"tcp 40 10"))
	ask := func(c *dns.Conn) bool {
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if c.WriteMsg(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)) != nil {
			return false
		}
		m, err := c.ReadMsg()
		return err == nil && len(m.Answer) == 1
	}
	var conns []*dns.Conn
	for range 60 {
		c, err := dns.DialTimeout("tcp", s.Addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	const ended = `coredns_federation_tcp_ended_total{reason="network"}`
	server.Eventually(t, 20*time.Second, "those that are too many are ended", func() bool { return s.Metric(t, ended) >= 50 })
	alive := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		var timeout net.Error
		if _, err := c.Read(make([]byte, 2)); errors.As(err, &timeout) && timeout.Timeout() {
			alive++
		}
	}
	if alive > 10 {
		t.Errorf("%d connections are there", alive)
	}
	c, err := dns.DialTimeout("tcp", s.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if !ask(c) {
			t.Error("who asks isn't answered")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Secondaries that ask for the zone and don't read it hold some of the transfers that may run at a time, and those of a
// network not all of them: an honest one has the zone all the while. They lose their connections.
func TestUnreadTransfers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the addresses of 127.0.0.0/8 aren't all there, and nobody ends connections")
	}
	apex := filepath.Join(t.TempDir(), "db")
	var zone strings.Builder
	zone.WriteString("@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n")
	for i := range 40_000 { // more than the buffers between the two take
		fmt.Fprintf(&zone, "t%d TXT %s\n", i, strings.Repeat("x", 250))
	}
	write(t, apex, zone.String())
	s := server.Start(t, block(folder(shop(t, "192.0.2.1"))+"apex "+apex+"\ntransfer 127.0.0.0/8"))
	ask := func(from string) (*dns.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }) // the less is taken
		}}
		c, err := d.Dial("tcp", s.Addr)
		if err != nil {
			return nil, err
		}
		conn := &dns.Conn{Conn: c}
		return conn, conn.WriteMsg(new(dns.Msg).SetAxfr("example.com."))
	}
	for i := range 40 {
		c, err := ask(fmt.Sprintf("127.0.%d.%d", 1+i%2, 1+i))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	const stalled = `coredns_federation_transfers_total{outcome="stalled"`
	for round := 0; s.Metric(t, stalled) < 8; round++ {
		c, err := ask("127.0.3.1")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for soa := 0; soa < 2; {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			m, err := c.ReadMsg()
			if err != nil || m.Rcode != dns.RcodeSuccess {
				t.Fatalf("round %d, after %d records: %v %v", round, n, err, m)
			}
			n += len(m.Answer)
			for _, rr := range m.Answer {
				if rr.Header().Rrtype == dns.TypeSOA {
					soa++
				}
			}
		}
		c.Close()
	}
	if !strings.Contains(s.Log(), "not all was taken for 5s") {
		t.Error("the log doesn't say so")
	}
}
