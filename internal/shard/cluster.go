package shard

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Cluster is what the configuration says of a member.
type Cluster struct {
	Name      topology.ClusterName
	Region    string          // "": what its nodes say
	Zones     []string        // none: what its nodes and endpoints say
	Addresses []netip.Prefix  // none: it may announce any address
	Exports   []ExportPattern // none: it may export any name
	Hosts     []HostPattern   // none: it may claim any host, and no wildcard
	Places    []PlacePattern  // none: its nodes and endpoints may be in any region and zone
}

// Equal says whether two say the same.
func (c *Cluster) Equal(o *Cluster) bool {
	return c.Name == o.Name && c.Region == o.Region && slices.Equal(c.Zones, o.Zones) && slices.Equal(c.Addresses, o.Addresses) &&
		slices.Equal(c.Exports, o.Exports) && slices.Equal(c.Hosts, o.Hosts) && slices.Equal(c.Places, o.Places)
}

// ParseRange reads a range of addresses: a network in CIDR notation, or one address.
func ParseRange(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// MayAnnounce says whether the cluster may announce an address.
func (c *Cluster) MayAnnounce(a netip.Addr) bool {
	return len(c.Addresses) == 0 || slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// What a member may export and claim is said by the federation, by name. What goes beyond it
// is as if it weren't there, and is noticed.

// An ExportPattern says which objects may have names: NAMESPACE/NAME, in both of which * stands for
// any characters.
type ExportPattern string

// ParseExport reads one; NAMESPACE alone is all of it.
func ParseExport(s string) (ExportPattern, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		name = "*"
	}
	for _, part := range []string{namespace, name} {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-.*") != "" {
			return "", fmt.Errorf("%q is not a namespace, or NAMESPACE/NAME, such as shop/* or shop/web", s)
		}
	}
	return ExportPattern(namespace + "/" + name), nil
}

func (p ExportPattern) matches(k snapshot.Key) bool {
	ok, err := path.Match(string(p), k.Namespace+"/"+k.Name)
	return ok && err == nil
}

// A HostPattern says which hosts may be claimed: HOST is that one, .DOMAIN all below it,
// *.DOMAIN these and the wildcard, and * all with all wildcards.
type HostPattern string

// ParseHost reads one.
func ParseHost(s string) (HostPattern, error) {
	if s == "*" {
		return "*", nil
	}
	h := strings.ToLower(strings.TrimSuffix(s, "."))
	bare := strings.TrimPrefix(strings.TrimPrefix(h, "*"), ".")
	_, err := dnsname.Parse(bare + ".")
	if err != nil || bare == "" || strings.HasPrefix(h, "*") && !strings.HasPrefix(h, "*.") || strings.Trim(bare, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", fmt.Errorf("%q is not a host such as shop.example.com, nor .example.com for all below it, nor *.example.com for the wildcard, too, nor *", s)
	}
	return HostPattern(h), nil
}

func (p HostPattern) matches(host string) bool {
	s := string(p)
	if domain, wild := strings.CutPrefix(s, "*"); wild {
		return strings.HasSuffix(host, domain)
	}
	if strings.HasPrefix(s, ".") {
		return strings.HasSuffix(host, s) && !strings.HasPrefix(host, "*")
	}
	return host == s
}

// MayExport says whether the cluster may have a name for an object.
func (c *Cluster) MayExport(k snapshot.Key) bool {
	return k.Kind == snapshot.Host || len(c.Exports) == 0 || slices.ContainsFunc(c.Exports, func(p ExportPattern) bool { return p.matches(k) })
}

// MayClaim says whether the cluster may claim a host. A wildcard takes names that nobody has thought of: it has to be
// said.
func (c *Cluster) MayClaim(host string) bool {
	return len(c.Hosts) == 0 && !strings.HasPrefix(host, "*") || slices.ContainsFunc(c.Hosts, func(p HostPattern) bool { return p.matches(host) })
}

// A PlacePattern says where a cluster may be: REGION/ZONE, in both of which * stands for any characters.
type PlacePattern string

// ParsePlace reads one; REGION alone is all of it.
func ParsePlace(s string) (PlacePattern, error) {
	region, zone, ok := strings.Cut(s, "/")
	if !ok {
		zone = "*"
	}
	for _, part := range []string{region, zone} {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-*") != "" {
			return "", fmt.Errorf("%q is not a region, or REGION/ZONE, such as eu-west1 or eu-west1/eu-west1-*", s)
		}
	}
	return PlacePattern(region + "/" + zone), nil
}

// matches says whether a place is one of them; without a zone, whether one in its region may be.
func (p PlacePattern) matches(at topology.Place) bool {
	region, zone, _ := strings.Cut(string(p), "/")
	in, err := path.Match(region, at.Region)
	if !in || err != nil {
		return false
	}
	ok, err := path.Match(zone, at.Zone)
	return at.Zone == "" || ok && err == nil
}

// MayStand says whether what the cluster has may be in a place.
func (c *Cluster) MayStand(at topology.Place) bool {
	return len(c.Places) == 0 || at.Region == "" || slices.ContainsFunc(c.Places, func(p PlacePattern) bool { return p.matches(at) })
}
