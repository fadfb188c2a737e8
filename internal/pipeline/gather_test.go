package pipeline

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

func change(name, cluster string, to health.State, why health.Reason) table.Transition {
	return table.Transition{Key: snapshot.Key{Namespace: "shop", Name: name}, Cluster: topology.ClusterName(cluster), To: health.Verdict{State: to, Why: why}}
}

// A change is said at once; those of its kind that follow are gathered with their
// names, and said together: the longer they go on, the rarer.
func TestGather(t *testing.T) {
	var crowd []table.Transition
	for i := range 12 {
		crowd = append(crowd, change(fmt.Sprint("s", i%11), "c", health.Up, health.Ready))
	}
	up := func(name string) table.Transition { return change(name, "c", health.Up, health.Ready) }
	g := newGatherer(nil)
	for _, s := range []struct {
		name string
		at   time.Duration
		add  []table.Transition
		want string // what is said, without level and time
		due  time.Duration
	}{
		{"the first", 0, []table.Transition{up("a")}, "shard shop/a in c: up (ready)\n", time.Second},
		{"others of its kind", 300 * time.Millisecond, []table.Transition{up("b")}, "", time.Second},
		{"another kind", 400 * time.Millisecond, []table.Transition{change("a", "c", health.Down, health.NoEndpoint), change("a", "d", health.Up, health.Ready)},
			"shard shop/a in c: down (no ready endpoint)\nshard shop/a in d: up (ready)\n", time.Second},
		{"the same again", 500 * time.Millisecond, []table.Transition{up("d"), up("b")}, "", time.Second},
		{"a second is over", time.Second, nil, "2 shards in c: up (ready): shop/b, shop/d changes=3\n", 1400 * time.Millisecond},
		{"they go on", 1300 * time.Millisecond, crowd, "", 1400 * time.Millisecond},
		{"for two seconds", 3 * time.Second, nil, "11 shards in c: up (ready): shop/s0, shop/s1, shop/s2, shop/s3, shop/s4, shop/s5, shop/s6, shop/s7, shop/s8, shop/s9 and 1 more changes=12\n", 7 * time.Second},
		{"one more", 4 * time.Second, []table.Transition{up("a")}, "", 7 * time.Second},
		{"after four", 7 * time.Second, nil, "shard shop/a in c: up (ready)\n", 15 * time.Second},
		{"a quiet moment", 15 * time.Second, nil, "", 0},
		{"several at once", 16 * time.Second, []table.Transition{up("a"), up("b")}, "2 shards in c: up (ready): shop/a, shop/b\n", 17 * time.Second},
	} {
		var b strings.Builder
		g.log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
		if g.add(s.add, s.at); len(s.add) == 0 {
			g.flush(s.at)
		}
		got := strings.NewReplacer("msg=", "", `"`, "").Replace(b.String())
		if due, _ := g.due(); got != s.want || due != s.due {
			t.Errorf("%s: says\n%swant\n%sdue at %v, want %v", s.name, got, s.want, due, s.due)
		}
	}
}

// Churn makes a few lines, and the last of it is said when the server ends.
func TestChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l, end := trio(t, Federation{}, true)
		a := s[0]
		before := strings.Count(l.String(), "\n")
		for i := range 2000 { // new Services, each pending first, then up, then gone
			k := snapshot.Key{Namespace: "shop", Name: fmt.Sprint("new", i)}
			o := &shard.Service{Key: k, Balancer: true}
			sl := &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: k.Name + "-x"}, Service: k.Name, Endpoints: []shard.Endpoint{{Ready: true}}}
			a.say <- []shard.Change{shard.ServiceSet{Service: o}, shard.SliceSet{Slice: sl}}
			time.Sleep(minGap)
			there := &shard.Service{Key: k, Balancer: true, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}
			a.say <- []shard.Change{shard.ServiceSet{Service: there}}
			time.Sleep(minGap)
			a.say <- []shard.Change{shard.ServiceGone{Key: k}, shard.SliceGone{Key: sl.Key}}
			time.Sleep(minGap)
		}
		end()
		text := l.String()
		if n := strings.Count(text, "\n") - before; n > 60 {
			t.Errorf("%d lines in two minutes of churn:\n%s", n, text)
		}
		if strings.Contains(text, "pending") || !strings.Contains(text, "shop/new0 in a: up (ready)") {
			t.Errorf("the log says\n%s", text[:min(len(text), 2000)])
		}
		if last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]; !strings.Contains(last, "more") {
			t.Errorf("the last line is %s", last)
		}
	})
}
