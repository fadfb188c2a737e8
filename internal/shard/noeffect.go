package shard

import (
	"fmt"
	"slices"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/snapshot"
)

// NoEffect says why an order about what is known of a federation can't change anything,
// whatever becomes of its shards; "": it may. usual is the policy of services that have
// none of their own.
func NoEffect(f *snapshot.Federation, usual snapshot.Policy, o override.Order) string {
	if o.Action != override.Failback {
		return ""
	}
	policy := func(s *snapshot.Service) snapshot.Policy {
		if s.Policy != nil {
			return *s.Policy
		}
		return usual
	}
	if o.Subject.Kind == override.Service {
		why := ""
		for _, k := range append(snapshot.Kinds[:], snapshot.Host) {
			s := f.Service(snapshot.Key{Namespace: o.Subject.Namespace, Name: o.Subject.Name, Kind: k})
			if s == nil {
				continue
			}
			switch p := policy(s); {
			case p.Choice != snapshot.Failover:
				why = fmt.Sprintf("its policy is %s; only failover has a region to go back to", p)
			case p.Failback == snapshot.Failback{}:
				why = fmt.Sprintf("its policy, %s, goes back by itself; only failback manual, and delayed, wait for anything", p)
			default:
				return ""
			}
		}
		return why
	}
	waits := func(p snapshot.Policy) bool {
		return p.Failback != snapshot.Failback{} && slices.Contains(p.Regions, o.Subject.Name)
	}
	if waits(usual) { // for services that come, too
		return ""
	}
	itself := "every policy failover that has the region " + o.Subject.Name + " goes back by itself; only failback manual, and delayed, wait for anything"
	why := "no service has the policy failover, which alone has a region to go back to"
	if slices.Contains(usual.Regions, o.Subject.Name) {
		why = itself
	}
	for s := range f.All() {
		switch p := policy(s); {
		case waits(p):
			return ""
		case slices.Contains(p.Regions, o.Subject.Name):
			why = itself
		case p.Choice == snapshot.Failover && why != itself:
			why = "no policy failover has the region " + o.Subject.Name
		}
	}
	return why
}
