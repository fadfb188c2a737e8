package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A served story is told over the program itself, and folders of manifests.
type served struct {
	t       testing.TB
	dir     string
	name    string
	options []string
	members []string // by name, those that are in the Corefile
	inside  string   // the domain of a cluster, where one is served
	nodes   map[string][]vector.Object
	zones   map[string][]string
	objects map[string]map[string][]vector.Object // by cluster, then what they are
	s       *server.Server
	serials []uint32
}

func (w *served) verbs() map[string]verb {
	return map[string]verb{
		"server": w.server, "option": w.option, "cluster": w.cluster, "shard": w.shard, "pods": w.pods, "ingress": w.ingress, "copy": w.copy,
		"leave": w.leave, "join": w.join, "restart": w.restart, "dig": w.dig, "serial": w.serial,
	}
}

func (w *served) server(args []string) (string, error) {
	w.name = args[0]
	w.nodes, w.zones, w.objects = map[string][]vector.Object{}, map[string][]string{}, map[string]map[string][]vector.Object{}
	return "", nil
}

func (w *served) option(args []string) (string, error) {
	if args[0] == "local" {
		w.inside = w.name + ".svc." + args[2]
	}
	w.options = append(w.options, strings.ReplaceAll(strings.Join(args, " "), "DIR", w.dir))
	return "", nil
}

func (w *served) cluster(args []string) (string, error) {
	name := args[0]
	if w.nodes[name] == nil {
		w.members, w.objects[name] = append(w.members, name), map[string][]vector.Object{}
	}
	w.nodes[name], w.zones[name] = []vector.Object{}, nil
	for i, p := range args[1:] {
		region, zone, _ := strings.Cut(p, "/")
		w.nodes[name] = append(w.nodes[name], vector.Node(fmt.Sprint("n", i), region, zone))
		w.zones[name] = append(w.zones[name], zone)
	}
	return "", w.write(name)
}

// write has a cluster's folder say what the cluster holds.
func (w *served) write(cluster string) error {
	if w.nodes[cluster] == nil {
		return fmt.Errorf("there is no cluster %q", cluster)
	}
	all := slices.Clone(w.nodes[cluster])
	for _, k := range slices.Sorted(maps.Keys(w.objects[cluster])) {
		all = append(all, w.objects[cluster][k]...)
	}
	vector.WriteManifest(w.t, filepath.Join(w.dir, "clusters", cluster, "all.json"), all...)
	return nil
}

// put has a cluster hold objects, in the place of those of the same key; nil: no more.
func (w *served) put(cluster, key string, objects []vector.Object) error {
	if w.objects[cluster] == nil {
		return fmt.Errorf("there is no cluster %q", cluster)
	}
	w.objects[cluster][key] = objects
	return w.write(cluster)
}

func (w *served) shard(args []string) (string, error) {
	args, o, err := fields(args, "ready", "zones", "ttl", "policy", "weight", "created", "hide", "ports", "inside")
	if err != nil {
		return "", err
	}
	ns, name, _ := strings.Cut(args[0], "/")
	if len(args) == 2 {
		return "", w.put(args[1], args[0], nil)
	}
	service := vector.Service(ns, name, args[2:]...)
	for _, a := range []string{"ttl", "policy", "weight"} {
		if v, ok := o[a]; ok {
			vector.With(service, "fedns.io/"+a, v)
		}
	}
	created(service, o)
	if a, ok := o["inside"]; ok {
		service["spec"].(vector.Object)["clusterIP"] = a
	}
	zones := w.zones[args[1]]
	if list, ok := o["zones"]; ok {
		zones = strings.Split(list, ",")
	}
	slice := vector.Slice(ns, name, o["ready"] != "" && o["ready"] != "0", zones...)
	if o["hide"] == "slice" {
		delete(slice["metadata"].(vector.Object)["labels"].(vector.Object), "fedns.io/export")
	}
	if list, ok := o["ports"]; ok {
		ports := []vector.Object{}
		for p := range strings.SplitSeq(list, ",") {
			port, number, _ := strings.Cut(p, ":")
			n, err := strconv.Atoi(number)
			if err != nil {
				return "", err
			}
			ports = append(ports, vector.Object{"name": port, "port": n, "protocol": "TCP"})
		}
		service["spec"].(vector.Object)["ports"], slice["ports"] = ports, ports
	}
	return "", w.put(args[1], args[0], []vector.Object{service, slice})
}

func created(o vector.Object, options map[string]string) {
	if year, ok := options["created"]; ok {
		vector.With(o, "creationTimestamp", year+"-01-01T00:00:00Z")
	}
}

func (w *served) pods(args []string) (string, error) {
	ns, name, _ := strings.Cut(args[0], "/")
	service, slice := vector.Service(ns, name), vector.Slice(ns, name, true)
	service["spec"].(vector.Object)["type"], service["spec"].(vector.Object)["clusterIP"] = "ClusterIP", "None"
	endpoints := []vector.Object{}
	for _, p := range args[2:] {
		host, addr, named := strings.Cut(p, "=")
		e := vector.Object{"zone": w.zones[args[1]][0], "conditions": vector.Object{"ready": true}}
		if named {
			e["hostname"] = host
		} else {
			addr = host
		}
		e["addresses"] = []string{addr}
		endpoints = append(endpoints, e)
	}
	slice["endpoints"] = endpoints
	return "", w.put(args[1], args[0], []vector.Object{service, slice})
}

func (w *served) ingress(args []string) (string, error) {
	year := ""
	if last := args[len(args)-1]; strings.HasPrefix(last, "created=") {
		year, args = strings.TrimPrefix(last, "created="), args[:len(args)-1]
	}
	k := "ingress " + args[0]
	if len(args) == 2 {
		return "", w.put(args[1], k, nil)
	}
	ns, name, _ := strings.Cut(args[0], "/")
	var hosts [][2]string
	for _, a := range args[3:] {
		host, service, _ := strings.Cut(a, "=")
		hosts = append(hosts, [2]string{host, service})
	}
	i := vector.Ingress(ns, name, args[2], hosts...)
	if year != "" {
		created(i, map[string]string{"created": year})
	}
	return "", w.put(args[1], k, []vector.Object{i})
}

func (w *served) copy(args []string) (string, error) {
	text, err := os.ReadFile(filepath.Join(w.dir, args[0]))
	if err != nil {
		return "", err
	}
	to := filepath.Join(w.dir, args[1])
	if err := os.WriteFile(to+".tmp", text, 0o644); err != nil {
		return "", err
	}
	return "", os.Rename(to+".tmp", to)
}

func (w *served) corefile() string {
	keys := "example.com:PORT"
	if w.inside != "" {
		keys += " " + w.inside + ":PORT"
	}
	return keys + " {\n bind ADDR\n ready READY\n errors\n federation " + w.name + " {\n" + server.Members(filepath.Join(w.dir, "clusters"), w.members...) +
		"  " + strings.Join(w.options, "\n  ") + "\n }\n}\n"
}

// start starts the server, unless it is there.
func (w *served) start() {
	if w.s == nil {
		w.s = server.Start(w.t, w.corefile())
	}
}

func (w *served) leave(args []string) (string, error) {
	i := slices.Index(w.members, args[0])
	if i < 0 {
		return "", fmt.Errorf("there is no cluster %q", args[0])
	}
	w.members = slices.Delete(w.members, i, i+1)
	w.reload()
	return "", nil
}

func (w *served) join(args []string) (string, error) {
	w.members = append(w.members, args[0])
	w.reload()
	return "", nil
}

func (w *served) reload() {
	w.start()
	w.s.Write(w.t, w.corefile())
	w.s.Reload(w.t)
}

func (w *served) restart([]string) (string, error) {
	w.start()
	w.s.Restart(w.t)
	return "", nil
}

// ask asks one question over UDP.
func (w *served) ask(name string, qtype uint16, client netip.Addr) *dns.Msg {
	w.start()
	if !strings.HasSuffix(name, ".") {
		name += ".example.com."
	}
	m := new(dns.Msg).SetQuestion(name, qtype).SetEdns0(1232, false)
	if client.IsValid() {
		e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.IP(client.AsSlice())}
		if client.Is6() {
			e.Family, e.SourceNetmask = 2, 128
		}
		m.IsEdns0().Option = append(m.IsEdns0().Option, e)
	}
	return w.s.Exchange(w.t, "udp", m)
}

func (w *served) dig(args []string) (string, error) {
	args, o, err := fields(args, "client", "ttl")
	if err != nil {
		return "", err
	}
	qtype := dns.TypeA
	if len(args) > 1 {
		var ok bool
		if qtype, ok = dns.StringToType[args[1]]; !ok {
			return "", fmt.Errorf("there is no type %q", args[1])
		}
	}
	var client netip.Addr
	if c, ok := o["client"]; ok {
		if client, err = netip.ParseAddr(c); err != nil {
			return "", err
		}
	}
	if o["ttl"] != "" && o["ttl"] != "any" {
		return "", fmt.Errorf("TTLs are printed, or not (ttl=any); there is no ttl=%s", o["ttl"])
	}
	return told(w.ask(args[0], qtype, client), o["ttl"] == ""), nil
}

// told is an answer as stories have it: CNAMEs in their order, then the rest, sorted, and
// where there is nothing, why.
func told(m *dns.Msg, ttls bool) string {
	short := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "."), ".example.com") }
	var chain, rest []string
	for _, rr := range m.Answer {
		h, ttl := rr.Header(), "*"
		if ttls {
			ttl = fmt.Sprint(rr.Header().Ttl)
		}
		switch rr := rr.(type) {
		case *dns.CNAME:
			chain = append(chain, fmt.Sprintf("%s CNAME %s", ttl, short(rr.Target)))
		case *dns.A:
			rest = append(rest, fmt.Sprintf("%s %s", ttl, rr.A))
		case *dns.AAAA:
			rest = append(rest, fmt.Sprintf("%s %s", ttl, rr.AAAA))
		case *dns.SRV:
			rest = append(rest, fmt.Sprintf("%s SRV %d %s", ttl, rr.Port, short(rr.Target)))
		default:
			rest = append(rest, fmt.Sprintf("%s %s %s", ttl, dns.Type(h.Rrtype), strings.TrimPrefix(rr.String(), h.String())))
		}
	}
	slices.Sort(rest)
	lines := slices.Concat(chain, rest)
	soa := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	why := ""
	if o := m.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if e, ok := option.(*dns.EDNS0_EDE); ok {
				why = ": " + e.ExtraText
			}
		}
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
		lines = append(lines, "no such name"+why)
	case m.Rcode == dns.RcodeServerFailure:
		lines = append(lines, "not known yet"+why)
	case m.Rcode != dns.RcodeSuccess:
		lines = append(lines, dns.RcodeToString[m.Rcode])
	case soa && len(rest) == 0:
		lines = append(lines, "nothing"+why)
	}
	return strings.Join(lines, "\n") + "\n"
}

// serial remembers the SOA's, and compares it with the one before. One that is to be later is
// waited for: of what changes within a second, all but the first shows a second later.
func (w *served) serial(args []string) (string, error) {
	is := func(now uint32) bool { return true }
	if len(args) > 0 {
		if len(w.serials) == 0 {
			return "", errors.New("there is none to compare with")
		}
		last := w.serials[len(w.serials)-1]
		switch args[0] {
		case "same":
			is = func(now uint32) bool { return now == last }
		case "later": // RFC 1982: less than half of all numbers ahead
			is = func(now uint32) bool { return int32(now-last) > 0 }
			// It is the time of the change, or the second after that. When both are over, it stays.
			over := func(now uint32) bool { return is(now) && time.Now().Unix() > int64(now)+3 }
			end := time.Now().Add(limit)
			for now, err := w.soa(); err == nil && !over(now) && time.Now().Before(end); now, err = w.soa() {
				time.Sleep(10 * time.Millisecond) // between two looks
			}
		default:
			return "", fmt.Errorf("a serial is the same or later, not %q", args[0])
		}
	}
	now, err := w.soa()
	if err == nil && !is(now) {
		err = fmt.Errorf("%d isn't %s, after %d", now, args[0], w.serials)
	}
	w.serials = append(w.serials, now)
	return "", err
}

func (w *served) soa() (uint32, error) {
	m := w.ask("example.com.", dns.TypeSOA, netip.Addr{})
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, fmt.Errorf("no SOA record: %v", m)
}
