package federation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

// A secondary takes so many messages of a transfer, and is gone then.
type secondary struct {
	dns.ResponseWriter
	takes int
	got   []*dns.Msg
}

func (s *secondary) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
}
func (s *secondary) LocalAddr() net.Addr { return s.RemoteAddr() }
func (s *secondary) WriteMsg(m *dns.Msg) error {
	if len(s.got) == s.takes {
		return errors.New("broken pipe")
	}
	s.got = append(s.got, m)
	return nil
}

// When a client of a transfer goes away nothing more is written for it, and no more than so
// many run at a time: whose turn comes later is told to ask again.
func TestOutgoing(t *testing.T) {
	const services = 3000 // five records each, or more
	w := &world{t: t, dir: t.TempDir()}
	objects := []vector.Object{vector.Node("n", "eu", "eu-a")}
	for i := range services {
		name := fmt.Sprint("web", i)
		objects = append(objects, vector.Service("shop", name, "192.0.2.1"), vector.Slice("shop", name, true, "eu-a"))
	}
	w.cluster("a", objects...)
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\n}")
	var written int // records, of the last transfer
	// As the plugin transfer does it: it reads on to the end when its client has gone.
	reading := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		written = 0
		ch, err := f.Transfer(r.Question[0].Name, 0)
		if errors.Is(err, transfer.ErrNotAuthoritative) {
			return dns.RcodeNotAuth, nil
		}
		var gone error
		for rrs := range ch {
			written += len(rrs)
			if gone == nil {
				gone = w.WriteMsg(&dns.Msg{Answer: rrs})
			}
		}
		return dns.RcodeSuccess, gone
	})
	ask := new(dns.Msg).SetAxfr("example.com.")
	serve := func(next plugin.Handler, r *dns.Msg, takes int) *secondary {
		s := &secondary{takes: takes}
		_, _ = (&edge{next, f}).ServeDNS(t.Context(), s, r)
		return s
	}
	serve(reading, ask, 1e9)
	all := written
	if all < 5*services {
		t.Fatalf("%d records", all)
	}
	if serve(reading, ask, 3); written > 3*zone.Batch+zone.Batch {
		t.Errorf("%d of %d records were made for somebody who has gone", written, all)
	}
	if serve(reading, new(dns.Msg).SetAxfr("example.org."), 1); written != 0 {
		t.Errorf("%d records of somebody else's zone", written)
	}
	if serve(reading, ask, 1e9); written != all {
		t.Errorf("the next: %d of %d records", written, all)
	}

	// Some hang, each with its turn done.
	release, hang := make(chan struct{}), sync.WaitGroup{}
	stuck := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		ch, err := f.Transfer(r.Question[0].Name, 0)
		if err != nil {
			return dns.RcodeServerFailure, err
		}
		<-release
		for range ch {
		}
		return dns.RcodeSuccess, nil
	})
	for range transfersAtOnce {
		hang.Go(func() { serve(stuck, ask, 1e9) })
	}
	for len(outgoing) < transfersAtOnce {
		time.Sleep(time.Millisecond)
	}
	s := serve(reading, ask, 1e9)
	if len(s.got) != 1 || s.got[0].Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many: %v", s.got)
	}
	close(release)
	hang.Wait()
	if serve(reading, ask, 1e9); written != all || len(outgoing) != 0 {
		t.Errorf("afterwards: %d of %d records, %d run", written, all, len(outgoing))
	}
}
