// Package scenarios tells stories of clusters and what is answered meanwhile, with
// no cluster, no network and a clock that scenarios move: the tables and the engine
// that fedns answers with.
//
//	federation NAME [hold=5m] [silence=keep] [probe=tcp] [panic=50] [guard=50,10s,20]
//	cluster NAME REGION/ZONE...            a member that has been listed
//	shard NS/NAME CLUSTER ADDRESS ready=N  N ready endpoints in each zone; without ready: not in the cluster
//	silent CLUSTER, fresh CLUSTER          its API stops answering, has been listed again
//	probe ADDRESS pass|fail                what probing it has come to
//	order LINE                             a line of the overrides file; without a line: none
//	after DURATION                         the clock moves, and what is due is done
//	dig NAME [TYPE]                        prints what is answered
package scenarios

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

func TestScenarios(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   ".",
		Setup: func(e *testscript.Env) error { e.Values[key{}] = &world{}; return nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"federation": verb((*world).federation), "cluster": verb((*world).cluster), "shard": verb((*world).shard),
			"silent": verb((*world).silent), "fresh": verb((*world).fresh), "probe": verb((*world).probe),
			"order": verb((*world).order), "after": verb((*world).after), "dig": verb((*world).dig),
		},
	})
}

type key struct{}

// verb makes a command of a method; what it gives is printed.
func verb(f func(*world, []string) (string, error)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("a verb has no opposite")
		}
		out, err := f(ts.Value(key{}).(*world), args)
		if err != nil {
			ts.Fatalf("%v", err)
		}
		fmt.Fprint(ts.Stdout(), out)
	}
}

// A world is a federation on a clock.
type world struct {
	name     string
	policy   shard.Policy
	clusters []shard.Cluster
	zones    [][]string
	table    *shard.Table // made when the first shard comes
	fed      *snapshot.Federation
	now      time.Duration
	orders   []override.Order
}

func (w *world) federation(args []string) (string, error) {
	w.name, w.policy = args[0], shard.Policy{Hold: 5 * time.Minute}
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
	w.table, w.fed = shard.NewTable(w.clusters, w.policy), snapshot.NewFederation(w.name)
	for i := range w.clusters {
		for _, c := range []shard.Change{shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{}} {
			w.table.Apply(i, c)
		}
	}
	w.publish()
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
	addr, err := netip.ParseAddr(args[2])
	if err != nil {
		return "", err
	}
	ready := len(args) > 3 && args[3] != "ready=0"
	w.table.Apply(i, shard.ServiceSet{Service: &shard.Service{Key: k, Balancer: true, Addrs: []netip.Addr{addr}, Port: 80}})
	sl := &shard.Slice{Key: shard.SliceKey{Namespace: ns, Name: name + "-x"}, Service: name}
	for _, z := range w.zones[i] {
		sl.Endpoints = append(sl.Endpoints, shard.Endpoint{Zone: z, Ready: ready})
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

func (w *world) probe(args []string) (string, error) {
	addr, err := netip.ParseAddr(args[0])
	if err != nil {
		return "", err
	}
	state, ok := map[string]health.Probe{"pass": health.Passing, "fail": health.Failing}[args[1]]
	if !ok {
		return "", fmt.Errorf("a probe passes or fails, it doesn't %q", args[1])
	}
	w.table.Checked(shard.Check{Addr: netip.AddrPortFrom(addr, 80), Spec: w.policy.Probe}, state)
	w.publish()
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

func (w *world) dig(args []string) (string, error) {
	w.start()
	t := answer.TypeA
	if len(args) > 1 {
		t = map[string]answer.Type{"A": answer.TypeA, "AAAA": answer.TypeAAAA, "CNAME": answer.TypeCNAME}[args[1]]
	}
	var none *snapshot.Snapshot
	s := none.Next([]*snapshot.Federation{w.fed})
	a := answer.Resolve(s, []answer.Member{{TTL: 180, Degraded: 30}}, strings.Split(args[0], "."), t, w.now)
	var b strings.Builder
	for c := range a.Chain() {
		fmt.Fprintf(&b, "%d CNAME %s\n", a.TTL, a.Path.At(c))
	}
	addrs := slices.SortedFunc(a.Addrs(t == answer.TypeA, 0), netip.Addr.Compare)
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
