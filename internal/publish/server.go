package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Server is where a zone is kept that names are published in.
type Server struct {
	Addr string // host:port
	Zone string // absolute, in lower case
	// Domain is what is published of: absolute, in lower case, the zone or in it. Several may be in one zone.
	Domain string
	Owner  string // of our names: who publishes under another leaves them alone
	Cut    string // the domain, if it is only delegated; "": its names are written
	Key    string // of TSIG, absolute and in lower case; "": messages aren't signed
	// Secret is the key's, in base64.
	Secret  string
	Timeout time.Duration // of one message; 0: the default
}

const (
	// defaultTimeout is longer than a server takes to write its journal to a busy disk.
	defaultTimeout = 5 * time.Second
	fudge          = 300 // seconds that clocks may be apart (RFC 8945 section 10)
)

// A Refusal is a server's no.
type Refusal struct {
	Rcode, TSIG int
	Signed      bool // the message was
	Transfer    bool // of the zone was asked for
}

func (r *Refusal) Error() string {
	s := "it answers " + dns.RcodeToString[r.Rcode]
	switch {
	case r.TSIG != dns.RcodeSuccess:
		s += fmt.Sprintf(" (TSIG %s: the key's name and secret have to be the same there, the algorithm hmac-sha256, and the clocks alike)", dns.RcodeToString[r.TSIG])
	case r.Rcode == dns.RcodeRefused && r.Transfer:
		s += " (does it let this key, or this address, have the zone?)"
	case r.Rcode == dns.RcodeRefused:
		s += " (does it let this key, or this address, update these names?)"
	case r.Rcode == dns.RcodeNotAuth && r.Signed: // PowerDNS says no more of a signature that it doesn't take
		s += " (is it the primary of the zone, and does it have the key, the same secret and the same time?)"
	case r.Rcode == dns.RcodeNotZone || r.Rcode == dns.RcodeNotAuth:
		s += " (is it the primary of the zone?)"
	case r.Rcode == dns.RcodeNotImplemented:
		s += " (it knows no dynamic updates)"
	}
	return s
}

// prerequisite says whether what is believed to stand in the zone doesn't.
func (r *Refusal) prerequisite() bool {
	switch r.Rcode {
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError:
		return true
	}
	return false
}

// errTaken is that a name has records that aren't ours.
var errTaken = errors.New("records that aren't ours stand there")

// exchange sends a message, and gives the answer if it is a yes.
func (s *Server) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	c := dns.Client{Net: "tcp", Timeout: s.Timeout}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if s.Key != "" {
		c.TsigSecret = map[string]string{s.Key: s.Secret}
		m = m.Copy()
		m.SetTsig(s.Key, dns.HmacSHA256, fudge, time.Now().Unix())
	}
	r, _, err := c.ExchangeContext(ctx, m, s.Addr)
	switch {
	case r != nil && r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError, r != nil && r.Rcode == dns.RcodeNameError && m.Opcode == dns.OpcodeUpdate:
		no := &Refusal{Rcode: r.Rcode, Signed: s.Key != ""}
		if t := r.IsTsig(); t != nil {
			no.TSIG = int(t.Error)
		}
		return nil, no
	case err != nil:
		return nil, err
	case s.Key != "" && r.IsTsig() == nil:
		return nil, errors.New("its answer isn't signed")
	}
	return r, nil
}

// owns says whether a name is marked as ours.
func (s *Server) owns(ctx context.Context, name string) (bool, error) {
	t := s.mark(name)
	q := new(dns.Msg).SetQuestion(t.Hdr.Name, dns.TypeTXT)
	q.RecursionDesired = false
	r, err := s.exchange(ctx, q)
	if err != nil {
		return false, err
	}
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			if _, is := s.marked(txt); is {
				return true, nil
			}
		}
	}
	return false, nil
}

// Serial asks for that of the zone.
func (s *Server) Serial(ctx context.Context) (uint32, error) {
	q := new(dns.Msg).SetQuestion(s.Zone, dns.TypeSOA)
	q.RecursionDesired = false
	r, err := s.exchange(ctx, q)
	if err != nil {
		return 0, err
	}
	for _, rr := range r.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, fmt.Errorf("it has no SOA record of %s", s.Zone)
}

// Read transfers the zone, and gives the names in the domain that are marked as ours, and the zone's serial.
func (s *Server) Read(ctx context.Context) (Names, uint32, error) {
	rrs, err := s.transfer(ctx)
	if err != nil {
		return nil, 0, err
	}
	serial := uint32(0)
	if len(rrs) > 0 {
		if soa, ok := rrs[0].(*dns.SOA); ok {
			serial = soa.Serial
		}
	}
	out := Names{}
	for _, rr := range rrs {
		if t, ok := rr.(*dns.TXT); ok {
			if name, is := s.marked(t); is && dns.IsSubDomain(s.Domain, name) {
				out[name] = nil
			}
		}
	}
	for name, list := range Gather(rrs) {
		name = strings.ToLower(name)
		if _, is := out[name]; is {
			for _, rr := range list {
				if rr.Header().Name = name; !s.own(name, rr.Header().Rrtype) {
					out[name] = append(out[name], rr)
				}
			}
		}
	}
	return out, serial, nil
}

// transfer gives all records of the zone.
func (s *Server) transfer(ctx context.Context) (out []dns.RR, err error) {
	t := &dns.Transfer{}
	m := new(dns.Msg).SetAxfr(s.Zone)
	if s.Key != "" {
		t.TsigSecret = map[string]string{s.Key: s.Secret}
		m.SetTsig(s.Key, dns.HmacSHA256, fudge, time.Now().Unix())
	}
	conn, err := (&net.Dialer{Timeout: defaultTimeout}).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	t.Conn = &dns.Conn{Conn: conn}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	ch, err := t.In(m, s.Addr)
	if err != nil {
		return nil, err
	}
	for e := range ch {
		if e.Error != nil {
			err = e.Error
		}
		out = append(out, e.RR...)
	}
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	return out, nil
}

// refused is the server's no, if the error of a transfer is one. Of the response code miekg/dns tells in the text only, and of what
// is wrong with the key nothing at all: a question that is signed with it is answered the same.
func (s *Server) refused(ctx context.Context, err error) error {
	no := &Refusal{Signed: s.Key != "", Transfer: true}
	if _, other := fmt.Sscanf(err.Error(), "dns: bad xfr rcode: %d", &no.Rcode); other == nil {
		err = no
	} else if !errors.Is(err, dns.ErrAuth) {
		return err
	}
	var why *Refusal
	if _, asked := s.Serial(ctx); errors.As(asked, &why) && why.TSIG != dns.RcodeSuccess {
		return why
	}
	return err
}

// Unwilling says whether an error of a transfer is that the server won't hand the zone out: with a key that it takes.
func Unwilling(err error) bool {
	var no *Refusal
	return errors.As(err, &no) && no.TSIG == dns.RcodeSuccess || errors.Is(err, dns.ErrSoa)
}

// Records gives the records of a domain by transfer, as whoever publishes has them from a fedns.
func (s *Server) Records(ctx context.Context) ([]dns.RR, error) { return s.transfer(ctx) }
