package federation

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/inputfile"
)

// guards are what a server block says of how questions over UDP are met, whatever
// they ask.
type guards struct {
	slow    bool // fast off
	limit   rateLimit
	cookies string // file with the secrets; "": secrets of its own; "off": none
}

// A rateLimit is what `rrl` says.
type rateLimit struct {
	mode string // off, observe, on or public; "": not said
	rrl.Limit
}

// public is the mode that limits the networks of the Internet alone, those that a forged
// source can be of. The caches of a company's own network may ask for its own names more
// often than anybody's out there.
const public = "public"

// defaultLimit is above what resolvers of one network ask of one domain, whose answers they
// keep for its TTL: Google Public DNS takes 1,500 questions a second from one address before
// its operator has to ask for more, and those are for all names that there are. It is below
// what makes a useful weapon: 4 Mbit/s of answers with some addresses. Every second answer
// beyond it goes out truncated, so that whoever is really there can come again over TCP.
var defaultLimit = rrl.Limit{Rate: 2000, Slip: 2}

// exempt says whether questions from an address aren't limited.
func (l *rateLimit) exempt(from netip.Addr) bool {
	if l.mode != public {
		return false
	}
	from = from.Unmap()
	return from.IsPrivate() || from.IsLoopback() || from.IsLinkLocalUnicast() || shared.Contains(from)
}

// shared is the space between a carrier and its customers (RFC 6598), private as far as this goes.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func (s *stanza) hastens(a args) error {
	const needs = "needs on or off"
	v, err := a.one(needs)
	if err != nil {
		return err
	}
	if v != "on" && v != "off" {
		return errors.New(needs)
	}
	s.guards.slow = v == "off"
	return nil
}

func (s *stanza) bakes(a args) error {
	v, err := a.one("needs a file with secrets, on (secrets of its own) or off")
	switch {
	case err != nil:
		return err
	case v == "on":
	case v == "off":
		s.guards.cookies = "off"
	default:
		s.guards.cookies = path(a.c, v)
	}
	return nil
}

func (l *rateLimit) parse(args []string) error {
	if len(args) == 0 || len(args) > 3 {
		return errors.New("needs off, observe, on or public, and at most two numbers: rrl on [ANSWERS_A_SECOND [SLIP]], such as rrl on 2000 2")
	}
	l.mode, l.Limit = args[0], defaultLimit
	if !slices.Contains([]string{"off", "observe", "on", public}, l.mode) {
		return fmt.Errorf("%q is not off, observe, on or public", args[0])
	}
	for i, into := range []struct {
		what     string
		v        *int
		from, to int
	}{{"answers a second of one network", &l.Rate, 1, 1e9}, {"slip", &l.Slip, 0, rrl.MaxSlip}}[:len(args)-1] {
		n, err := strconv.Atoi(args[i+1])
		if err != nil || n < into.from || n > into.to {
			return fmt.Errorf("%q is not a number of %s, from %d to %d", args[i+1], into.what, into.from, into.to)
		}
		*into.v = n
	}
	return nil
}

// guardsOf puts together what the stanzas of a server block say. They share its
// address, so they can't differ.
func guardsOf(stanzas []stanza) (guards, error) {
	var g guards
	for _, s := range stanzas {
		g.slow = g.slow || s.guards.slow
		if l := s.guards.limit; l.mode != "" {
			if g.limit.mode != "" && g.limit != l {
				return g, s.positions.of("rrl").errorf("rrl: the federations of a server block share one limit; say it once")
			}
			g.limit = l
		}
		if f := s.guards.cookies; f != "" {
			if g.cookies != "" && g.cookies != f {
				return g, s.positions.of("cookies").errorf("cookies: the federations of a server block share their secrets; it has %s and %s", g.cookies, f)
			}
			g.cookies = f
		}
	}
	if g.limit.mode == "" {
		g.limit = rateLimit{public, defaultLimit}
	}
	return g, nil
}

// own are the secrets of a server that shares them with no other: new with each
// start, which costs clients one more cookie.
var own = cookie.New(cookie.Secret(randomSecret()))

func randomSecret() (b [16]byte) {
	_, _ = rand.Read(b[:]) // never fails (package crypto/rand)
	return b
}

// openKeyring reads the secrets of cookies; nil: there are none to be made.
func openKeyring(file string) (*cookie.Keyring, error) {
	switch file {
	case "":
		return own, nil
	case "off":
		return nil, nil
	}
	text, err := inputfile.Read(file, inputfile.Secrets)
	if err != nil {
		return nil, fmt.Errorf("cookies: %w", err)
	}
	secrets, err := cookie.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("cookies: %q: %w", file, err)
	}
	return cookie.New(secrets...), nil
}
