package shard

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/snapshot"
)

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

// A HostPattern says which hosts may be claimed: HOST is that one, .DOMAIN all below it, and
// *.DOMAIN these and the wildcard.
type HostPattern string

// ParseHost reads one.
func ParseHost(s string) (HostPattern, error) {
	h := strings.ToLower(strings.TrimSuffix(s, "."))
	bare := strings.TrimPrefix(strings.TrimPrefix(h, "*"), ".")
	_, err := dnsname.Parse(bare + ".")
	if err != nil || bare == "" || strings.HasPrefix(h, "*") && !strings.HasPrefix(h, "*.") || strings.Trim(bare, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", fmt.Errorf("%q is not a host such as shop.example.com, nor .example.com for all below it, nor *.example.com for the wildcard, too", s)
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

// exports says whether the cluster may have a name for an object.
func (c *Cluster) exports(k snapshot.Key) bool {
	return k.Kind == snapshot.Host || len(c.Exports) == 0 || slices.ContainsFunc(c.Exports, func(p ExportPattern) bool { return p.matches(k) })
}

// claims says whether the cluster may claim a host.
func (c *Cluster) claims(host string) bool {
	return len(c.Hosts) == 0 || slices.ContainsFunc(c.Hosts, func(p HostPattern) bool { return p.matches(host) })
}

// counts says whether what a member has under a name counts, and notices where it may not have it.
func (t *Table) counts(m *member, k snapshot.Key) bool {
	if m.exports(k) {
		return true
	}
	t.notice(m.Name, Ungranted, fmt.Sprintf("%s: cluster %q may not export it; left out", k, m.Name))
	return false
}

// ungranted are what members have of a name, and may not have.
func (t *Table) ungranted(k snapshot.Key) (out []string) {
	for i, m := range t.members {
		switch p := t.piece(i, k); {
		case k.Kind == snapshot.Host:
			for of, hosts := range m.barred {
				if slices.Contains(hosts, k.Name) {
					out = append(out, fmt.Sprintf("%s in cluster %s claims it, which that cluster may not (hosts)", of, m.Name))
				}
			}
		case p != nil && p.object != nil && !m.exports(k):
			out = append(out, fmt.Sprintf("cluster %s has it, and may not export it (exports)", m.Name))
		}
	}
	slices.Sort(out)
	return out
}
