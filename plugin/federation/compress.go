package federation

import (
	"crypto/tls"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// compressed is a writer by which names are compressed. It stands behind CoreDNS's own,
// which takes compression away from what fits without.
func compressed(w dns.ResponseWriter, r *dns.Msg) dns.ResponseWriter {
	if s, ok := w.(*request.ScrubWriter); ok {
		return request.NewScrubWriter(r, compressWriter{s.ResponseWriter})
	}
	return compressWriter{w}
}

// A compressWriter has names compressed in whatever is written. CoreDNS and its plugins
// compress only what wouldn't fit otherwise, and transfers not at all.
type compressWriter struct{ dns.ResponseWriter }

// ConnectionState implements dns.ConnectionStater.
func (w compressWriter) ConnectionState() *tls.ConnectionState {
	return connectionState(w.ResponseWriter)
}

// WriteMsg implements dns.ResponseWriter.
func (w compressWriter) WriteMsg(m *dns.Msg) error {
	if m.Compress {
		return w.ResponseWriter.WriteMsg(m)
	}
	c := *m // which may be shared
	c.Compress = true
	return w.ResponseWriter.WriteMsg(&c)
}
