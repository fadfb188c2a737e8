package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/health"
)

// A Kind is how a target is asked. The zero value doesn't ask.
type Kind uint8

// The kinds of probes.
const (
	None  Kind = iota
	TCP        // it accepts a connection
	HTTP       // it answers GET with a status in the range
	HTTPS      // the same over TLS
)

const kinds = "none, tcp, http or https"

func (k Kind) String() string { return [...]string{"none", "tcp", "http", "https"}[k] }

// asksHTTP says whether it has a path, statuses and a host.
func (k Kind) asksHTTP() bool { return k == HTTP || k == HTTPS }

// A Spec says how to probe. Two that are equal ask the same.
type Spec struct {
	Kind              Kind
	Path, Host        string // of HTTP; without Host, the address is the host
	Low, High         int    // statuses that pass
	Port              uint16 // instead of the Service's, if not 0
	Interval, Timeout time.Duration
	health.Damping
}

// What holds unless a Spec says otherwise. With these a target that dies is found
// after 4 to 8 seconds: less than the TTL of its name.
const (
	defaultInterval = 2 * time.Second
	defaultTimeout  = time.Second
	defaultFall     = 3
	defaultRise     = 2
	defaultPath     = "/"
	defaultLow      = 200
	defaultHigh     = 399
)

const (
	// Faster than this is a load test, and finds nothing out that a resolver would still
	// make use of: no TTL is shorter.
	minInterval = time.Second
	// A timeout that is shorter fails across an ocean.
	minTimeout = 100 * time.Millisecond
	// Slower than this finds out nothing in time.
	maxPeriod = time.Hour
	// maxRun bounds fall and rise.
	maxRun = 100
)

// At is the target that s makes of a shard's address and its Service's port. Specs
// that differ only in where the port comes from make the same one.
func (s Spec) At(addr netip.Addr, port uint16) Target {
	if s.Port != 0 {
		port = s.Port
	}
	s.Port = 0
	return Target{Addr: netip.AddrPortFrom(addr.Unmap(), port), Spec: s}
}

// Parse reads a Spec from the words of a configuration line or an annotation:
//
//	none
//	tcp [OPTION...]
//	http|https [PATH] [LOW-HIGH|STATUS] [OPTION...]
//
// where an option is host NAME, port N, interval D, timeout D, fall N or rise N.
func Parse(words []string) (Spec, error) {
	if len(words) == 0 {
		return Spec{}, errors.New("says nothing; it is " + kinds)
	}
	s := Spec{Interval: defaultInterval, Damping: health.Damping{Fall: defaultFall, Rise: defaultRise}}
	kind, words := words[0], words[1:]
	switch kind {
	case "none":
		if len(words) > 0 {
			return Spec{}, fmt.Errorf("%q follows none; nothing can", words[0])
		}
		return Spec{}, nil
	case "tcp":
		s.Kind = TCP
	case "http", "https":
		s.Kind = HTTP
		if kind == "https" {
			s.Kind = HTTPS
		}
		s.Path, s.Low, s.High = defaultPath, defaultLow, defaultHigh
		var err error
		if len(words) > 0 && strings.HasPrefix(words[0], "/") {
			if s.Path, err = path(words[0]); err != nil {
				return Spec{}, err
			}
			words = words[1:]
		}
		if len(words) > 0 && words[0] != "" && '0' <= words[0][0] && words[0][0] <= '9' {
			if s.Low, s.High, err = statuses(words[0]); err != nil {
				return Spec{}, err
			}
			words = words[1:]
		}
	default:
		return Spec{}, fmt.Errorf("%q is not a kind of probe; it is %s", kind, kinds)
	}
	if err := s.options(words); err != nil {
		return Spec{}, err
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout // no interval is shorter
	}
	if s.Timeout > s.Interval {
		return Spec{}, fmt.Errorf("timeout: %s is longer than the interval, %s", s.Timeout, s.Interval)
	}
	return s, nil
}

// options are what may follow, in the order of String.
var options = []struct {
	name string
	set  func(s *Spec, v string) error
}{
	{"host", func(s *Spec, v string) (err error) {
		if !s.Kind.asksHTTP() {
			return fmt.Errorf("a %s probe names none; http and https do", s.Kind)
		}
		s.Host, err = host(v)
		return err
	}},
	{"port", func(s *Spec, v string) error {
		n, err := number(v, 65535)
		s.Port = uint16(n)
		return err
	}},
	{"interval", func(s *Spec, v string) (err error) { s.Interval, err = period(v, minInterval); return err }},
	{"timeout", func(s *Spec, v string) (err error) { s.Timeout, err = period(v, minTimeout); return err }},
	{"fall", func(s *Spec, v string) (err error) { s.Fall, err = number(v, maxRun); return err }},
	{"rise", func(s *Spec, v string) (err error) { s.Rise, err = number(v, maxRun); return err }},
}

func (s *Spec) options(words []string) error {
	seen := map[string]bool{}
next:
	for len(words) > 0 {
		for _, o := range options {
			if o.name != words[0] {
				continue
			}
			switch {
			case seen[o.name]:
				return fmt.Errorf("%s: stands twice", o.name)
			case len(words) == 1:
				return fmt.Errorf("%s: has no value", o.name)
			}
			seen[o.name] = true
			if err := o.set(s, words[1]); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			words = words[2:]
			continue next
		}
		may := "port, interval, timeout, fall and rise"
		if s.Kind.asksHTTP() {
			may = "a path, statuses, host, " + may
		}
		return fmt.Errorf("%q can't stand here; after %s come %s", words[0], s.Kind, may)
	}
	return nil
}

func period(v string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration, such as 2s", v)
	case d < least || d > maxPeriod:
		return 0, fmt.Errorf("%q is out of range: from %s to 1h", v, least)
	}
	return d, nil
}

func number(v string, most int) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q is not a number", v)
	case err != nil || n < 1 || n > uint64(most):
		return 0, fmt.Errorf("%q is out of range: from 1 to %d", v, most)
	}
	return int(n), nil
}

func statuses(v string) (low, high int, err error) {
	from, to, ok := strings.Cut(v, "-")
	if !ok {
		to = from
	}
	status := func(v string) int {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || len(v) != 3 || n < 200 || n > 599 {
			return 0
		}
		return int(n)
	}
	low, high = status(from), status(to)
	if low == 0 || high < low {
		return 0, 0, fmt.Errorf("%q is not a status or a range of them, such as 200-399", v)
	}
	return low, high, nil
}

// path takes what can stand in a request line. A fragment never leaves a browser.
func path(v string) (string, error) {
	for _, c := range []byte(v) {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return "", fmt.Errorf("path %q: %q can't stand in it; escape it as %%%02X", v, c, c)
		}
	}
	return v, nil
}

// host takes a DNS name or an address without its port, in the letters that a Host
// header and a TLS server name have in common.
func host(v string) (string, error) {
	if v == "" || len(v) > 253 || strings.Trim(v, "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" ||
		strings.HasPrefix(v, ".") || strings.HasSuffix(v, ".") || strings.Contains(v, "..") {
		return "", fmt.Errorf("%q is not a host name, such as web.example.com", v)
	}
	return v, nil
}

// String gives the words that Parse reads, without what goes without saying.
func (s Spec) String() string {
	var b strings.Builder
	b.WriteString(s.Kind.String())
	if s.Kind == None {
		return b.String()
	}
	if s.Kind.asksHTTP() {
		fmt.Fprintf(&b, " %s %d-%d", s.Path, s.Low, s.High)
	}
	if s.Host != "" {
		fmt.Fprintf(&b, " host %s", s.Host)
	}
	if s.Port != 0 {
		fmt.Fprintf(&b, " port %d", s.Port)
	}
	if s.Interval != defaultInterval {
		fmt.Fprintf(&b, " interval %s", s.Interval)
	}
	if s.Timeout != defaultTimeout {
		fmt.Fprintf(&b, " timeout %s", s.Timeout)
	}
	if s.Fall != defaultFall {
		fmt.Fprintf(&b, " fall %d", s.Fall)
	}
	if s.Rise != defaultRise {
		fmt.Fprintf(&b, " rise %d", s.Rise)
	}
	return b.String()
}
