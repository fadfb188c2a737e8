package scenarios

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/source/probe"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// A world is a federation on a clock.
type world struct {
	name     string
	policy   shard.Policy
	clusters []shard.Cluster
	zones    [][]string
	table    *table.Table // made when the first shard comes
	fed      *snapshot.Federation
	now      time.Duration
	orders   []override.Order
	answers  int
	results  map[netip.Addr]health.Streak
	draws    *rand.Rand // the same in each run
	turn     uint32
	forgot   map[string][]shard.Change // by cluster
}

func (w *world) verbs() map[string]verb {
	return map[string]verb{
		"federation": w.federation, "cluster": w.cluster, "shard": w.shard, "silent": w.silent, "fresh": w.fresh, "forgets": w.forgets, "remembers": w.remembers, "probe": w.probe,
		"order": w.order, "restart": w.restart, "after": w.after, "dig": w.dig, "shares": w.shares,
	}
}

func (w *world) federation(args []string) (string, error) {
	w.name, w.policy = args[0], shard.Policy{Hold: 5 * time.Minute}
	w.results, w.forgot, w.draws = map[netip.Addr]health.Streak{}, map[string][]shard.Change{}, rand.New(rand.NewPCG(1, 2))
	for _, a := range args[1:] {
		k, v, _ := strings.Cut(a, "=")
		var err error
		switch k {
		case "hold":
			w.policy.Hold, err = time.ParseDuration(v)
		case "silence":
			w.policy.Keep = v == "keep"
		case "probe":
			w.policy.Probe = v
		case "policy":
			w.policy.Choice, err = snapshot.ParsePolicy(strings.Fields(v))
		case "answers":
			w.answers, err = strconv.Atoi(v)
		case "panic":
			w.policy.Panic, err = strconv.Atoi(v)
		case "guard":
			p := strings.Split(v, ",")
			w.policy.Guard.Percent, err = strconv.Atoi(p[0])
			if err == nil {
				w.policy.Guard.Time, err = time.ParseDuration(p[1])
			}
			if err == nil {
				w.policy.Guard.Min, err = strconv.Atoi(p[2])
			}
		default:
			err = fmt.Errorf("federation: unknown %q", a)
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func (w *world) cluster(args []string) (string, error) {
	c := shard.Cluster{Name: topology.ClusterName(args[0])}
	for _, p := range args[1:] {
		region, zone, _ := strings.Cut(p, "/")
		c.Region = region
		c.Zones = append(c.Zones, zone)
	}
	w.clusters, w.zones = append(w.clusters, c), append(w.zones, c.Zones)
	return "", nil
}

func (w *world) start() {
	if w.table != nil {
		return
	}
	w.table, w.fed = table.New(w.clusters, w.policy), snapshot.NewFederation(w.name)
	for i := range w.clusters {
		for _, c := range []shard.Change{shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{}} {
			w.table.Apply(i, c)
		}
	}
	w.publish()
}

// restart goes on as a process does that finds on disk what this one kept there.
func (w *world) restart([]string) (string, error) {
	w.start()
	old := w.table
	w.table, w.fed = table.New(w.clusters, w.policy), snapshot.NewFederation(w.name)
	w.table.RestoreFailovers(old.Failovers())
	for i := range w.clusters {
		for _, c := range old.Export(i) {
			w.table.Apply(i, c)
		}
	}
	w.table.Override(w.orders)
	w.publish()
	return "", nil
}

// publish shows what there is to show.
func (w *world) publish() {
	if w.table.Dirty() {
		w.fed, _ = w.table.Publish(w.fed, w.now)
	}
}

func (w *world) index(cluster string) (int, error) {
	w.start()
	i := slices.IndexFunc(w.clusters, func(c shard.Cluster) bool { return string(c.Name) == cluster })
	if i < 0 {
		return 0, fmt.Errorf("there is no cluster %q", cluster)
	}
	return i, nil
}

func (w *world) shard(args []string) (string, error) {
	args, o, err := fields(args, "ready", "zones", "ttl", "policy", "weight", "created")
	if err != nil {
		return "", err
	}
	i, err := w.index(args[1])
	if err != nil {
		return "", err
	}
	ns, name, _ := strings.Cut(args[0], "/")
	k := snapshot.Key{Namespace: ns, Name: name}
	if len(args) == 2 {
		w.table.Apply(i, shard.ServiceGone{Key: k})
		w.publish()
		return "", nil
	}
	s := (&shard.Service{Key: k, Balancer: true, Port: 80, Weight: 1}).Extend(shard.Extras{Policy: o["policy"]})
	for _, a := range args[2:] {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return "", err
		}
		s.Addrs = append(s.Addrs, addr)
	}
	for option, set := range map[string]func(uint64){
		"ttl": func(n uint64) { s.TTL = uint32(n) }, "weight": func(n uint64) { s.Weight = uint16(n) }, "created": func(n uint64) { s.Created = int64(n) },
	} {
		if v, ok := o[option]; ok {
			n, err := strconv.ParseUint(v, 10, 16)
			if err != nil {
				return "", err
			}
			set(n)
		}
	}
	w.table.Apply(i, shard.ServiceSet{Service: s})
	sl := &shard.Slice{Key: shard.SliceKey{Namespace: ns, Name: name + "-x"}, Service: name}
	zones := w.zones[i]
	if list, ok := o["zones"]; ok {
		zones = strings.Split(list, ",")
	}
	for _, z := range zones {
		sl.Endpoints = append(sl.Endpoints, shard.Endpoint{Zone: z, Ready: o["ready"] != "" && o["ready"] != "0"})
	}
	w.table.Apply(i, shard.SliceSet{Slice: sl})
	w.publish()
	return "", nil
}

func (w *world) silent(args []string) (string, error) {
	i, err := w.index(args[0])
	if err != nil {
		return "", err
	}
	w.table.Silence(i, w.now)
	w.publish()
	return "", nil
}

func (w *world) fresh(args []string) (string, error) {
	i, err := w.index(args[0])
	if err != nil {
		return "", err
	}
	w.table.Refresh(i, w.now)
	w.publish()
	return "", nil
}

// forgets has a cluster list nothing any more, as an API server over an empty etcd does.
func (w *world) forgets(args []string) (string, error) {
	i, err := w.index(args[0])
	if err != nil {
		return "", err
	}
	w.forgot[args[0]] = w.table.Export(i)
	w.table.Apply(i, shard.ServiceList{Kind: snapshot.Svc})
	w.table.Apply(i, shard.SliceList{})
	w.publish()
	return "", nil
}

// remembers has it list again what it had.
func (w *world) remembers(args []string) (string, error) {
	i, err := w.index(args[0])
	if err != nil {
		return "", err
	}
	for _, c := range w.forgot[args[0]] {
		w.table.Apply(i, c)
	}
	w.publish()
	return "", nil
}

func (w *world) probe(args []string) (string, error) {
	addr, err := netip.ParseAddr(args[0])
	if err != nil {
		return "", err
	}
	times := 1
	if len(args) > 2 {
		if times, err = strconv.Atoi(args[2]); err != nil {
			return "", err
		}
	}
	pass, ok := map[string]bool{"pass": true, "fail": false}[args[1]]
	if !ok {
		return "", fmt.Errorf("a probe passes or fails, it doesn't %q", args[1])
	}
	spec, err := probe.Parse(strings.Fields(w.policy.Probe))
	if err != nil {
		return "", err
	}
	w.start()
	for range times {
		w.results[addr] = w.results[addr].Next(pass, spec.Damping)
		for _, c := range w.table.Checks() {
			if c.Addr.Addr() == addr {
				w.table.Checked(c, w.results[addr].State())
			}
		}
		w.publish()
	}
	return "", nil
}

func (w *world) order(args []string) (string, error) {
	w.start()
	w.orders = nil
	if len(args) > 0 {
		line := strings.Join(args[:len(args)-1], " ") + " " + strconv.Quote(args[len(args)-1])
		orders, err := override.Parse(line)
		if err != nil {
			return "", err
		}
		w.orders = orders
	}
	w.table.Override(w.orders)
	w.publish()
	return "", nil
}

func (w *world) after(args []string) (string, error) {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return "", err
	}
	// In steps, as the server's timers have it: what is due is done when it is due.
	w.start()
	for end := w.now + d; w.now < end; {
		w.now = end
		if at, ok := w.table.Deadline(); ok {
			w.now = min(at, end)
		}
		w.table.Advance(w.now)
		w.publish()
	}
	return "", nil
}

// ask is the answer to a question, as chosen for one who asks, and its addresses.
func (w *world) ask(name string, t answer.Type) (answer.Answer, []netip.Addr) {
	w.start()
	w.turn++
	var none *snapshot.Snapshot
	s := none.Next([]*snapshot.Federation{w.fed})
	m := answer.Member{TTL: 180, Degraded: 30, Policy: w.policy.Choice, Answers: w.answers}
	a := answer.Resolve(s, []answer.Member{m}, strings.Split(name, "."), t, w.now)
	if a.Outcome == answer.Found {
		a.Choose(&answer.Client{Draw: w.draws.Uint64()})
	}
	return a, slices.SortedFunc(a.Addrs(t == answer.TypeA, w.turn), netip.Addr.Compare)
}

func (w *world) dig(args []string) (string, error) {
	t := answer.TypeA
	if len(args) > 1 {
		var ok bool
		if t, ok = map[string]answer.Type{"A": answer.TypeA, "AAAA": answer.TypeAAAA, "CNAME": answer.TypeCNAME}[args[1]]; !ok {
			return "", fmt.Errorf("there is no type %q in these stories", args[1])
		}
	}
	a, addrs := w.ask(args[0], t)
	var b strings.Builder
	for c := range a.Chain() {
		fmt.Fprintf(&b, "%d CNAME %s\n", a.TTL, a.Path.At(c))
	}
	for _, addr := range addrs {
		fmt.Fprintf(&b, "%d %s\n", a.TTL, addr)
	}
	switch a.Outcome {
	case answer.NoData:
		fmt.Fprintf(&b, "nothing: %s\n", a.Why)
	case answer.NameError:
		fmt.Fprintf(&b, "no such name: %s\n", a.Why)
	case answer.NotReady:
		fmt.Fprintf(&b, "not known yet\n")
	}
	if a.Stale {
		fmt.Fprintln(&b, "stale")
	}
	if a.Service != nil && a.Service.Note != "" {
		fmt.Fprintln(&b, a.Service.Note)
	}
	return b.String(), nil
}

// shares counts in how many of many answers an address is, to the nearest 5 in 100.
func (w *world) shares(args []string) (string, error) {
	const asked, step = 20_000, 1000
	in, sizes := map[netip.Addr]int{}, map[int]bool{}
	for range asked {
		_, addrs := w.ask(args[0], answer.TypeA)
		sizes[len(addrs)] = true
		for _, a := range addrs {
			in[a]++
		}
	}
	if len(sizes) != 1 {
		return "", fmt.Errorf("answers have different numbers of addresses: %v", sizes)
	}
	var b strings.Builder
	for n := range sizes {
		fmt.Fprintf(&b, "%d in each answer\n", n)
	}
	for _, a := range slices.SortedFunc(maps.Keys(in), netip.Addr.Compare) {
		fmt.Fprintf(&b, "%d%% %s\n", (in[a]+step/2)/step*step*100/asked, a)
	}
	return b.String(), nil
}
