package probe

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"192.0.2.1", ""},
		{"10.0.0.1", ""},
		{"172.16.0.1", ""},
		{"100.64.0.1", ""},
		{"2001:db8::1", ""},
		{"fd00::1", ""},
		{"64:ff9b::192.0.2.1", ""},
		{"2002:c000:201::1", ""},
		{"::ffff:192.0.2.1", ""},
		{"0.0.0.0", "an unspecified address"},
		{"0.1.2.3", "an unspecified address"},
		{"::", "an unspecified address"},
		{"127.0.0.1", "a loopback address"},
		{"127.83.0.1", "a loopback address"},
		{"::1", "a loopback address"},
		{"::ffff:127.0.0.1", "a loopback address"},
		{"::127.0.0.1", "a loopback address in another spelling"},
		{"64:ff9b::127.0.0.1", "a loopback address in another spelling"},
		{"64:ff9b:1::169.254.169.254", "where a cloud tells machines their credentials in another spelling"},
		{"2002:7f00:1::1", "a loopback address in another spelling"},
		{"169.254.0.1", "a link-local address"},
		{"fe80::1", "a link-local address"},
		{"224.0.0.1", "a multicast address"},
		{"239.255.255.250", "a multicast address"},
		{"ff02::1", "a multicast address"},
		{"255.255.255.255", "a broadcast or reserved address"},
		{"240.0.0.1", "a broadcast or reserved address"},
		{"169.254.169.254", "where a cloud tells machines their credentials"},
		{"169.254.170.2", "where a cloud tells machines their credentials"},
		{"fd00:ec2::254", "where a cloud tells machines their credentials"},
		{"fd20:ce::254", "where a cloud tells machines their credentials"},
		{"100.100.100.200", "where a cloud tells machines their credentials"},
		{"168.63.129.16", "where a cloud tells machines their credentials"},
		{"192.0.0.192", "where a cloud tells machines their credentials"},
	} {
		if got := Refused(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s is refused for %q, want %q", tt.addr, got, tt.want)
		}
	}
	if Refused(netip.Addr{}) == "" || Refused(netip.MustParseAddr("2001:db8::1%eth0")) == "" {
		t.Error("no address, or one of a link, is probed")
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.(*net.IPNet).IP); !ok || Refused(a) == "" {
			t.Errorf("%v of this host is probed", n)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, tt := range []struct {
		line, spec, addr string
		annotated        bool
		want             string
	}{
		{"none annotations on", "tcp port 22", "192.0.2.1", true, ""},
		{"none annotations on ports 80,443,8000-8999", "tcp port 22", "192.0.2.1", true, "port"},
		{"none annotations on ports 80,443,8000-8999", "tcp port 8500", "192.0.2.1", true, ""},
		{"tcp ports 80,443", "tcp port 22", "192.0.2.1", false, "port"},
		{"none annotations on paths /healthz*,/ready", "http /healthz/live", "192.0.2.1", true, ""},
		{"none annotations on paths /healthz*,/ready", "http /ready", "192.0.2.1", true, ""},
		{"none annotations on paths /healthz*,/ready", "http /readyz", "192.0.2.1", true, "path"},
		{"none annotations on paths /healthz*,/ready", "http /", "192.0.2.1", true, "path"},
		{"none annotations on paths /healthz*", "http /healthz/../admin", "192.0.2.1", true, "path"},
		{"none annotations on paths /healthz.*", "http /healthz../admin", "192.0.2.1", true, "path"},
		{"none annotations on paths /healthz*", "http /healthz/%2e%2e/admin", "192.0.2.1", true, "path"},
		{"none annotations on paths /healthz*", "http /healthz/..;/admin", "192.0.2.1", true, "path"},
		{"http /any annotations on paths /healthz*", "http /any", "192.0.2.1", false, ""},
		{"none annotations on paths /healthz*", "tcp", "192.0.2.1", true, ""},
		{"none annotations on", "tcp", "127.0.0.1", true, "loopback"},
		{"tcp", "tcp", "127.0.0.1", false, "loopback"},
		{"tcp allow 127.83.0.0/16,2001:db8::1", "tcp", "127.83.0.1", false, ""},
		{"tcp allow 127.83.0.0/16,2001:db8::1", "tcp", "127.84.0.1", false, "loopback"},
	} {
		_, rules, err := ParseLine(strings.Fields(tt.line))
		if err != nil {
			t.Fatalf("%s: %v", tt.line, err)
		}
		s, err := Parse(strings.Fields(tt.spec))
		if err != nil {
			t.Fatal(err)
		}
		got := rules.Refuses(s.At(netip.MustParseAddr(tt.addr), 80), tt.annotated)
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: %s of %s is refused for %q, want %q", tt.line, tt.spec, tt.addr, got, tt.want)
		}
	}
}

func TestLineErrors(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"annotations on", "not a kind of probe"},
		{"tcp annotations", "annotations: has no value"},
		{"tcp annotations yes", `annotations: "yes" is neither off nor on`},
		{"tcp annotations on annotations off", "annotations: stands twice"},
		{"tcp annotations on fall 3", `"fall" can't stand here`},
		{"tcp ports", "ports: has no value"},
		{"tcp ports 80,", `ports: "" is not a number`},
		{"tcp ports 0", "ports: \"0\" is out of range"},
		{"tcp ports 90-80", "ends before it begins"},
		{"tcp port 22 ports 80", "port: 22 isn't among the ports"},
		{"tcp annotations on paths healthz", "is not a path"},
		{"tcp annotations on paths /*/x", "is not a path"},
		{"tcp paths /healthz", "annotations on lets them count"},
		{"tcp allow 127.0.0.1/8", "is not a range of addresses"},
		{"tcp allow lo", "is not a range of addresses"},
		{"tcp rates 1,2", "needs how many probes a second"},
		{"tcp rates 1,2,0", `"0" is not a number of probes a second`},
		{"tcp rates 1,2,5001", `"5001" is not a number of probes a second`},
	} {
		if _, _, err := ParseLine(strings.Fields(tt.line)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.line, err, tt.want)
		}
	}
	if s, r, err := ParseLine(strings.Fields("http /x host ports ports 80 rates 1,2,3")); err != nil || s.Host != "ports" || len(r.Ports) != 1 || r.Rates != (Rates{1, 2, 3}) {
		t.Errorf("%+v %+v %v", s, r, err)
	}
}

// Whatever an address is spelled like, what it leads to isn't one that is refused.
func TestNoRefusedAddress(t *testing.T) {
	bad := []netip.Prefix{}
	for _, s := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "100.100.100.200/32", "168.63.129.16/32"} {
		bad = append(bad, netip.MustParsePrefix(s))
	}
	rapid.Check(t, func(r *rapid.T) {
		p := rapid.SampledFrom(bad).Draw(r, "range")
		b := p.Addr().As4()
		random := rapid.Uint32().Draw(r, "host") & (1<<(32-p.Bits()) - 1)
		if p.Bits() == 0 {
			random = rapid.Uint32().Draw(r, "all")
		}
		for i := range b {
			b[i] |= byte(random >> (24 - 8*i))
		}
		v4 := netip.AddrFrom4(b)
		var as [16]byte
		switch rapid.IntRange(0, 4).Draw(r, "spelling") {
		case 0:
			as = v4.As16()
		case 1:
			as = nat64.Addr().As16()
			copy(as[12:], b[:])
		case 2:
			as = nat64local.Addr().As16()
			copy(as[12:], b[:])
		case 3:
			as = sixToFour.Addr().As16()
			copy(as[2:], b[:])
		case 4:
			copy(as[12:], b[:])
		}
		if a := netip.AddrFrom16(as); Refused(a) == "" {
			r.Fatalf("%s, which leads to %s, is probed", a, v4)
		}
	})
}

// Addresses of this host come and go: each is refused while it is there, and what the kernel
// doesn't say is as before.
func TestOwnAddresses(t *testing.T) {
	var list []net.Addr
	var failing error
	h := hostAddrs{list: func() ([]net.Addr, error) { return list, failing }}
	set := func(addrs ...string) {
		list = nil
		for _, a := range addrs {
			list = append(list, &net.IPNet{IP: net.ParseIP(a), Mask: net.CIDRMask(24, 32)})
		}
	}
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("192.0.2.1")
	for i, tt := range []struct {
		addrs   []string
		failing error
		after   time.Duration
		has     bool
		moves   uint64
	}{
		{nil, nil, 0, false, 1},
		{[]string{"192.0.2.1"}, nil, ownFor / 2, false, 1}, // not asked again yet
		{[]string{"192.0.2.1"}, nil, ownFor, true, 2},
		{[]string{"192.0.2.1"}, nil, ownFor, true, 2},
		{nil, net.ErrClosed, ownFor, true, 2},
		{nil, nil, ownFor, false, 3},
	} {
		set(tt.addrs...)
		failing = tt.failing
		now = now.Add(tt.after)
		h.look(now)
		if h.addrs[a] != tt.has || h.moves != tt.moves {
			t.Errorf("step %d: %v, %d moves", i, h.addrs, h.moves)
		}
	}
}
