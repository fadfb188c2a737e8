package peers

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
)

// The addresses of the article's shards, by region.
var (
	american = []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	asian    = []string{"198.51.100.1", "198.51.100.2"}
	all      = slices.Concat(american, asian)
)

// TestDig has dig show every kind of answer.
func TestDig(t *testing.T) {
	s := startFedns(t, article(t, ""))
	for _, tt := range []struct {
		name, args string
		want       []string // parts of what is printed; with "!", not in it
	}{
		{"a zone", nginx + ".us-central1-a.us-central1.example.com", []string{
			"status: NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0", "\t180\tIN\tA\t192.0.2.1", "udp: 1232", "!EDE",
		}},
		{"the short form of a zone", "+short " + nginx + ".us-central1-a.example.com", []string{"192.0.2.1\n"}},
		{"over TCP", "+tcp " + nginx + ".us-central1-b.us-central1.example.com", []string{"IN\tA\t192.0.2.2", "(TCP)"}},
		{"without a shard that is up", nginx + ".europe-west1-b.europe-west1.example.com", []string{
			"status: NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 7, AUTHORITY: 0",
			nginx + ".europe-west1-b.europe-west1.example.com. 180\tIN\tCNAME\t" + nginx + ".europe-west1.example.com.\n",
			nginx + ".europe-west1.example.com.\t180\tIN\tCNAME\t" + nginx + ".example.com.\n",
			nginx + ".example.com.\t180\tIN\tA\t192.0.2.1\n",
			"EDE: 0 (Other): (no healthy shard in zone europe-west1-b of region europe-west1)",
		}},
		{"the CNAME itself", "+short CNAME " + nginx + ".europe-west1-b.europe-west1.example.com", []string{
			nginx + ".europe-west1.example.com.\n", "!" + nginx + ".example.com.",
		}},
		{"in mixed case", "NgInX.MyNamespace.MYFEDERATION.svc.US-central1-A.us-Central1.EXAMPLE.com", []string{
			"NgInX.MyNamespace.MYFEDERATION.svc.US-central1-A.us-Central1.EXAMPLE.com. IN A\n",
			"NgInX.MyNamespace.MYFEDERATION.svc.US-central1-A.us-Central1.EXAMPLE.com. 180 IN A 192.0.2.1\n",
		}},
		{"a port", "SRV _http._tcp." + nginx + ".us-central1-a.us-central1.example.com", []string{
			"ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 2", "IN\tSRV\t0 0 80 " + nginx + ".us-central1-a.us-central1.example.com.\n", "IN\tA\t192.0.2.1",
		}},
		{"a port that leads on", "+short SRV _http._tcp." + nginx + ".europe-west1.example.com", []string{
			"_http._tcp." + nginx + ".example.com.\n0 0 80 " + nginx + ".example.com.\n",
		}},
		{"everything", "ANY " + nginx + ".example.com", []string{"ANSWER: 1, ", "HINFO\t\"RFC8482\" \"\""}},
		{"everything of the domain, over UDP", "+notcp ANY example.com", []string{"ANSWER: 1, ", "HINFO\t\"RFC8482\" \"\""}},
		{"no address of a family", "AAAA " + nginx + ".us-central1.example.com", []string{
			"status: NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 0, AUTHORITY: 1", "example.com.\t\t5\tIN\tSOA\t",
			"EDE: 0 (Other): (no shard has an address of this family)",
		}},
		{"no EDNS, no extended error", "+noedns AAAA " + nginx + ".us-central1.example.com", []string{"status: NOERROR", "!EDE", "!EDNS"}},
		{"an unknown service", "apache.mynamespace.myfederation.svc.example.com", []string{
			"status: NXDOMAIN", "flags: qr aa rd; QUERY: 1, ANSWER: 0, AUTHORITY: 1", "example.com.\t\t5\tIN\tSOA\t",
		}},
		{"an unknown zone", nginx + ".us-central1-z.us-central1.example.com", []string{"status: NXDOMAIN", "flags: qr aa rd;"}},
		{"an empty non-terminal", "myfederation.svc.us-central1.example.com", []string{"status: NOERROR", "ANSWER: 0, AUTHORITY: 1"}},
		{"a static name that leads to a federated one", "us.nginx.example.com", []string{
			"flags: qr aa rd; QUERY: 1, ANSWER: 4, ", "CNAME\t" + nginx + ".us-central1.example.com.\n", "IN\tA\t192.0.2.3\n",
		}},
		{"a static name that leads further", "eu.nginx.example.com", []string{
			"flags: qr aa rd; QUERY: 1, ANSWER: 7, ", "CNAME\t" + nginx + ".europe-west1.example.com.\n", "IN\tA\t198.51.100.2\n",
		}},
		{"another domain", nginx + ".example.org", []string{"status: REFUSED", "flags: qr rd;"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := dig(t, s.Addr, strings.Fields(tt.args)...)
			// dig pads columns with tabs or, where there is no room, with one space.
			printed(blanks(out)).check(t, each(tt.want, blanks)...)
		})
	}
}

// blanks makes one space of every run of blanks.
func blanks(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		end := ""
		if strings.HasSuffix(line, "\n") {
			end = "\n"
		}
		lead := ""
		if strings.HasPrefix(line, "\t") {
			lead = " "
		}
		lines = append(lines, lead+strings.Join(strings.Fields(line), " ")+end)
	}
	return strings.Join(lines, "")
}

func each(ss []string, f func(string) string) []string {
	var out []string
	for _, s := range ss {
		out = append(out, f(s))
	}
	return out
}

func TestNslookup(t *testing.T) {
	s := startFedns(t, article(t, ""))
	host, port, _ := net.SplitHostPort(s.Addr)
	for _, tt := range []struct {
		name, args string
		want       []string
		fails      bool
	}{
		{"a zone", nginx + ".us-central1-a.us-central1.example.com", []string{"Address: 192.0.2.1\n", "!Non-authoritative"}, false},
		{"a region", nginx + ".asia-east1.example.com", []string{"Address: 198.51.100.1\n", "Address: 198.51.100.2\n", "!Address: 192.0.2."}, false},
		{"leads on", nginx + ".europe-west1.example.com", []string{
			nginx + ".europe-west1.example.com\tcanonical name = " + nginx + ".example.com.\n", "Address: 192.0.2.1\n", "Address: 198.51.100.2\n",
		}, false},
		{"a port", "-type=SRV _http._tcp." + nginx + ".example.com", []string{"service = 0 0 80 " + nginx + ".example.com.\n"}, false},
		{"the domain's servers", "-type=NS example.com", []string{"nameserver = ns1.example.com."}, false},
		{"unknown", "apache.mynamespace.myfederation.svc.example.com", []string{"NXDOMAIN"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command(server.Tool(t, "nslookup"), append(append([]string{"-port=" + port}, strings.Fields(tt.args)...), host)...).CombinedOutput()
			if (err != nil) != tt.fails {
				t.Errorf("nslookup: %v", err)
			}
			printed(out).check(t, tt.want...)
		})
	}
}

// TestGoResolver looks names up as every Go program does.
func TestGoResolver(t *testing.T) {
	s := startFedns(t, article(t, ""))
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, s.Addr)
			}}
			for _, tt := range []struct {
				name string
				want []string
			}{
				{nginx + ".us-central1-a.us-central1.example.com.", american[:1]},
				{nginx + ".us-central1.example.com.", american},
				{nginx + ".asia-east1.example.com.", asian},
				{nginx + ".europe-west1-b.example.com.", all},
				{"eu.nginx.example.com.", all},
			} {
				got, err := r.LookupHost(ctx, tt.name)
				slices.Sort(got)
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("LookupHost(%s) = %q, %v, want %q", tt.name, got, err, tt.want)
				}
			}
			// Go takes the first CNAME's target for the name's end; here it is.
			end, err := r.LookupCNAME(ctx, nginx+".europe-west1.example.com.")
			if err != nil || end != nginx+".example.com." {
				t.Errorf("LookupCNAME = %q, %v, want the global name", end, err)
			}
			name, srvs, err := r.LookupSRV(ctx, "http", "tcp", nginx+".us-central1.example.com.")
			want := []*net.SRV{{Target: nginx + ".us-central1.example.com.", Port: 80}}
			if err != nil || name != "_http._tcp."+nginx+".us-central1.example.com." || !reflect.DeepEqual(srvs, want) {
				t.Errorf("LookupSRV = %q, %+v, %v", name, srvs, err)
			}
			var missing *net.DNSError
			if _, err := r.LookupHost(ctx, "apache.mynamespace.myfederation.svc.example.com."); !errors.As(err, &missing) || !missing.IsNotFound {
				t.Errorf("an unknown service: %v, want that there is no such host", err)
			}
			if got, err := r.LookupNetIP(ctx, "ip6", nginx+".example.com."); !errors.As(err, &missing) || !missing.IsNotFound {
				t.Errorf("an address of a family that isn't there: %v, %v", got, err)
			}
		})
	}
}
