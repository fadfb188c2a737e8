package federation

import (
	"crypto/rand"
	"errors"
	"fmt"
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
	mode string // off, observe or on; "": not said
	rrl.Limit
}

// defaultLimit is far above what resolvers of one network ask of one domain, whose
// answers they keep for its TTL, and far below what makes a useful weapon. Every
// second answer beyond it goes out truncated, so that whoever is really there can
// come again over TCP.
var defaultLimit = rrl.Limit{Rate: 1000, Slip: 2}

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
		return errors.New("needs off, observe or on, and at most two numbers: rrl on [ANSWERS_A_SECOND [SLIP]], such as rrl on 1000 2")
	}
	l.mode, l.Limit = args[0], defaultLimit
	if l.mode != "off" && l.mode != "observe" && l.mode != "on" {
		return fmt.Errorf("%q is not off, observe or on", args[0])
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
