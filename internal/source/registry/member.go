// Package registry knows which clusters are members of a federation, as the Cluster
// objects in the federation's API say.
//
// What it is told it believes field by field: what is wrong keeps what was right
// before. Its own silence says nothing: while the API can't be reached, or has lost
// its memory, the members stay. What it has made of orders, and how the members stand, it writes
// there, where it may.
package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// A Member is a cluster as its Cluster object has it.
type Member struct {
	shard.Cluster
	Location *geo.Point // nil: as its region is known
	// Kubeconfig leads to the cluster; it is nil for as long as there was no good one.
	Kubeconfig []byte
	drain      *override.Order
}

// Equal says whether two are alike but for what leads to them.
func (m *Member) Equal(o *Member) bool {
	return m.Cluster.Equal(&o.Cluster) && (m.Location == nil) == (o.Location == nil) && (m.Location == nil || *m.Location == *o.Location)
}

// What a problem can be about beside the spec.
const (
	fieldName       = "metadata.name"
	fieldSecret     = "secret"     // which the spec names
	fieldKubeconfig = "kubeconfig" // of that
)

// A field of a spec that can be wrong: how to read it into a Member, and how to have
// it stay as it was.
type field struct {
	name string
	read func(*v1alpha1.ClusterSpec, *Member) error
	keep func(into, from *v1alpha1.ClusterSpec)
}

var fields = []field{
	{"spec.region",
		func(s *v1alpha1.ClusterSpec, m *Member) (err error) {
			if s.Region != "" {
				m.Region, err = topology.Label(s.Region)
			}
			return err
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Region = from.Region },
	},
	{"spec.zones",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			region, _ := topology.Label(s.Region) // what is wrong with it is said of it
			for _, z := range s.Zones {
				l, err := topology.Label(z)
				if err != nil {
					return err
				}
				if l == region {
					return fmt.Errorf("%q is its region, too; a name can't be both", z)
				}
				if !slices.Contains(m.Zones, l) {
					m.Zones = append(m.Zones, l)
				}
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Zones = from.Zones },
	},
	{"spec.location",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			if s.Location == "" {
				return nil
			}
			words := strings.Fields(strings.ReplaceAll(s.Location, ",", " "))
			if len(words) != 2 {
				return fmt.Errorf("%q is not a latitude and a longitude in degrees, such as 60.17 24.94", s.Location)
			}
			p, err := geo.ParsePoint(words[0], words[1])
			m.Location = &p
			return err
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Location = from.Location },
	},
	{"spec.addresses",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			for _, a := range s.Addresses {
				p, err := shard.ParseRange(a)
				if err != nil {
					return fmt.Errorf("%q is not a range of addresses, such as 203.0.113.0/24", a)
				}
				m.Addresses = append(m.Addresses, p)
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Addresses = bounds(from, from.Addresses, "127.0.0.1") },
	},
	{"spec.exports",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			for _, e := range s.Exports {
				p, err := shard.ParseExport(e)
				if err != nil {
					return err
				}
				m.Exports = append(m.Exports, p)
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Exports = bounds(from, from.Exports, "-") },
	},
	{"spec.hosts",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			for _, h := range s.Hosts {
				p, err := shard.ParseHost(h)
				if err != nil {
					return err
				}
				m.Hosts = append(m.Hosts, p)
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Hosts = bounds(from, from.Hosts, "invalid") },
	},
	{"spec.places",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			for _, at := range s.Places {
				p, err := shard.ParsePlace(at)
				if err != nil {
					return err
				}
				m.Places = append(m.Places, p)
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Places = bounds(from, from.Places, "-") },
	},
	{"spec.secretRef",
		func(s *v1alpha1.ClusterSpec, _ *Member) error {
			if s.SecretRef == nil && s.Pull {
				return nil // nobody is to read it from here
			}
			if s.SecretRef == nil || s.SecretRef.Name == "" {
				return fmt.Errorf("names no Secret; it needs one in %s whose key %q leads to the cluster", v1alpha1.System, v1alpha1.KubeconfigKey)
			}
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.SecretRef = from.SecretRef },
	},
	{"spec.drain",
		func(s *v1alpha1.ClusterSpec, m *Member) error {
			m.drain = drain(string(m.Name), s.Drain)
			return nil
		},
		func(into, from *v1alpha1.ClusterSpec) { into.Drain = from.Drain },
	},
}

// bounds are those of before. Of a member that is new, what can't be read is no leave for all:
// it has that which nothing is within.
func bounds(from *v1alpha1.ClusterSpec, before []string, none string) []string {
	if from.SecretRef == nil {
		return []string{none}
	}
	return before
}

// drainMark stands in the reason of a cluster's drain, for who finds it elsewhere.
func drainMark(name string) string { return "spec.drain of Cluster " + name }

// drain is the order that says so.
func drain(name string, d *v1alpha1.Drain) *override.Order {
	if d == nil {
		return nil
	}
	o := &override.Order{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: name}, Reason: drainMark(name)}
	if d.Until != nil {
		o.Until = d.Until.UTC()
	}
	if d.Reason != "" {
		o.Reason = d.Reason + " (" + o.Reason + ")"
	}
	return o
}

// take gives what is believed of a new spec, after an old one: what is wrong in it
// stays as it was. wrong says why, by field.
func take(old v1alpha1.ClusterSpec, w word) (good v1alpha1.ClusterSpec, wrong map[string]string) {
	good = w.spec
	good.Taints = nil // not about answers
	wrong = map[string]string{}
	for _, f := range fields {
		why := w.wrong[f.name]
		if why == "" {
			if err := f.read(&good, &Member{}); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			wrong[f.name] = why
			f.keep(&good, &old)
		}
	}
	return good, wrong
}

// member puts a spec to use that take gave.
func member(name string, spec *v1alpha1.ClusterSpec) Member {
	m := Member{Cluster: shard.Cluster{Name: topology.ClusterName(name)}}
	for _, f := range fields {
		// The one that can be wrong after take is that no Secret is named.
		_ = f.read(spec, &m)
	}
	return m
}

// text tells two specs apart.
func text(spec *v1alpha1.ClusterSpec) string {
	b, err := json.Marshal(spec)
	if err != nil {
		panic("registry: a spec can't be written as JSON: " + err.Error())
	}
	return string(b)
}
