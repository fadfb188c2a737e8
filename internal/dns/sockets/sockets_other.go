//go:build !linux

package sockets

import (
	"errors"
	"net/netip"
)

// others says that nobody tells.
func others(string, netip.AddrPort) ([]Holder, error) { return nil, errors.ErrUnsupported }
