package message_test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

const (
	now    = time.Hour // on the program's own clock
	serial = 1_800_000_000
)

// far is a region with the longest of names: that of a zone in it, without it, can
// be one that exists while the region's can't.
var far = strings.Repeat("f", 63)

// federation is a frozen one with a service of every kind.
func federation(settled bool) *snapshot.Federation {
	e := snapshot.NewFederation("fed").Edit()
	eu, us := topology.Place{Region: "eu", Zone: "eu-a"}, topology.Place{Region: "us", Zone: "us-a"}
	e.Topology(topology.New([]topology.Place{
		eu, {Region: "eu", Zone: "eu-b"}, {Region: "eu", Zone: "z"}, us, {Region: "us", Zone: "z"}, {Region: far, Zone: "far-a"}, {Region: "lone"},
	}))
	e.SetListed(true, settled, nil)
	http := []snapshot.Port{{Name: "http", Proto: "tcp", Number: 80}, {Name: "http", Proto: "tcp", Number: 8080, Places: []topology.Place{us}}, {Name: "dns", Proto: "udp", Number: 53, Places: []topology.Place{eu}}}
	set := func(key snapshot.Key, change func(*snapshot.Service), shards ...snapshot.Shard) {
		s := &snapshot.Service{Key: key, Ports: http, Shards: shards}
		if change != nil {
			change(s)
		}
		e.Set(s.Freeze())
	}
	key := func(name string) snapshot.Key { return snapshot.Key{Namespace: "shop", Name: name} }
	at := func(p topology.Place, addrs ...string) (out []snapshot.Shard) {
		for _, a := range addrs {
			out = append(out, snapshot.Shard{Place: p, Addr: netip.MustParseAddr(a)})
		}
		return out
	}
	crowd := func(p topology.Place, n int) (out []snapshot.Shard) {
		for i := range n {
			out = append(out, snapshot.Shard{Place: p, Addr: netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})})
		}
		return out
	}
	set(key("web"), nil, append(at(eu, "192.0.2.1", "2001:db8::1"), at(us, "192.0.2.2", "192.0.2.1")...)...)
	set(key("four"), nil, at(eu, "192.0.2.4")...)
	set(key("six"), nil, at(eu, "2001:db8::6")...)
	set(key("mapped"), nil, at(eu, "::ffff:192.0.2.7")...)
	set(key("nowhere"), nil, at(topology.Place{}, "192.0.2.5")...)
	set(key("down"), func(s *snapshot.Service) { s.Down = "no shard is up: no ready endpoint in 2 clusters" })
	set(key("noted"), func(s *snapshot.Service) {
		s.Note, s.Silent, s.Recent = "a guard holds it back", []snapshot.Silent{{Place: us, Stale: true}}, []snapshot.Recent{{Place: eu, Until: 2 * now}}
	}, at(eu, "192.0.2.6")...)
	set(key("own"), func(s *snapshot.Service) { s.TTL = 7 }, at(eu, "192.0.2.8")...)
	set(key("plain"), func(s *snapshot.Service) { s.Ports = nil }, at(us, "192.0.2.9")...)
	for _, n := range []int{27, 28, 29, 70, 71, 72, 73, 74, 75, 300} { // about as many as there is room for
		set(key(fmt.Sprint("big", n)), nil, crowd(us, n)...)
	}
	set(key(far), nil, at(eu, "192.0.2.10")...)
	set(snapshot.Key{Namespace: far, Name: far}, nil, at(eu, "192.0.2.11")...)
	set(snapshot.Key{Namespace: "shop", Name: "edge", Kind: snapshot.Ing}, nil, at(us, "192.0.2.12")...)
	return e.Done()
}

// A realm is a domain with the federation in it, in one state.
type realm struct {
	name     string
	wire     message.Domain
	snapshot *snapshot.Snapshot
	members  []answer.Member
}

// realms are the domains that are asked for: one that has been listed, one that
// hasn't, the root, one with a long name whose servers are elsewhere, one that
// takes any scope, and one whose answers have few addresses.
var realms = func() []realm {
	settled := &snapshot.Snapshot{Version: snapshot.Version{Serial: serial}, Federations: []*snapshot.Federation{federation(true)}}
	early := &snapshot.Snapshot{Version: snapshot.Version{Serial: serial}, Federations: []*snapshot.Federation{federation(false)}}
	soa := message.SOA{TTL: 5, MName: target("ns1", false), RName: target("hostmaster", false), Numbers: [4]uint32{7200, 1800, 86400, 5}}
	away := soa
	away.MName, away.RName = target("ns."+far+".example.net", true), target("", false)
	strict, lenient := []answer.Member{{TTL: 180, Degraded: 30}}, []answer.Member{{TTL: 180, Degraded: 30, Lenient: true}}
	bounded := []answer.Member{{TTL: 180, Degraded: 30, Answers: answer.DefaultAnswers}}
	return []realm{
		{"example.com.", message.Domain{Labels: 2, SOA: soa}, settled, strict},
		{"example.com.", message.Domain{Labels: 2, SOA: soa}, early, strict},
		{".", message.Domain{Labels: 0, SOA: soa}, settled, strict},
		{"com.", message.Domain{Labels: 1, SOA: soa}, settled, strict},
		{strings.Repeat("a", 48) + ".example.com.", message.Domain{Labels: 3, SOA: away}, settled, strict},
		{"example.com.", message.Domain{Labels: 2, SOA: soa}, settled, lenient},
		{"example.com.", message.Domain{Labels: 2, SOA: soa}, settled, bounded},
	}
}()

// target is a name in a SOA record.
func target(name string, absolute bool) message.Target {
	l := labels(name)
	return message.Target{Labels: []byte(l[:len(l)-1]), Absolute: absolute}
}

// asked are names, without the domain, of every service, port and scope, and of
// what is above, beside and below.
var asked = func() (out []string) {
	scopes := []string{"", ".eu", ".us", ".lone", "." + far, ".eu-a", ".eu-b", ".us-a", ".far-a", ".z", ".eu-a.eu", ".z.eu", ".z.us", ".us-a.us", ".far-a." + far, ".us-a.eu", ".mars", ".m.mars", ".a.b.c"}
	for _, scope := range scopes {
		for _, host := range []string{
			"web.shop.fed.svc", "four.shop.fed.svc", "six.shop.fed.svc", "mapped.shop.fed.svc", "nowhere.shop.fed.svc", "down.shop.fed.svc",
			"noted.shop.fed.svc", "own.shop.fed.svc", "plain.shop.fed.svc", "big27.shop.fed.svc", "big28.shop.fed.svc", "big29.shop.fed.svc", "big70.shop.fed.svc",
			"big71.shop.fed.svc", "big72.shop.fed.svc", "big73.shop.fed.svc", "big74.shop.fed.svc", "big75.shop.fed.svc", "big300.shop.fed.svc",
			far + ".shop.fed.svc", far + "." + far + ".fed.svc", "edge.shop.fed.ing",
			"web.shop.fed.ing", "nobody.shop.fed.svc", "web.nowhere.fed.svc", "web.shop.other.svc", "shop.fed.svc", "fed.svc", "fed.ing", "svc", "ing",
		} {
			out = append(out, host+scope)
		}
		for _, port := range []string{"_http._tcp.", "_dns._udp.", "_dns._tcp.", "_tcp.", "_none._tcp.", "http.tcp.", "x._http._tcp."} {
			for _, host := range []string{"web.shop.fed.svc", "down.shop.fed.svc", "big28.shop.fed.svc", "big300.shop.fed.svc", far + "." + far + ".fed.svc"} {
				out = append(out, port+host+scope)
			}
		}
		if scope != "" {
			out = append(out, scope[1:])
		}
	}
	return out
}()
