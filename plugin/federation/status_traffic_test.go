package federation

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dns/packet"
)

// While somebody looks, answers are counted by what they are about, those of the fast path as those of the
// chain of plugins.
func TestStatusTraffic(t *testing.T) {
	s := shop(t).telling("federation fed {\n" + both + "}")
	fast := s.f.responder(t, "")
	ask := func(name string) {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		s.f.ask(t, m)
		query, err := m.Pack()
		if err != nil {
			t.Error(err)
			return
		}
		fast.Begin()
		fast.Respond(packet.New(query, netip.MustParseAddrPort("127.0.0.1:40000"), unheard))
		fast.End()
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			ask("web.shop.fed.svc.example.com.")
			ask("nothing.shop.fed.svc.example.com.")
		}
	}()
	var got report.Traffic
	code := s.get(t, &got, "traffic", "seconds", "0.1")
	close(stop)
	<-done
	want := []report.Answers{
		{Federation: "fed", Kind: "svc", Namespace: "shop", Name: "web", Scope: "global", Outcome: "success"},
		{Scope: "none", Outcome: "nxdomain"},
	}
	var rates []float64
	for i := range got.Answers {
		rates = append(rates, got.Answers[i].PerSecond)
		got.Answers[i].PerSecond = 0
	}
	if code != http.StatusOK || len(got.Answers) != 2 || !slices.Contains(got.Answers, want[0]) || !slices.Contains(got.Answers, want[1]) || got.Total != 2 || got.Seconds < 0.1 {
		t.Errorf("status %d, %+v, want %+v", code, got, want)
	}
	if len(rates) != 2 || rates[1] <= 0 || rates[0] < rates[1] || rates[0]+rates[1] != got.PerSecond {
		t.Errorf("%v a second, %v in all", rates, got.PerSecond)
	}
	if code := s.get(t, &got, "traffic", "seconds", "0.1", "federation", "fed", "namespace", "nobody"); code != http.StatusOK || len(got.Answers) != 0 {
		t.Errorf("status %d, %+v of a namespace that nobody asks for", code, got)
	}
	began := time.Now()
	s.End()
	if code := s.get(t, &got, "traffic", "seconds", "10"); code != http.StatusOK || time.Since(began) > 5*time.Second {
		t.Errorf("status %d after %v, once another configuration goes on", code, time.Since(began))
	}
}
