//go:build !linux

package sockets

// UsePermitted does nothing: there are no capabilities.
func UsePermitted() error { return nil }

func lowest() int { return 0 }

func forbidden(error, uint16) bool { return false }
