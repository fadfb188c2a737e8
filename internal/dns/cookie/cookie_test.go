package cookie

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
)

// TestVectors is RFC 9018 appendix A: what a client sends and what it gets.
func TestVectors(t *testing.T) {
	const old = "dd3bdf9344b678b185a6f5cb60fca715" // before A.4
	for _, tt := range []struct {
		name    string
		secrets []Secret
		from    string
		sent    string
		at      uint32
		want    Verdict
		got     string
	}{
		{"A.1 learning a new cookie", []Secret{secret(one)}, "198.51.100.100",
			"2464c4abcf10c957", 1559731985, Bad,
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
		{"A.2 the same client learning a renewed one", []Secret{secret(one)}, "198.51.100.100",
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385, Aging,
			"2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
		// Sent 1 h 51 min after it was made: the RFC's own example is beyond the
		// hour. TestReserved checks it in time.
		{"A.3 another client learning a renewed one", []Secret{secret(one)}, "203.0.113.203",
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700, Bad,
			"fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
		{"A.4 IPv6 with a rolled over secret", []Secret{secret(two), secret(old)}, "2001:db8:220:1:59de:d0f4:8769:82b8",
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961, Good,
			"22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
	} {
		j, from := New(tt.secrets...), netip.MustParseAddr(tt.from)
		client, server, ok := Split(unhex(tt.sent))
		if !ok {
			t.Fatal(tt.name)
		}
		if got := j.Check(client, server, from, tt.at); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := j.Append(bytes.Clone(client), client, from, tt.at); !bytes.Equal(got, unhex(tt.got)) {
			t.Errorf("%s: gets %x, want %s", tt.name, got, tt.got)
		}
	}
}

// TestReserved: what another server wrote there is hashed as it is (RFC 9018 section 4.2).
func TestReserved(t *testing.T) {
	j, from := New(secret(one)), netip.MustParseAddr("203.0.113.203")
	client, server, _ := Split(unhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"))
	if got := j.Check(client, server, from, 1559727985); got != Good {
		t.Errorf("set: %v", got)
	}
	server[3] = 0
	if got := j.Check(client, server, from, 1559727985); got != Bad {
		t.Errorf("changed: %v", got)
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  int64 // seconds
		want Verdict
	}{
		{"new", 0, Good},
		{"half an hour", 1800, Good},
		{"beyond half an hour", 1801, Aging},
		{"an hour", 3600, Aging},
		{"beyond an hour", 3601, Bad},
		{"ahead by five minutes", -300, Good},
		{"ahead by more", -301, Bad},
		{"as old as can be", math.MaxInt32, Bad},
		{"neither old nor ahead", math.MinInt32, Bad},
	} {
		// The wrap is between the cookie and now in one direction or the other.
		for _, made := range []uint32{1559731985, 0, 100, math.MaxUint32, math.MaxUint32 - 100, 1 << 31, 1<<31 - 1} {
			j := New(secret(one))
			server := j.Append(nil, client, v4, made)
			if got := j.Check(client, server, v4, made+uint32(tt.age)); got != tt.want {
				t.Errorf("%s, made at %d: %v, want %v", tt.name, made, got, tt.want)
			}
		}
	}
}

var (
	client = []byte{1, 2, 3, 4, 5, 6, 7, 8}
	v4     = netip.MustParseAddr("192.0.2.1")
	v6     = netip.MustParseAddr("2001:db8::1")
)

const now = 1559731985

// TestRotation goes through the steps of RFC 9018 section 5 with two servers, of
// which one is always a step behind.
func TestRotation(t *testing.T) {
	a, b := secret(one), secret(two)
	steps := []*Keyring{New(a), New(a, b), New(b, a), New(b)}
	for i, behind := range steps[:3] {
		ahead := steps[i+1]
		for name, j := range map[string]*Keyring{"behind": behind, "ahead": ahead} {
			server := j.Append(nil, client, v4, now)
			if behind.Check(client, server, v4, now) != Good || ahead.Check(client, server, v4, now) != Good {
				t.Errorf("step %d: a cookie of the server that is %s isn't good at both", i+1, name)
			}
		}
	}
	if got := steps[3].Check(client, steps[0].Append(nil, client, v4, now), v4, now); got != Bad {
		t.Errorf("a cookie of an unknown secret is %v", got)
	}
}

func TestCheck(t *testing.T) {
	j := New(secret(one))
	mapped := netip.AddrFrom16(v4.As16())
	for _, tt := range []struct {
		name       string
		made, from netip.Addr
		want       Verdict
	}{
		{"IPv4", v4, v4, Good},
		{"IPv6", v6, v6, Good},
		{"v4-mapped asks", v4, mapped, Good},
		{"v4-mapped got it", mapped, v4, Good},
		{"a zone is no part of it", v6, v6.WithZone("eth0"), Good},
		{"another IPv4", v4, v4.Next(), Bad},
		{"another IPv6", v6, v6.Next(), Bad},
		{"IPv6 for IPv4", v4, v6, Bad},
		{"no address", v4, netip.Addr{}, Bad},
	} {
		if got := j.Check(client, j.Append(nil, client, tt.made, now), tt.from, now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}

	good := j.Append(nil, client, v4, now)
	for i := range good {
		for bit := range 8 {
			server := bytes.Clone(good)
			server[i] ^= 1 << bit
			if got := j.Check(client, server, v4, now); got != Bad {
				t.Errorf("byte %d, bit %d changed: %v", i, bit, got)
			}
		}
	}
	for _, tt := range []struct {
		name           string
		client, server []byte
	}{
		{"none", client, nil},
		{"short", client, good[:15]},
		{"long", client, append(bytes.Clone(good), 0)},
		{"another client cookie", []byte{1, 2, 3, 4, 5, 6, 7, 9}, good},
		{"a short client cookie", client[:7], good},
		{"no client cookie", nil, good},
		{"a byte of the client's cookie in the server's", append(bytes.Clone(client), good[0]), good[1:]},
	} {
		if got := j.Check(tt.client, tt.server, v4, now); got != Bad {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestAppend(t *testing.T) {
	j := New(secret(one))
	b := append(make([]byte, 0, 64), "before"...)
	got := j.Append(b, client, v4, now)
	if string(got[:6]) != "before" || len(got) != 6+serverLen || &got[0] != &b[0] {
		t.Errorf("%q", got)
	}
	if !bytes.Equal(got[6:10], []byte{version, 0, 0, 0}) || binary.BigEndian.Uint32(got[10:]) != now {
		t.Errorf("%x", got[6:])
	}
}

func TestNewKeepsItsSecrets(t *testing.T) {
	list := []Secret{secret(one)}
	j := New(list...)
	server := j.Append(nil, client, v4, now)
	list[0] = secret(two)
	if j.Check(client, server, v4, now) != Good {
		t.Error("the jar changed with the caller's slice")
	}
	defer func() {
		if recover() == nil {
			t.Error("a jar without secrets")
		}
	}()
	New()
}

func TestSplit(t *testing.T) {
	data := make([]byte, 64)
	for n := range data {
		client, server, ok := Split(data[:n])
		want := n == 8 || n >= 16 && n <= 40
		if ok != want || ok && (len(client) != 8 || len(server) != n-8) || !ok && (client != nil || server != nil) {
			t.Errorf("%d bytes: %d, %d, %v", n, len(client), len(server), ok)
		}
	}
	client, _, _ := Split(data[:24])
	if _ = append(client, 1); data[8] != 0 {
		t.Error("to append to the client cookie wrote over the server cookie")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(unhex("2464c4abcf10c957"), v4.AsSlice(), uint32(now), uint8(0))
	f.Add(unhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480"), v4.AsSlice(), uint32(now), uint8(9))
	f.Add(unhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8"), v6.AsSlice(), uint32(math.MaxUint32), uint8(200))
	f.Add(make([]byte, 40), []byte(nil), uint32(0), uint8(255))
	f.Add(make([]byte, 15), v4.AsSlice(), uint32(1), uint8(1))
	jar, other := New(secret(one)), New(secret(two))
	f.Fuzz(func(t *testing.T, option, ip []byte, now uint32, flip uint8) {
		from, _ := netip.AddrFromSlice(ip)
		client, server, ok := Split(option)
		if !ok {
			return
		}
		if len(client)+len(server) != len(option) {
			t.Fatal("bytes are missing")
		}
		if jar.Check(client, server, from, now) != Bad && other.Check(client, server, from, now) != Bad {
			t.Fatal("good under two secrets")
		}
		made := jar.Append(nil, client, from, now)
		if v := jar.Check(client, made, from, now); v != Good {
			t.Fatalf("what was made is %v", v)
		}
		if v := other.Check(client, made, from, now); v != Bad {
			t.Fatalf("with another secret it is %v", v)
		}
		made[flip/8%serverLen] ^= 1 << (flip % 8)
		if v := jar.Check(client, made, from, now); v != Bad {
			t.Fatalf("with a bit changed it is %v", v)
		}
	})
}

func TestAllocs(t *testing.T) {
	j := New(secret(one), secret(two))
	buf := make([]byte, 0, serverLen)
	for _, from := range []netip.Addr{v4, v6} {
		option := New(secret(two)).Append(bytes.Clone(client), client, from, now)
		if n := testing.AllocsPerRun(100, func() {
			client, server, _ := Split(option)
			if j.Check(client, server, from, now) != Good {
				t.Fatal("not good")
			}
			buf = j.Append(buf[:0], client, from, now)
		}); n != 0 {
			t.Errorf("%v: %v allocations", from, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	j := New(secret(one), secret(two))
	for name, from := range map[string]netip.Addr{"v4": v4, "v6": v6} {
		good := j.Append(nil, client, from, now)
		forged := bytes.Clone(good)
		forged[15]++
		for _, bb := range []struct {
			name   string
			server []byte
			want   Verdict
		}{{"good", good, Good}, {"forged", forged, Bad}} {
			b.Run(name+"/"+bb.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if j.Check(client, bb.server, from, now) != bb.want {
						b.Fatal("another verdict")
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	j := New(secret(one))
	buf := make([]byte, 0, serverLen)
	for name, from := range map[string]netip.Addr{"v4": v4, "v6": v6} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = j.Append(buf[:0], client, from, now)
			}
		})
	}
}
