package publish

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A recordSet is one of Route 53, as its API has it.
type recordSet struct {
	XMLName       xml.Name `xml:"ResourceRecordSet"`
	Name          string
	Type          string
	SetIdentifier string   `xml:",omitempty"`
	Weight        *int     `xml:",omitempty"`
	Region        string   `xml:",omitempty"`
	Failover      string   `xml:",omitempty"`
	TTL           int      `xml:",omitempty"`
	Values        []record `xml:"ResourceRecords>ResourceRecord"`
	HealthCheckID string   `xml:"HealthCheckId,omitempty"`
}

// A record is the value of one in a set.
type record struct{ Value string }

func (s *recordSet) key() string { return s.Name + " " + s.Type + " " + s.SetIdentifier }

// String is what a set says, but for its name.
func (s recordSet) String() string {
	by := ""
	if s.Weight != nil {
		by = fmt.Sprintf("%s weight %d: ", s.SetIdentifier, *s.Weight)
	} else if s.Region != "" {
		by = fmt.Sprintf("%s latency: ", s.Region)
	} else if s.Failover != "" {
		by = s.Failover + ": "
	}
	if s.HealthCheckID != "" {
		by = strings.TrimSuffix(by, ": ") + " if " + s.HealthCheckID + ": "
	}
	values := make([]string, len(s.Values))
	for i, v := range s.Values {
		values[i] = v.Value
	}
	slices.Sort(values)
	return by + strings.Join(values, ", ")
}

// route53 plays the part of Route 53's API that external-dns uses, with its rules for what may stand side by side.
type route53 struct {
	mu      sync.Mutex // guards the rest
	sets    map[string]recordSet
	refused []string
	emptied []string // names of services that had no addresses after a batch, and had some before
}

const route53Zone = "/2013-04-01/hostedzone"

func (r *route53) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const head = `<?xml version="1.0"?>`
	const xmlns = ` xmlns="https://route53.amazonaws.com/doc/2013-04-01/"`
	w.Header().Set("Content-Type", "text/xml")
	switch path := strings.TrimSuffix(req.URL.Path, "/"); {
	case path == route53Zone:
		fmt.Fprint(w, head+`<ListHostedZonesResponse`+xmlns+`><HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name><CallerReference>x</CallerReference><Config><PrivateZone>false</PrivateZone></Config></HostedZone></HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>`)
	case path == route53Zone+"/Z1/rrset" && req.Method == http.MethodGet:
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(r.sets)) {
			text, err := xml.Marshal(r.sets[k])
			if err != nil {
				r.refused = append(r.refused, err.Error())
			}
			b.Write(text)
		}
		fmt.Fprint(w, head+`<ListResourceRecordSetsResponse`+xmlns+`><ResourceRecordSets>`+b.String()+`</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>`)
	case path == route53Zone+"/Z1/rrset":
		var batch struct {
			Changes []struct {
				Action            string
				ResourceRecordSet recordSet
			} `xml:"ChangeBatch>Changes>Change"`
		}
		err := xml.NewDecoder(req.Body).Decode(&batch)
		next := maps.Clone(r.sets)
		for _, c := range batch.Changes {
			s := c.ResourceRecordSet
			s.Name = strings.TrimSuffix(s.Name, ".") + "." // as Route 53 has it
			was, there := next[s.key()]
			switch {
			case c.Action == "CREATE" && there:
				err = fmt.Errorf("%s is there", s.key())
			case c.Action == "DELETE" && (!there || was.String() != s.String()):
				err = fmt.Errorf("%s isn't there as %s", s.key(), s)
			case c.Action == "DELETE":
				delete(next, s.key())
			case there && was.Failover != s.Failover:
				err = fmt.Errorf("%s is %q, and is to become %q", s.key(), was.Failover, s.Failover)
			default:
				next[s.key()] = s
			}
		}
		if err == nil {
			err = allowed(next)
		}
		if err != nil {
			r.refused = append(r.refused, err.Error())
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, head+`<ErrorResponse`+xmlns+`><Error><Type>Sender</Type><Code>InvalidChangeBatch</Code><Message>`+err.Error()+`</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
			return
		}
		has := map[string]bool{}
		for _, s := range next {
			has[s.Name+" "+s.Type] = true
		}
		for _, s := range r.sets {
			if name := s.Name + " " + s.Type; s.Type == "A" && !has[name] {
				r.emptied = append(r.emptied, name)
			}
		}
		r.sets = next
		fmt.Fprint(w, head+`<ChangeResourceRecordSetsResponse`+xmlns+`><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// allowed says which of Route 53's rules is broken.
func allowed(sets map[string]recordSet) error {
	kinds, regions, roles := map[string]string{}, map[string]string{}, map[string]string{}
	for _, s := range sets {
		name, kind := s.Name+" "+s.Type, "simple"
		if s.Weight != nil {
			if kind = "weighted"; *s.Weight < 0 || *s.Weight > 255 {
				return fmt.Errorf("%s has weight %d", s.key(), *s.Weight)
			}
		} else if s.Region != "" {
			kind = "latency"
			if o, ok := regions[name+s.Region]; ok {
				return fmt.Errorf("%s and %s are both of region %s", s.SetIdentifier, o, s.Region)
			}
			regions[name+s.Region] = s.SetIdentifier
		} else if s.Failover != "" {
			kind = "failover"
			if o, ok := roles[name+s.Failover]; ok {
				return fmt.Errorf("%s and %s are both %s", s.SetIdentifier, o, s.Failover)
			}
			if roles[name+s.Failover] = s.SetIdentifier; s.Failover == "PRIMARY" && s.HealthCheckID == "" {
				return fmt.Errorf("%s: a non-alias primary ResourceRecordSet must have an associated health check", s.key())
			}
		}
		if (kind == "simple") != (s.SetIdentifier == "") {
			return fmt.Errorf("%s is %s", s.key(), kind)
		}
		if o := kinds[name]; o != "" && o != kind {
			return fmt.Errorf("%s is %s beside one that is %s", s.key(), kind, o)
		}
		if kinds[name] = kind; len(s.Values) == 0 {
			return fmt.Errorf("%s is empty", s.key())
		}
	}
	return nil
}

// has are the sets of a name, a line each.
func (r *route53) has(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, s := range r.sets {
		if s.Name == name+"." && s.Type == "A" {
			out = append(out, s.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// External-dns's provider for AWS makes of the objects what Route 53 chooses from: by weight, by latency, by health checks;
// a policy that changes is taken at once, and no name is ever empty between.
func TestRoute53(t *testing.T) {
	needExternalDNS(t)
	hub := cluster.New(t).API(t, "hub")
	hub.Kubectl(t, "apply", "-f", "testdata/dnsendpoints.yaml")
	hub.Kubectl(t, "wait", "--for=condition=Established", "crd/dnsendpoints.externaldns.k8s.io", "--timeout=60s")
	for _, ns := range []string{"dns", "federation-system"} {
		hub.Kubectl(t, "create", "namespace", ns)
	}
	r := &route53{sets: map[string]recordSet{}}
	api := httptest.NewServer(r)
	t.Cleanup(api.Close)
	for k, v := range map[string]string{"AWS_ENDPOINT_URL_ROUTE_53": api.URL, "AWS_ENDPOINT_URL": api.URL, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(k, v)
	}

	w := &world{t.TempDir()}
	clusters := []string{"paris", "york"}
	serve := func(policy string, weights [2]int, ready ...bool) {
		t.Helper()
		for i, c := range clusters {
			region := []string{"eu-west-3", "us-east-1"}[i]
			web := vector.With(vector.With(vector.Service("shop", "web", fmt.Sprint("192.0.2.", i+1)), "fedns.io/policy", policy), "fedns.io/weight", strconv.Itoa(weights[i]))
			vector.WriteManifest(t, filepath.Join(w.dir, c, "cluster.json"), vector.Node("n", region, region+"a"), web, vector.Slice("shop", "web", ready[i], region+"a"))
		}
	}
	serve("weighted", [2]int{200, 100}, true, true)
	s := server.Start(t, "example.com:PORT {\n bind ADDR\n prometheus METRICS\n federation fed {\n"+server.Members(w.dir, clusters...)+
		"  registry "+hub.Kubeconfig+"\n  publish external-dns dns route53 eu-west-3=check-eu\n }\n ready READY\n errors\n}\n")
	externalDNS(t, hub, "--provider=aws", "--aws-zone-type=public")
	const web = "web.shop.fed.svc.example.com"
	becomes := func(name, want string) {
		t.Helper()
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("%s: %s\n%s", name, got, s.Log())
			}
		}()
		server.Eventually(t, 2*time.Minute, name+" is "+want, func() bool {
			got = r.has(name)
			return got == want
		})
	}
	const paris, york = "eu-west-3a.eu-west-3 weight 200 if check-eu: 192.0.2.1", "us-east-1a.us-east-1 weight 100: 192.0.2.2"
	becomes(web, paris+"; "+york)
	becomes("web.shop.fed.svc.eu-west-3.example.com", paris)
	serve("weighted", [2]int{200, 100}, false, true)
	becomes(web, york)
	becomes("web.shop.fed.svc.eu-west-3.example.com", york)
	serve("weighted", [2]int{200, 100}, true, true)
	becomes(web, paris+"; "+york)
	serve("nearest", [2]int{200, 100}, true, true)
	becomes(web, "eu-west-3 latency if check-eu: 192.0.2.1; us-east-1 latency: 192.0.2.2")
	serve("all", [2]int{200, 100}, true, true)
	becomes(web, "192.0.2.1, 192.0.2.2")
	serve("weighted", [2]int{1, 0}, true, true)
	becomes(web, "eu-west-3a.eu-west-3 weight 1 if check-eu: 192.0.2.1; us-east-1a.us-east-1 weight 0: 192.0.2.2")

	serve("failover eu-west-3 us-east-1", [2]int{1, 1}, true, true)
	becomes(web, "PRIMARY if check-eu: 192.0.2.1; SECONDARY: 192.0.2.2")
	becomes("web.shop.fed.svc.us-east-1.example.com", "192.0.2.2")
	serve("failover eu-west-3 us-east-1", [2]int{1, 1}, false, true)
	becomes(web, "PRIMARY if check-eu: 192.0.2.2") // us-east-1 has no check: it stands alone, and so is answered always
	becomes("web.shop.fed.svc.eu-west-3.example.com", "192.0.2.2")
	serve("failover us-east-1 eu-west-3", [2]int{1, 1}, true, false)
	becomes(web, "PRIMARY if check-eu: 192.0.2.1")
	serve("failover eu-west-3 us-east-1", [2]int{1, 1}, true, true)
	becomes(web, "PRIMARY if check-eu: 192.0.2.1; SECONDARY: 192.0.2.2")
	serve("failover us-east-1 mars", [2]int{1, 1}, true, true) // none of them has a check
	becomes(web, "192.0.2.2")
	serve("failover eu-west-3", [2]int{1, 1}, true, true)
	becomes(web, "PRIMARY if check-eu: 192.0.2.1; SECONDARY: 192.0.2.2")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refused) > 0 || len(r.emptied) > 0 {
		t.Errorf("refused: %q; without addresses in between: %q", r.refused, r.emptied)
	}
}
