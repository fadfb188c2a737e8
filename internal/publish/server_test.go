package publish

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Why a zone can't be read is said in words; only a server that won't hand it out to a key that it takes is written to
// all the same.
func TestUnreadable(t *testing.T) {
	const secret, other = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==", "AAAAcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, TsigSecret: map[string]string{"pub.": secret}, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m, tsig := new(dns.Msg).SetReply(r), r.IsTsig()
		if r.Question[0].Qtype == dns.TypeAXFR {
			m.Rcode = dns.RcodeRefused
		}
		switch {
		case tsig == nil:
		case w.TsigStatus() == nil:
			m.SetTsig(tsig.Hdr.Name, tsig.Algorithm, fudge, int64(tsig.TimeSigned))
		default:
			m.Rcode = dns.RcodeNotAuth
			m.Extra = []dns.RR{&dns.TSIG{Hdr: dns.RR_Header{Name: tsig.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: tsig.Algorithm, OrigId: r.Id, Error: dns.RcodeBadKey}}
		}
		_ = w.WriteMsg(m) // a client that is gone
	})}
	done := make(chan error)
	go func() { done <- s.ActivateAndServe() }()
	defer func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	}()
	for _, tt := range []struct {
		what      string
		addr      string
		key       string
		secret    string
		want      string
		unwilling bool
	}{
		{"without a key", l.Addr().String(), "", "", "it answers REFUSED (does it let this key, or this address, have the zone?)", true},
		{"with a key that may not", l.Addr().String(), "pub.", secret, "it answers REFUSED (does it let this key, or this address, have the zone?)", true},
		{"with a key that it doesn't know", l.Addr().String(), "nobody.", secret, "it answers NOTAUTH (TSIG BADKEY: the key's name", false},
		{"with another secret", l.Addr().String(), "pub.", other, "it answers NOTAUTH (TSIG BADKEY: the key's name", false},
		{"where nobody is", "127.0.0.1:1", "", "", "connection refused", false},
	} {
		at := Server{Addr: tt.addr, Zone: "example.com.", Domain: "example.com.", Owner: "fed", Key: tt.key, Secret: tt.secret}
		_, _, err := at.Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || Unwilling(err) != tt.unwilling {
			t.Errorf("%s: %v (unwilling: %v), want %s", tt.what, err, err != nil && Unwilling(err), tt.want)
		}
	}
}
