package table_test

import (
	"testing"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

// What is remembered of a cluster outlives its shards being up, and an order.
func TestLifetimes(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "eu"}, shard.Cluster{Name: "us"}, shard.Cluster{Name: "ap"})
	with := func(name string, ttl uint32) shard.Change {
		s := service(snapshot.Key{Namespace: "shop", Name: name}, "192.0.2.1")
		s.TTL = ttl
		return shard.ServiceSet{Service: s}
	}
	b.apply(0, with("plain", 0), with("long", 600), with("disputed", 60))
	b.apply(1, with("disputed", 300))
	for _, orders := range [][]override.Order{nil, {{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: "eu"}}}} {
		b.table.Override(orders)
		want := []table.Lifetime{{Own: 600, Default: true}, {Own: 300, Default: true}, {}}
		for i, got := range b.publish().table.Lifetimes() {
			if got != want[i] {
				t.Errorf("cluster %d: %+v, want %+v", i, got, want[i])
			}
		}
	}
}

func TestOrderOn(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "eu"}, shard.Cluster{Name: "us"})
	text := `up cluster/eu reason "a"
drain cluster/eu reason "b"
down region/us reason "c"
up service/shop/web reason "d"`
	orders, err := override.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b.table.Override(orders)
	if o, ok := b.table.OrderOn(0); !ok || o.Reason != "b" {
		t.Errorf("eu: %v %t", o, ok)
	}
	if o, ok := b.table.OrderOn(1); ok {
		t.Errorf("us: %v", o)
	}
}
