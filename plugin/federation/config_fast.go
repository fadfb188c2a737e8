package federation

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/plugin/federation/fastpath"
)

func (s *stanza) hastens(a args) error {
	const needs = "needs on or off"
	v, err := a.one(needs)
	if err != nil {
		return err
	}
	if v != "on" && v != "off" {
		return errors.New(needs)
	}
	s.guards.Off = v == "off"
	return nil
}

func (s *stanza) lowers(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs interfaces, such as eth0")
	}
	s.interfaces = append(s.interfaces, a.list...)
	return nil
}

func (s *stanza) bakes(a args) error {
	v, err := a.one("needs a file with secrets, on (secrets of its own) or off")
	switch {
	case err != nil:
		return err
	case v == "on":
	case v == "off":
		s.guards.Cookies = "off"
	default:
		s.guards.Cookies = path(a.c, v)
	}
	return nil
}

// parseRateLimit reads what `rrl` says.
func parseRateLimit(l *rrl.Policy, args []string) error {
	if len(args) == 0 || len(args) > 3 {
		return errors.New("needs off, observe, on or public, and at most two numbers: rrl on [ANSWERS_A_SECOND [SLIP]], such as rrl on 2000 2")
	}
	l.Mode, l.Limit = args[0], rrl.Default
	if !slices.Contains([]string{"off", "observe", "on", rrl.Public}, l.Mode) {
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
func guardsOf(stanzas []stanza) (fastpath.Guards, error) {
	var g fastpath.Guards
	for _, s := range stanzas {
		g.Off = g.Off || s.guards.Off
		if l := s.guards.RateLimit; l.Mode != "" {
			if g.RateLimit.Mode != "" && g.RateLimit != l {
				return g, s.positions.of("rrl").errorf("rrl: the federations of a server block share one limit; say it once")
			}
			g.RateLimit = l
		}
		if f := s.guards.Cookies; f != "" {
			if g.Cookies != "" && g.Cookies != f {
				return g, s.positions.of("cookies").errorf("cookies: the federations of a server block share their secrets; it has %s and %s", g.Cookies, f)
			}
			g.Cookies = f
		}
	}
	if g.RateLimit.Mode == "" {
		g.RateLimit = rrl.Policy{Mode: rrl.Public, Limit: rrl.Default}
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
