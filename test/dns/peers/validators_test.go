package peers

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var random = flag.Int("questions", 300, "how many random questions validators are asked, below a signed parent")

// A tree is a root, com, which is signed, and example.com, which a fedns signs: name servers at addresses of their own, at the port
// that resolvers ask.
type tree struct {
	root, com, example string // addresses
	anchor             string // com's DNSKEY record
	key                *dnskey.Key
	dir                string // of the manifests and keys of example.com
}

// newTree starts one, of which example.com is signedStanza's.
func newTree(t *testing.T) *tree {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("port 53 can only be listened at by root")
	}
	r := &tree{dir: t.TempDir()}
	net := fmt.Sprintf("127.%d.%d.", 53+rand.IntN(200), rand.IntN(255)) // nobody else's
	r.root, r.com, r.example = net+"1", net+"2", net+"3"
	r.key = keyAt(t, filepath.Join(r.dir, "keys"), dnskey.ECDSAP256SHA256, true, time.Now(), -60, -60, 0, 0, -60)
	above := t.TempDir()
	server.Program(t, server.Tool(t, "nsd"), "-d", "-c", write(t, above, "nsd.conf", nsdConf(above, r.root, 53, map[string]string{".": "zone"})+
		"# "+write(t, above, "zone", fmt.Sprintf("$TTL 60\n. SOA ns. nobody. 1 1800 900 604800 60\n. NS ns.\nns. A %s\ncom. NS ns.com.\nns.com. A %s\n", r.root, r.com))+"\n"))
	r.anchor = signedCom(t, r.com, 53, r.example, r.key)
	s := server.Start(t, strings.NewReplacer("example.com:PORT", "example.com:53", "ADDR", r.example, "  rrl off\n", "  rrl off\n  transfer 127.0.0.0/8\n  dnssec "+r.dir+"/keys\n").Replace(r.stanza(t, r.dir)))
	s.Addr = r.example + ":53"
	for _, a := range []string{r.root, r.com, r.example} {
		answers(t, a+":53", "example.com")
	}
	return r
}

// stanza is a Corefile of what the tree has as example.com, unsigned, in a folder.
func (r *tree) stanza(t *testing.T, dir string) string {
	t.Helper()
	text := signedStanza(t, dir, "")
	write(t, dir, "apex", strings.Replace(signedApex, "ns1 A 127.0.0.1", "ns1 A "+r.example, 1))
	return text
}

// kresd is a Knot Resolver that finds its way from the root, and trusts com.
func (r *tree) kresd(t *testing.T) (addr string) {
	t.Helper()
	dir, at := t.TempDir(), fmt.Sprint("127.0.0.1:", vector.Port(t))
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	server.Program(t, server.Rare(t, "kresd"), "-n", "-c", write(t, dir, "kresd.conf", fmt.Sprintf(`net.listen('%s', %s, { kind = 'dns' })
net.ipv6 = false
modules.load('hints')
hints.root({ ['ns.'] = '%s' })
option('ALLOW_LOCAL', true)
cache.open(10 * MB, 'lmdb://%s/cache')
trust_anchors.remove('.')
trust_anchors.add([[%s]])
`, host, port, r.root, dir, r.anchor)), dir)
	return at
}

// A question is one that a validator is asked.
type question struct {
	name  string // without the domain
	qtype uint16
}

func (q question) owner() string { return strings.TrimPrefix(q.name+".example.com.", ".") }
func (q question) String() string {
	return q.owner() + " " + strings.ReplaceAll(dns.Type(q.qtype).String(), "TYPE0", "TYPE")
}

// anything asks for something: what is there in each scope, what leads on, what isn't there, and what only stands above something.
func anything(r *rand.Rand) question {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	name := ""
	switch r.IntN(4) {
	case 0, 1: // of the federation
		service := pick("web.shop", "six.shop", "web.shop", "six.shop", "none.shop", fmt.Sprintf("r%d.shop", r.IntN(1000)), "shop", "web.none")
		name = pick("", "", "", "_http._tcp.", "_tcp.", "_none._tcp.", "_http._udp.", "x.") + service + ".prod." + pick("svc", "svc", "svc", "ing", "none") +
			pick("", "", ".eu", ".us", ".eu-a.eu", ".us-b.us", ".eu-a", ".us-b", ".us-b.eu", ".nowhere", ".no-a.eu")
	case 2: // hosts and records
		name = pick("", "mail", "x.mail", "ent", "deep.ent", "x.deep.ent", "wild", "alias", "www", "tree", "srv", "ns1", "svc", "prod.svc", "shop.prod.svc", "eu", "eu-a.eu", "svc.eu", "shop", "x.shop", "hosts", "lab")
	default: // made up
		n := r.IntN(1000)
		name = fmt.Sprintf(pick("r%d", "r%d.wild", "a.r%d.wild", "r%d.alias", "r%d.hosts", "b.r%d.hosts", "r%d.tree", "r%d.ent", "r%d.shop.prod.svc", "r%d.prod.svc.eu", "*.r%d"), n)
	}
	types := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeSRV, dns.TypeSRV, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeDS, dns.TypeCDS, dns.TypeDNAME, dns.TypeHTTPS, dns.TypeDNSKEY, 65399}
	q := question{name, types[r.IntN(len(types))]}
	switch {
	case name == "lab": // what is below isn't ours: that it isn't signed is
		q.qtype = dns.TypeDS
	case name == "" && slices.Contains([]uint16{dns.TypeDS, dns.TypeDNSKEY, dns.TypeCDS}, q.qtype): // the parent's, or those of keys
		q.qtype = dns.TypeSOA
	case strings.HasSuffix(name, ".tree") && (q.qtype == dns.TypeCNAME || q.qtype == dns.TypeDNAME):
		q.qtype = dns.TypeTXT // unbound 1.17 looks for a DS record there, and takes the DNAME for bogus
	}
	if r.IntN(5) == 0 {
		q.name = strings.ToUpper(q.name)
	}
	return q
}

// What is asked at random below a signed parent is secure to three validators that have nothing in common, and says what a fedns
// without keys says.
func TestValidators(t *testing.T) {
	tree := newTree(t)
	plain := startFedns(t, tree.stanza(t, t.TempDir()))
	resolvers := map[string]string{
		"unbound":       validator(t, tree.anchor, map[string][]string{"com": {tree.com + ":53"}, "example.com": {tree.example + ":53"}}),
		"Knot Resolver": tree.kresd(t),
	}
	for what, addr := range resolvers {
		server.Eventually(t, time.Minute, what+" answers", func() bool {
			m, _, err := (&dns.Client{Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), addr)
			return err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0
		})
	}
	anchors := write(t, t.TempDir(), "anchors", fmt.Sprintf("trust-anchors { example.com. static-key 257 3 13 %q; };\n", regexp.MustCompile(`\S+$`).FindString(tree.key.Record())))
	delv := server.Tool(t, "delv")

	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	todo := make(chan question)
	var mu sync.Mutex // guards the rest
	asked, outcomes := map[string]int{}, map[string]int{}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			c := dns.Client{Timeout: 10 * time.Second}
			for q := range todo {
				m, err := server.Query(&c, new(dns.Msg).SetQuestion(q.owner(), q.qtype), plain.Addr)
				if err != nil {
					t.Errorf("%s: %v", q, err)
					continue
				}
				want := strings.ToLower(records(m)) // names are made of the question's
				for what, addr := range resolvers {
					got, err := server.Query(&c, signedQuestion(q.owner(), q.qtype), addr)
					if err == nil && got.Truncated {
						got, _, err = (&dns.Client{Net: "tcp", Timeout: 10 * time.Second}).Exchange(signedQuestion(q.owner(), q.qtype), addr)
					}
					switch {
					case err != nil:
						t.Errorf("%s: %s: %v", what, q, err)
					case got.Rcode != dns.RcodeSuccess || !got.AuthenticatedData:
						t.Errorf("%s: %s: %s, AD %v\n%v", what, q, dns.RcodeToString[got.Rcode], got.AuthenticatedData, got)
					case strings.ToLower(records(got)) != want:
						t.Errorf("%s: %s:\n%s, want\n%s", what, q, records(got), want)
					}
				}
				out, err := exec.Command(delv, "@"+tree.example, "-a", anchors, "+root=example.com", q.owner(), fmt.Sprint("TYPE", q.qtype)).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "fully validated") || strings.Contains(string(out), "unsigned") {
					t.Errorf("delv: %s: %v\n%s", q, err, out)
				} else if got := strings.ToLower(records(shown(string(out)))); got != want && !strings.Contains(want, "\tdname\t") { // which it shows under the question's name, alone
					t.Errorf("delv: %s:\n%s, want\n%s", q, got, want)
				}
				mu.Lock()
				asked[dns.Type(q.qtype).String()]++
				switch {
				case m.Rcode != dns.RcodeSuccess:
					outcomes[dns.RcodeToString[m.Rcode]]++
				case len(m.Answer) == 0:
					outcomes["NODATA"]++
				case m.Answer[0].Header().Rrtype == q.qtype:
					outcomes["data"]++
				default:
					outcomes["a chain"]++
				}
				mu.Unlock()
			}
		})
	}
	for range *random {
		todo <- anything(r)
	}
	close(todo)
	workers.Wait()
	t.Logf("%d questions of seed %d to unbound, Knot Resolver and delv: %v, %v", *random, seed, outcomes, asked)
}

// shown are the records that answer in what delv prints.
func shown(out string) *dns.Msg {
	m := new(dns.Msg)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, ";") {
			continue
		}
		if rr, err := dns.NewRR(line); err == nil && rr != nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

// dnsviz finds nothing to say of any kind of answer, from com on.
func TestDNSViz(t *testing.T) {
	dnsviz, err := exec.LookPath("dnsviz")
	if err != nil {
		t.Skip("dnsviz isn't installed; apt-get install dnsviz python3-pygraphviz does it")
	}
	tree := newTree(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "answers")
	args := []string{"probe", "-4", "-A", "-E", "-a", "com", "-x", "com+:ns.com=" + tree.com, "-x", "example.com:ns1.example.com=" + tree.example, "-R", "A,AAAA,TXT,SRV,MX", "-o", file, "example.com"}
	names := names("web.shop.prod.svc", "web.shop.prod.svc.eu", "web.shop.prod.svc.us-b.us", "none.shop.prod.svc", "none", "x.wild", "deep.tree", "ent", "_http._tcp.web.shop.prod.svc", "www", "shop", "a.hosts")
	output(t, dnsviz, append(args, names...)...)
	out := printed(output(t, dnsviz, "print", "-t", write(t, dir, "anchor", tree.anchor+"\n"), "-r", file))
	out.check(t, "com [.]\n", "example.com [.] [.]\n", "![-]", "![!]", "![?]", "! E:", "! W:")
	for _, name := range names {
		out.check(t, name+"\n")
	}
}

// explained is what zonemaster finds that isn't the server's doing.
var explained = map[string]string{
	"NAMESERVER_IP_PRIVATE_NETWORK":       "the test is on loopback",
	"NAMESERVER_IP_WITHOUT_REVERSE":       "the test is on loopback",
	"NOT_ENOUGH_NS_DEL":                   "there is one name server in the test",
	"NOT_ENOUGH_NS_CHILD":                 "there is one name server in the test",
	"NOT_ENOUGH_IPV4_NS_DEL":              "there is one name server in the test",
	"NOT_ENOUGH_IPV4_NS_CHILD":            "there is one name server in the test",
	"NO_IPV6_NS_DEL":                      "there is no IPv6 in the test",
	"NO_IPV6_NS_CHILD":                    "there is no IPv6 in the test",
	"AXFR_AVAILABLE":                      "the Corefile lets loopback have it",
	"REFRESH_MINIMUM_VALUE_LOWER":         "the zone file says so; shards come and go within seconds",
	"RETRY_MINIMUM_VALUE_LOWER":           "the zone file says so",
	"EXPIRE_MINIMUM_VALUE_LOWER":          "the zone file says so",
	"REFRESH_LOWER_THAN_RETRY":            "the zone file says so",
	"SOA_DEFAULT_TTL_MAXIMUM_VALUE_LOWER": "the zone file says so",
}

// Zonemaster finds nothing that isn't explained.
func TestZonemaster(t *testing.T) {
	cli, err := exec.LookPath("zonemaster-cli")
	if err != nil {
		t.Skip("zonemaster isn't installed; apt-get install zonemaster-cli does it")
	}
	tree := newTree(t)
	hints := write(t, t.TempDir(), "hints", ". 3600000 NS ns.\nns. 3600000 A "+tree.root+"\n")
	ds := strings.Fields(tree.key.DSText()) // tag, algorithm, digest type, digest
	out := output(t, cli, "--hints", hints, "--no-ipv6", "--raw", "--level", "NOTICE", "--no-progress",
		"--ds", strings.Join(ds[:3], ",")+","+strings.Join(ds[3:], ""), "--ns", "ns1.example.com/"+tree.example, "example.com")
	seen := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		if seen++; explained[f[2]] == "" {
			t.Error(strings.TrimSpace(line))
		}
	}
	if seen == 0 {
		t.Errorf("it doesn't even find that this is loopback:\n%s", out)
	}
}

// unbound answers what is below a wildcard by itself, out of one proof for many names, and what comes and goes there is
// seen when that has ended: never anything bogus.
func TestWildcardAggressively(t *testing.T) {
	r := newTree(t)
	addr := validator(t, r.anchor, map[string][]string{"com": {r.com + ":53"}, "example.com": {r.example + ":53"}})
	const wild, own = "192.0.2.99", "192.0.2.77"
	first := func(name string) string {
		m := validated(t, addr, name+".example.com.", dns.TypeA)
		if !m.AuthenticatedData {
			t.Errorf("%s: isn't secure\n%v", name, m)
		}
		for _, rr := range m.Answer {
			if a, ok := rr.(*dns.A); ok {
				return a.A.String()
			}
		}
		t.Errorf("%s: no address\n%v", name, m)
		return ""
	}
	comes := func(names ...string) { // hosts, beside those of the others
		rules := [][2]string{{"*.hosts.example.com", "six"}}
		for _, n := range names {
			rules = append(rules, [2]string{n + ".example.com", "own"})
		}
		place{"paris", "eu", []string{"eu-a"}}.write(t, r.dir, vector.Service("shop", "six", wild), vector.Slice("shop", "six", true, "eu-a"),
			vector.Service("shop", "own", own), vector.Slice("shop", "own", true, "eu-a"), vector.Ingress("shop", "front", wild, rules[0]), vector.Ingress("shop", "single", own, rules[1:]...))
		place{"york", "us", []string{"us-b"}}.write(t, r.dir)
	}
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
	there := "hosts"
	for i := range 6 {
		there = fmt.Sprintf("n%d.hosts", 100*i)
		comes(there, fmt.Sprintf("m%d.hosts", i), "deep.under.p.hosts")
		server.Eventually(t, 30*time.Second, there+" is answered, and what is beside it", func() bool { return first(there) == own && first("x"+there) == wild })
		for range 100 {
			name := fmt.Sprintf("%c%d.hosts", 'a'+rnd.IntN(26), 1000+rnd.IntN(1000))
			if got := first(name); got != wild {
				t.Errorf("%s: %s", name, got)
			}
			if got := first(there); got != own {
				t.Errorf("%s: %s", there, got)
			}
			for _, none := range []string{"p.hosts", "under.p.hosts", name + ".nowhere"} {
				if m := validated(t, addr, none+".example.com.", dns.TypeA); !m.AuthenticatedData || len(m.Answer) > 0 {
					t.Errorf("%s:\n%v", none, m)
				}
			}
			if m := validated(t, addr, name+".example.com.", dns.TypeMX); !m.AuthenticatedData || len(m.Answer) > 0 {
				t.Errorf("%s MX:\n%v", name, m)
			}
		}
	}
}
