package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A failure is why a target does not pass.
type failure string

func (f failure) Error() string { return string(f) }

// A refusal is why a target isn't asked at all.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	unanswered failure = "closed without an answer"
	notHTTP    failure = "the answer is not HTTP"
)

// ask probes a target once, over a connection of its own: that is what a client
// meets, and a connection that is kept says nothing of new ones.
func ask(ctx context.Context, t Target) error {
	conn, err := dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, t.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing resets the connection. In the usual way each would be remembered for
	// a minute, at one end or the other; 5,000 a second use up this host's ports.
	if err := conn.SetLinger(0); err != nil {
		return err
	}
	if t.Spec.Kind == TCP {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if t.Spec.Kind == HTTPS {
		err = get(tls.Client(conn, &tls.Config{
			ServerName: t.Spec.Host,
			// The probe asks whether the shard serves, not who it is: clients
			// check that, with names and roots that aren't known here. All else is
			// Go's default: without post-quantum keys a handshake costs a third
			// less, but a server that insists on them would seem to be down.
			InsecureSkipVerify: true,
		}), t)
	} else {
		err = get(conn, t)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Probes are over long before a keep-alive would matter.
var dialer = net.Dialer{KeepAlive: -1}

// headMost bounds how much of an answer is read for its status: several interim
// answers with their headers.
const headMost = 8 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// get asks for a path and judges the status, for which the first line of the
// answer is enough. http.Transport would do the same for a fifth more, with
// goroutines and connections of its own that outlive the probe.
func get(conn io.ReadWriter, t Target) error {
	host := t.Spec.Host
	if host == "" {
		host = t.Addr.String()
	}
	req := "GET " + t.Spec.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: fedns-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, req); err != nil {
		return err
	}
	r := readers.Get().(*bufio.Reader)
	defer readers.Put(r)
	r.Reset(io.LimitReader(conn, headMost))
	defer r.Reset(nil)
	code, err := status(r)
	if err != nil {
		return err
	}
	if code < t.Spec.Low || code > t.Spec.High {
		return failure("status " + strconv.Itoa(code))
	}
	return nil
}

// status reads the status of an answer. Interim ones (RFC 9110 section 15.2) may
// come before.
func status(r *bufio.Reader) (int, error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !(errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull)) {
			return 0, err
		}
		if len(line) == 0 {
			return 0, unanswered
		}
		version, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		digits, _, _ := strings.Cut(rest, " ")
		code, bad := strconv.ParseUint(digits, 10, 16)
		if err != nil || !strings.HasPrefix(version, "HTTP/1.") || bad != nil || len(digits) != 3 {
			return 0, notHTTP
		}
		if code >= 200 {
			return int(code), nil
		}
		for len(line) > len("\r\n") { // its headers, up to an empty line
			if line, err = r.ReadSlice('\n'); err != nil {
				return 0, notHTTP
			}
		}
	}
}

// reason gives an error of ask in a few words, and whether it is this host's
// trouble and not the target's: that would withdraw what is well.
func reason(target netip.AddrPort, err error) (why string, local bool) {
	var f failure
	var refused refusal
	var errno syscall.Errno
	var op *net.OpError
	var timeout net.Error
	switch {
	case err == nil:
		return "", false
	case errors.As(err, &f):
		return string(f), false
	case errors.As(err, &refused):
		return string(refused), true
	case errors.Is(err, context.Canceled):
		return "ended", true
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout", false
	case errors.As(err, &errno):
		return errno.Error(), ours(target.Addr(), errno)
	case errors.Is(err, io.EOF):
		return unanswered.Error(), false
	case errors.As(err, &op):
		return op.Err.Error(), false
	}
	return err.Error(), false
}

func ours(target netip.Addr, errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, // nothing left to ask with
		syscall.EACCES, syscall.EPERM, // a firewall of this host
		syscall.EAFNOSUPPORT: // no IPv6 here
		return true
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH:
		// Either this host has no way there, or a router on the way says so.
		return !routed(target)
	}
	return false
}

// routed says whether this host has a route to an address. Connecting a UDP socket
// looks it up and sends nothing.
func routed(a netip.Addr) bool {
	conn, err := net.Dial("udp", net.JoinHostPort(a.String(), "9"))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// String names a target as people do.
func (t Target) String() string { return fmt.Sprintf("%s by %s", t.Addr, t.Spec) }
