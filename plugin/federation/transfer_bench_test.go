package federation

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/vector"
)

// A sink takes messages as a connection does, and forgets them.
type sink struct {
	taker
	messages, bytes int
	first           time.Time // when the first one came
}

func (*sink) TsigTimersOnly(bool) {}
func (s *sink) Write(b []byte) (int, error) {
	if s.messages++; s.messages == 1 {
		s.first = time.Now()
	}
	s.bytes += len(b)
	return len(b), nil
}

func (s *sink) WriteMsg(m *dns.Msg) error {
	b, err := m.Pack()
	if err == nil {
		_, err = s.Write(b)
	}
	return err
}

// live is how much memory is in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkTransfer writes a whole zone of 80,000 shards: of 10,000 services in eight clusters. What the first transfer after a start takes, and
// the first message of it, is told beside; what is measured are those that follow.
func BenchmarkTransfer(b *testing.B) {
	const services = 10_000
	places := [][2]string{{"us", "us-a"}, {"us", "us-b"}, {"us", "us-c"}, {"eu", "eu-a"}, {"eu", "eu-b"}, {"as", "as-a"}, {"as", "as-b"}, {"af", "af-a"}}
	w := &world{t: b, dir: b.TempDir()}
	stanza := "federation fed {\ntransfer 127.0.0.1\n"
	for i, p := range places {
		objects := []vector.Object{vector.Node("n", p[0], p[1])}
		for s := range services {
			name := fmt.Sprint("svc", s)
			objects = append(objects, vector.Service("shop", name, fmt.Sprintf("10.%d.%d.%d", i, s/250, s%250)), vector.Slice("shop", name, s%10 != i, p[1]))
		}
		w.cluster(p[1], objects...)
		stanza += "cluster " + p[1] + " {\nmanifests DIR/" + p[1] + "\n}\n"
	}
	generated(b, w.dir+"/keys", anyKey(b, "example.com.", dnskey.ECDSAP256SHA256))
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprint("signed=", signed), func(b *testing.B) {
			with := stanza
			if signed {
				with += "dnssec DIR/keys\n"
			}
			f := w.serving(with + "}")
			for f.Current.Load().Federations[0].Size() < services {
				<-f.Current.Changed()
			}
			transfer := func() *sink {
				s := &sink{}
				if _, err := f.ServeDNS(b.Context(), s, new(dns.Msg).SetAxfr("example.com.")); err != nil {
					b.Fatal(err)
				}
				return s
			}
			heap := live()
			began := time.Now()
			first := transfer()
			took := time.Since(began)
			kept := live() - heap
			b.ReportAllocs()
			var s *sink
			for b.Loop() {
				s = transfer()
			}
			b.ReportMetric(float64(s.messages), "messages")
			b.ReportMetric(float64(s.bytes)/1e6, "MB")
			b.ReportMetric(took.Seconds(), "s/first")
			b.ReportMetric(first.first.Sub(began).Seconds(), "s/message")
			b.ReportMetric(float64(kept)/1e6, "MB/kept")
		})
	}
}
