// Package sockets finds out whether an address of this host is answered at, and by
// whom.
//
// Sockets that share an address (SO_REUSEPORT) let each other in without a word: a
// second server on one port gets a part of the questions, and nobody is told. Who
// doesn't want that has to look before it binds.
package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
)

// A Holder is a process with a socket at an address.
type Holder struct {
	PID  int    // 0: it can't be seen from here, as from within a container
	Name string // of its program
	UID  int    // its user; -1: not known
}

func (h Holder) String() string {
	switch {
	case h.PID != 0:
		return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
	case h.UID >= 0:
		return fmt.Sprintf("a process of user %d that can't be seen from here", h.UID)
	}
	return "another process"
}

// Taken is that somebody else answers at an address.
type Taken struct {
	Network, Address string
	By               []Holder // never empty
}

func (t *Taken) Error() string {
	var by []string
	for _, h := range t.By {
		by = append(by, h.String())
	}
	return fmt.Sprintf("%s/%s: address already in use, by %s", t.Address, t.Network, strings.Join(by, ", "))
}

// Forbidden is that this process mayn't bind to an address, for the port alone.
type Forbidden struct {
	Network, Address string
	UID, Lowest      int // who it is, and the lowest port that is free to all
}

func (f *Forbidden) Error() string {
	return fmt.Sprintf("%s/%s: user %d may listen at no port below %d", f.Address, f.Network, f.UID, f.Lowest)
}

// Look says whether anybody but this process answers at an address, such as
// "127.0.0.1:53", or ":53" for all addresses; network is tcp or udp. It gives nil, a
// *Taken, a *Forbidden, or what else would be wrong with listening there. Where the system doesn't
// tell whose sockets are in the way, alone says whether this process has none: then
// they are somebody else's.
func Look(network, address string, alone bool) error {
	for range looks {
		seen, err := look(network, address, alone)
		if seen {
			return err
		}
	}
	return nil // no listener: connections of one that has ended
}

// How often the system's table is read where a line may have been left out: that
// is in pieces, and what goes between two of them shifts what is behind. Of 300 beside two
// that open and close 200 sockets all the time, one in twenty missed a line.
const (
	looks = 20
	// looksBeside are fewer, since mostly nobody is there.
	looksBeside = 3
)

// look says it once, and whether it is seen what is in the way, if anything is.
func look(network, address string, alone bool) (seen bool, err error) {
	failed := try(network, address)
	if failed == nil {
		return true, nil
	}
	at, err := resolve(network, address)
	if err != nil {
		return true, err
	}
	switch {
	case forbidden(failed, at.Port()):
		return true, &Forbidden{network, address, os.Getuid(), lowest()}
	case !errors.Is(failed, syscall.EADDRINUSE):
		return true, failed
	}
	found, ours, err := others(network, at)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if !alone {
			return true, nil
		}
		found = []Holder{{UID: -1}}
	case err != nil:
		return true, err
	}
	if len(found) == 0 {
		return ours, nil
	}
	return true, &Taken{network, address, found}
}

// Others are the other processes that answer at an address, if the system tells.
func Others(network string, at netip.AddrPort) []Holder {
	for range looksBeside {
		found, _, err := others(network, at)
		if err != nil {
			return nil // it is only asked on systems that tell
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// try binds to an address as somebody who shares it with nobody. What is left of
// connections of a server that has ended is no obstacle: package net sets SO_REUSEADDR
// for TCP.
func try(network, address string) error {
	var lc net.ListenConfig
	if network == "udp" {
		c, err := lc.ListenPacket(context.Background(), network, address)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	l, err := lc.Listen(context.Background(), network, address)
	if err == nil {
		err = l.Close()
	}
	return err
}

func resolve(network, address string) (netip.AddrPort, error) {
	if network == "udp" {
		a, err := net.ResolveUDPAddr(network, address)
		if err != nil {
			return netip.AddrPort{}, err
		}
		return a.AddrPort(), nil
	}
	a, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return a.AddrPort(), nil
}

// overlap says whether what comes to one address may come to a socket at the other.
// Unspecified ones are all of them, those of IPv4 among them: sockets for IPv6 alone
// are rare, and only those are asked about that were in the way.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	x, y := a.Addr().Unmap().WithZone(""), b.Addr().Unmap().WithZone("")
	wild := func(w, o netip.Addr) bool {
		return !w.IsValid() || w.IsUnspecified() && (w.Is6() || !o.IsValid() || o.Is4() || o.IsUnspecified())
	}
	return wild(x, y) || wild(y, x) || x == y
}

// distinct leaves each holder once.
func distinct(hs []Holder) []Holder {
	slices.SortFunc(hs, func(a, b Holder) int { return a.PID - b.PID })
	return slices.Compact(hs)
}
