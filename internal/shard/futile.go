package shard

import (
	"fmt"
	"iter"
	"slices"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/snapshot"
)

// Futile says why an order about what is known of a federation can't change anything,
// whatever becomes of its shards; "": it may. usual is the policy of services that have
// none of their own.
func Futile(f *snapshot.Federation, usual snapshot.Policy, o override.Order) string {
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
			p := policy(s)
			if p.Choice == snapshot.Failover {
				return ""
			}
			why = fmt.Sprintf("its policy is %s; only failover has a region to go back to", p)
		}
		return why
	}
	if slices.Contains(usual.Regions, o.Subject.Name) { // for services that come, too
		return ""
	}
	why := "no service has the policy failover, which alone has a region to go back to"
	for _, all := range []iter.Seq[*snapshot.Service]{f.Services(), f.Hosts()} {
		for s := range all {
			p := policy(s)
			if slices.Contains(p.Regions, o.Subject.Name) {
				return ""
			}
			if p.Choice == snapshot.Failover {
				why = "no policy failover has the region " + o.Subject.Name
			}
		}
	}
	return why
}
