package fast

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Names are compressed in a transfer and in every message of it, and in answers over TCP,
// whoever writes them.
func TestCompressed(t *testing.T) {
	dir := t.TempDir()
	objects := []vector.Object{vector.Node("n", "europe-west1", "europe-west1-b")}
	const services = 1000
	for i := range services {
		name := fmt.Sprint("web", i)
		objects = append(objects, vector.Service("shop", name, fmt.Sprintf("192.0.2.%d", i%250+1)), vector.Slice("shop", name, true, "europe-west1-b"))
	}
	vector.WriteManifest(t, filepath.Join(dir, "objects.json"), objects...)
	zone := write(t, t.TempDir(), "db.other", "other.test. 60 SOA ns.other.test. h.other.test. 1 7200 1800 86400 5\nother.test. 60 NS ns.other.test.\nother.test. 60 NS ns2.other.test.\nns.other.test. 60 A 192.0.2.1\nns2.other.test. 60 A 192.0.2.2\n")
	s := server.Start(t, "example.com:PORT other.test:PORT {\n bind ADDR\n ready READY\n prometheus METRICS\n transfer {\n to *\n }\n federation fed example.com {\n cluster c {\n manifests "+dir+"\n }\n }\n file "+zone+" other.test\n}\n")
	s.WaitReady(t)
	for _, tt := range []struct {
		name  string
		qtype uint16
		least float64 // how many times smaller
	}{
		{"example.com.", dns.TypeAXFR, 1.5},
		{"other.test.", dns.TypeAXFR, 1},
		{"web1.shop.fed.svc.example.com.", dns.TypeA, 1},
		{"_http._tcp.web1.shop.fed.svc.example.com.", dns.TypeSRV, 1},
		{"other.test.", dns.TypeNS, 1},
	} {
		size, plain, records := 0, 0, 0
		for _, b := range stream(t, s, tt.name, tt.qtype) {
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil {
				t.Fatal(err)
			}
			records += len(m.Answer)
			m.Compress = true
			best, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > len(best) {
				t.Errorf("%s %s: a message has %d bytes, %d if it is compressed", tt.name, dns.TypeToString[tt.qtype], len(b), len(best))
			}
			m.Compress = false
			size, plain = size+len(b), plain+m.Len()
		}
		t.Logf("%s %s: %d records, %d bytes, %d without compression", tt.name, dns.TypeToString[tt.qtype], records, size, plain)
		if float64(plain) < tt.least*float64(size) {
			t.Errorf("%s %s: %d bytes, and %d without compression: want %v times as many", tt.name, dns.TypeToString[tt.qtype], size, plain, tt.least)
		}
	}
}

// stream gives the messages of an answer over TCP; those of a transfer up to its last SOA.
func stream(t *testing.T, s *server.Server, name string, qtype uint16) (out [][]byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	query, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		t.Fatal(err)
	}
	for soas := 0; ; {
		var n uint16
		if err := binary.Read(conn, binary.BigEndian, &n); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		if qtype != dns.TypeAXFR {
			return out
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		if m.Rcode != dns.RcodeSuccess {
			t.Fatalf("%s: %s", name, dns.RcodeToString[m.Rcode])
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
		if soas == 2 {
			return out
		}
	}
}
