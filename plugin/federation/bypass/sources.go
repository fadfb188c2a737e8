package bypass

import (
	"net"
	"net/netip"
	"slices"
)

// sources are addresses that questions come from: ranges that don't touch, in their
// order, IPv4 first.
type sources []ipRange

// An ipRange is a range of addresses of one family, both ends included.
type ipRange struct{ from, to netip.Addr }

// sourcesOf are the addresses of some networks.
func sourcesOf(networks []*net.IPNet) sources {
	all := make(sources, 0, len(networks))
	for _, n := range networks {
		from, _ := netip.AddrFromSlice(n.IP) // of the length of its mask
		last := slices.Clone(n.IP)
		for i := range last {
			last[i] |= ^n.Mask[i]
		}
		to, _ := netip.AddrFromSlice(last)
		all = append(all, ipRange{from, to})
	}
	return all.joined()
}

// joined makes sources of ranges in any order, which may touch.
func (s sources) joined() sources {
	slices.SortFunc(s, func(a, b ipRange) int { return a.from.Compare(b.from) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && out[n-1].reaches(r.from) {
			if out[n-1].to.Less(r.to) {
				out[n-1].to = r.to
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// reaches says whether an address, which isn't before the range, is in it or comes
// right behind it.
func (s ipRange) reaches(a netip.Addr) bool {
	return a.BitLen() == s.to.BitLen() && (!s.to.Less(a) || s.to.Next() == a)
}

// everywhere says whether there is no address that isn't among them.
func (s sources) everywhere() bool {
	return len(s) == 2 && s[0].whole() && s[1].whole()
}

func (s ipRange) whole() bool { return s.from.IsUnspecified() && !s.to.Next().IsValid() }

// contains finds an address, without a zone, among them.
func (s sources) contains(a netip.Addr) bool {
	low, high := 0, len(s)
	for low < high {
		mid := int(uint(low+high) >> 1)
		switch {
		case a.Less(s[mid].from):
			high = mid
		case s[mid].to.Less(a):
			low = mid + 1
		default:
			return true
		}
	}
	return false
}
