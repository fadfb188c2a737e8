package status

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/report"
)

// peers answers /api/v1/peers: this server and those that a registry knows beside it.
func (s *Status) peers(ctx context.Context, _ url.Values) (any, error) {
	current := s.Block.Current.Load()
	out := report.Peers{Serial: current.Serial, Peers: []report.Peer{}}
	now := time.Now()
	for i, st := range s.Federations {
		all, _, ok := s.Pipe.Clusters(ctx, i)
		if !ok {
			return nil, errEnded
		}
		self := report.Peer{Federation: st.Name, Server: "this server", Self: true, Version: Versions()["fedns"], Live: true, Serial: current.Serial, Silent: []string{}, Differs: []string{}, Digest: fmt.Sprintf("%016x", current.Federations[i].Sum())}
		for _, c := range all {
			if c.Silent {
				self.Silent = append(self.Silent, string(c.Name))
			}
		}
		slices.Sort(self.Silent)
		list := []report.Peer{self}
		if st.Registry != nil {
			list[0].Server = st.Registry.ServerName()
			others, err := st.Registry.Peers(now)
			if err != "" {
				out.Errors = append(out.Errors, "federation "+st.Name+": "+err)
			}
			for _, p := range others {
				if p.Server != list[0].Server {
					list = append(list, p)
				}
			}
		}
		compare(list)
		out.Peers = append(out.Peers, list...)
	}
	return out, nil
}

// compare says of servers of a federation what they see otherwise than the first, and how far
// they are behind the newest.
func compare(list []report.Peer) {
	slices.SortFunc(list[1:], func(a, b report.Peer) int { return cmp.Compare(a.Server, b.Server) })
	newest := list[0].Serial
	for _, p := range list {
		if p.Live && p.Serial != 0 && int32(p.Serial-newest) > 0 {
			newest = p.Serial
		}
	}
	self := &list[0]
	for i := range list {
		p := &list[i]
		if p.Serial != 0 {
			p.LagSeconds = float64(newest - p.Serial)
		}
		if p.Differs == nil {
			p.Differs = []string{}
		}
		switch {
		case p.Self:
		case !p.Live:
			p.Differs = append(p.Differs, "it is gone, or can't say that it is there")
		case p.Serial == 0:
			p.Differs = append(p.Differs, "it doesn't say what it answers; is it of an older version?")
		default:
			if p.Digest != "" && self.Digest != "" && p.Digest != self.Digest {
				p.Differs = append(p.Differs, "it answers otherwise")
			}
			if more := without(p.Silent, self.Silent); len(more) > 0 {
				p.Differs = append(p.Differs, "it doesn't hear "+strings.Join(more, ", "))
			}
			if less := without(self.Silent, p.Silent); len(less) > 0 {
				p.Differs = append(p.Differs, "it hears "+strings.Join(less, ", "))
			}
		}
	}
}

// without are those of a list that aren't in another.
func without(list, others []string) (out []string) {
	for _, x := range list {
		if !slices.Contains(others, x) {
			out = append(out, x)
		}
	}
	return out
}
