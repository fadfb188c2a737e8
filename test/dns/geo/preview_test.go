package geo

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/server"
)

// inRegions are the clients of each region, by an operator's word, and one that nobody can
// place.
var inRegions = func() map[string]string {
	out := map[string]string{report.NobodyKnows: "8.8.8.8/32"}
	for i, m := range members {
		out[m.region] = fmt.Sprintf("10.%d.0.0/16", 100+i)
	}
	return out
}()

// A sight is what clients get of the services: by service and client.
type sight map[[2]string]string

// look asks for all of them, so often that whatever may be drawn is.
func look(t *testing.T, s *server.Server, services []string) sight {
	t.Helper()
	out := sight{}
	for _, service := range services {
		for region, subnet := range inRegions {
			all := map[string]bool{}
			for set := range counted(t, s, 50, service+".shop.fed.svc.example.com.", subnet) {
				for _, a := range strings.Fields(set) {
					all[a] = true
				}
			}
			out[[2]string{service, region}] = strings.Join(slices.Sorted(maps.Keys(all)), " ")
		}
	}
	return out
}

// TestPreview: what a preview says of each service and each client's region is what comes
// of it, and of what it doesn't speak nothing comes.
func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]service{
		"three":  {policy: "nearest 3"},
		"both":   {members: "iowa edo belgium", policy: "weighted 2", weights: map[string]string{"iowa": "3", "edo": "2", "belgium": "0"}},
		"hand":   {members: "iowa taiwan", policy: "failover us-central1 asia-east1 failback manual"},
		"slowly": {members: "iowa taiwan", policy: "failover us-central1 asia-east1 failback delayed 1h"},
	})
	services := []string{"web", "few", "lone", "every", "two", "three", "draw", "both", "first", "hand", "slowly", "down"}
	var nets []string
	for region, subnet := range inRegions {
		if region != report.NobodyKnows {
			nets = append(nets, "nets "+subnet+" "+region)
		}
	}
	// A host of which each order changes a shard, and few the answer.
	s, status := operated(t, w, append(nets, "alias own.example.com shop/every europe-west1")...)
	ask := func(v url.Values) report.Preview {
		t.Helper()
		resp, err := http.Get("http://" + status + "/api/v1/preview?" + v.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var p report.Preview
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v: %s, %v", v, resp.Status, err)
		}
		return p
	}
	before := look(t, s, services)
	for _, tt := range []struct {
		args    string
		changed string // services of which the global name is answered otherwise
	}{
		{"drain cluster/edo --reason x", "web every two three draw both"},
		{"drain region/us-central1 --reason x", "web few every two three draw both hand slowly"},
		{"undrain cluster/edo", "web every two three draw both"},
		{"undrain region/us-central1", "web few every two three draw both"}, // hand and slowly stay where they are
		{"failback service/shop/hand --reason x", "hand"},
		{"failback region/us-central1 --reason x", "slowly"},
		{"down zone/europe-west1-a --reason x", "web every two three first"},
		{"undrain zone/europe-west1-a", "web every two three first"},
		{"drain service/shop/first --reason x", "first"},
		{"undrain service/shop/first", "first"},
		{"up service/shop/down --reason x", "down"},
	} {
		v := url.Values{}
		fields := strings.Fields(tt.args)
		if fields[0] == "undrain" {
			v.Set("undrain", fields[1])
		} else {
			v.Set("order", fmt.Sprintf("%s %s reason %q", fields[0], fields[1], fields[3]))
		}
		p := ask(v)
		// Said by name, and for whom.
		said := map[[2]string]report.NameChange{}
		if p.Services != len(p.Changes) {
			t.Errorf("%s: %d services change, and %d are told of", tt.args, p.Services, len(p.Changes))
		}
		for _, c := range p.Changes {
			if len(c.Names) == 0 {
				t.Errorf("%s: nothing changes of %s, which is told of", tt.args, c.Service)
			}
			for _, n := range c.Names {
				service, ok := strings.CutSuffix(n.Name, ".shop.fed.svc.example.com.")
				if !ok {
					continue
				}
				for region := range inRegions {
					if len(n.Clients) == 0 || slices.Contains(n.Clients, region) {
						said[[2]string{service, region}] = n
					}
				}
			}
		}
		if dry := fedctl(t, status, append(fields, "--dry-run")...); !strings.Contains(dry, fmt.Sprintf("%d service", p.Services)) {
			t.Errorf("%s: the API says %d services, fedctl\n%s", tt.args, p.Services, dry)
		}
		fedctl(t, status, append(fields, map[bool][]string{true: {"--force"}}[p.Orphaned > 0]...)...)
		var after sight
		changed := map[string]bool{}
		why := ""
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			after, why = look(t, s, services), ""
			clear(changed)
			for at, was := range before {
				n, ok := said[at]
				want := was
				if ok {
					want = strings.Join(n.After.Addresses, " ")
					if is := strings.Join(n.Before.Addresses, " "); is != was {
						t.Fatalf("%s: %q gets %q, and the preview says %q", tt.args, at, was, is)
					}
					changed[at[0]] = true
				}
				if after[at] != want {
					why = fmt.Sprintf("%q gets %q after %q; the preview says %q", at, after[at], was, want)
				}
			}
			if why == "" || time.Now().After(end) {
				break
			}
		}
		if why != "" {
			t.Fatalf("%s: %s", tt.args, why)
		}
		if got, want := slices.Sorted(maps.Keys(changed)), slices.Sorted(slices.Values(strings.Fields(tt.changed))); !slices.Equal(got, want) {
			t.Errorf("%s: %q change, want %q", tt.args, got, want)
		}
		before = after
	}
	if m := s.Ask(t, "hand.shop.fed.svc.example.com.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("hand is answered with %v", m.Answer)
	}
}
