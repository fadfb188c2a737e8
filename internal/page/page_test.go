package page

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fedns/fedns/internal/api/report"
)

// hostile is what a member may write.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "\u202e"

// fill sets all of a value to something, so that nothing of a page is left out.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Slice:
		if depth > 8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.String:
		v.SetString(hostile + strings.Repeat("x", 1000))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1_800_000_000)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	default:
		v.SetInt(7)
	}
}

// A full source has something in every field of every report.
type full struct {
	empty bool
	asked atomic.Int64
	state atomic.Uint64
	fault error
	news  chan struct{}
	ended chan struct{}
}

func (s *full) Follow() (<-chan struct{}, func(), bool) { return s.news, func() {}, s.news != nil }
func (s *full) Ended() <-chan struct{}                  { return s.ended }

func (s *full) Moment() report.Moment { return report.Moment{Publication: s.state.Load()} }

func (s *full) Ask(_ context.Context, path string, _ url.Values) (any, error) {
	s.asked.Add(1)
	if s.fault != nil {
		return nil, s.fault
	}
	kinds := map[string]any{"clusters": report.Clusters{}, "services": report.Services{}, "snapshot": report.Snapshot{}, "explain": report.Explanation{}, "preview": report.Preview{}, "events": report.Events{}, "peers": report.Peers{}}
	v := reflect.New(reflect.TypeOf(kinds[strings.TrimPrefix(path, "/api/v1/")])).Elem()
	if !s.empty {
		fill(v, 0)
	}
	return v.Interface(), nil
}

var all = []string{"/", "/?at=1800000000&text=x", "/why", "/why?name=a&take=cluster/a&take=zone/b&order=drain+region/x+until+2030-01-01T00:00:00Z+reason+%22y%22&type=SRV&client=192.0.2.1", "/why?name=a&at=1800000000", "/events", "/events?kind=shard&text=a&cluster=b&at=1800000000"}

// Whatever is there is text on a page, and of bounded length; and where nothing is, that is said.
func TestPages(t *testing.T) {
	for _, s := range []*full{{}, {empty: true}, {fault: &Fault{Code: 404, Text: hostile, Hint: hostile}}, {fault: fmt.Errorf("%s", hostile)}} {
		p := New(s)
		for _, path := range all {
			rec := httptest.NewRecorder()
			p.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
			text := rec.Body.String()
			if s.fault == nil && rec.Code != 200 || s.fault != nil && rec.Code < 400 {
				t.Errorf("%s: %d\n%s", path, rec.Code, text)
			}
			if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") || strings.Contains(text, strings.Repeat("x", 1001)) && len(text) > 5_000_000 {
				t.Errorf("%s: it is more than text:\n%s", path, text)
			}
			if !strings.Contains(text, "</html>") || strings.Contains(text, "<no value>") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "%!") {
				t.Errorf("%s: not whole:\n%s", path, text)
			}
			for _, inline := range []string{" style=", " onclick=", "<style", "javascript:"} {
				if strings.Contains(text, inline) && !strings.Contains(hostile, inline) {
					t.Errorf("%s: has %q, which the policy forbids", path, inline)
				}
			}
			if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
	}
}

// Hundreds that look at one thing cost as much as one, until something else is answered.
func TestKept(t *testing.T) {
	s := &full{empty: true}
	p := New(s)
	get := func(head ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/events", nil)
		for i := 0; i+1 < len(head); i += 2 {
			r.Header.Set(head[i], head[i+1])
		}
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, r)
		return rec
	}
	first := get()
	asked := s.asked.Load()
	for range 100 {
		get()
	}
	if n := s.asked.Load(); n > 3*asked { // on a slow machine its time may be over
		t.Errorf("asked %d times, first %d", n, asked)
	}
	if again := get("If-None-Match", first.Header().Get("ETag")); again.Code != 304 && again.Header().Get("ETag") == first.Header().Get("ETag") {
		t.Errorf("%d", again.Code)
	}
	if z := get("Accept-Encoding", "gzip"); z.Header().Get("Content-Encoding") != "gzip" || z.Body.Len() >= first.Body.Len() {
		t.Errorf("%d bytes of %d", z.Body.Len(), first.Body.Len())
	}
	before := s.asked.Load()
	s.state.Add(1)
	get()
	if s.asked.Load() == before {
		t.Error("something else is answered, and the page is the old one")
	}
}

// What the pages are made of is small, and all of it is here.
func TestSize(t *testing.T) {
	p := New(&full{empty: true})
	sum := 0
	for _, a := range p.assets {
		sum += len(a.text)
	}
	for _, path := range all {
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		sum += rec.Body.Len()
	}
	if sum += len(world); sum > 150_000 {
		t.Errorf("%d bytes", sum)
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("GET", "/static/../page.go", nil))
	if rec.Code != 404 {
		t.Errorf("%d", rec.Code)
	}
	for _, wrong := range []string{"/?text=" + strings.Repeat("x", longestQuery), "/?at=NaN", "/why?at=-1", "/events?at=Inf", "/?at=1e11", "/?at=now"} {
		rec = httptest.NewRecorder()
		if p.ServeHTTP(rec, httptest.NewRequest("GET", wrong, nil)); rec.Code != 400 {
			t.Errorf("%.50s: %d", wrong, rec.Code)
		}
	}
}

// What is wrong with a page isn't the server's end.
func TestBroken(t *testing.T) {
	p := New(&full{empty: true})
	p.source = broken{}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 500 || !strings.Contains(rec.Body.String(), "by a fault of fedns") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

type broken struct{}

func (broken) Moment() report.Moment                                { return report.Moment{} }
func (broken) Follow() (<-chan struct{}, func(), bool)              { return nil, nil, false }
func (broken) Ended() <-chan struct{}                               { return nil }
func (broken) Ask(context.Context, string, url.Values) (any, error) { panic("it is broken") }

// Troubles are found in order, with when they end and what to do.
func TestTroubles(t *testing.T) {
	left := 90.0
	s := &state{now: 1000, snapshot: report.Snapshot{Federations: []report.Federation{{Federation: "fed", TTL: 180, GuardHeldServices: 3, GuardLeftSeconds: 7, HoldSeconds: 300,
		InForce: []report.Order{{Action: "drain", Subject: "zone/eu-a", Reason: "disks", Line: `drain zone/eu-a reason "disks"`}, {Action: "down", Subject: "cluster/x", Until: 2000, Line: "y"}, {Action: "up", Subject: "cluster/z", OverruledBy: []string{"y"}}}}}},
		clusters: report.Clusters{Clusters: []report.Cluster{{Federation: "fed", Cluster: "eu", Silent: true, SilentSeconds: 10, HoldLeftSeconds: &left, Reason: "connection refused", Listed: true}, {Federation: "fed", Cluster: "us", Listed: true}}},
		services: report.Services{Services: []report.Service{
			{Namespace: "shop", Name: "web", Kind: "svc", Down: "none", Shards: []report.ServiceShard{{Cluster: "us", Verdict: "down", Reason: probeFails, Endpoints: 2, Since: 950}, {Cluster: "eu", Verdict: "down", Reason: "no ready endpoint"}}},
			{Namespace: "shop", Name: "api", Kind: "svc", Addresses: []report.Address{{}}, Shards: []report.ServiceShard{{Cluster: "us", Verdict: "down", Reason: probeFails, Endpoints: 1, Since: 900}, {Cluster: "ap", Verdict: "up"}}},
		}},
		events: []report.Event{{Kind: report.EventNotice, Federation: "fed", To: "guard: 3 of 4 addresses would go", At: 990}, {Kind: report.EventOrder, To: "in force", Reason: "y", At: 995}}}
	got := troubles(s)
	var lines []string
	for _, x := range got {
		lines = append(lines, fmt.Sprintf("%s|%s|%.0f|%.0f", x.Grade, x.What, x.Since, x.Until))
	}
	want := []string{
		"wrong|Nothing is answered for shop/web|950|0",
		"doubt|The guard holds withdrawals of 3 services back|990|1007",
		"doubt|Drained: zone/eu-a|0|0",
		"doubt|Cluster eu is silent|990|1090",
		"doubt|2 services in us: probe fails|900|1080",
		"ordered|Forced down: cluster/x|995|2000",
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for _, x := range got {
		if x.What == "Drained: zone/eu-a" && (!strings.Contains(x.Do, "forgotten") || x.Run != "fedctl undrain zone/eu-a") {
			t.Errorf("%+v", x)
		}
		if strings.Contains(x.What, probeFails) && !strings.Contains(x.Why, "endpoints are ready (2 of 2)") {
			t.Errorf("%+v", x)
		}
	}
	if none := troubles(&state{}); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestCommand(t *testing.T) {
	got := command([]string{"cluster/a", "x'; rm -rf /"}, `drain zone/b until 2030-01-01T00:00:00Z reason "it's \"x\""`)
	want := "fedctl down cluster/a --reason 'what if' --dry-run\nfedctl down 'x'\\''; rm -rf /' --reason 'what if' --dry-run\nfedctl drain zone/b --until 2030-01-01T00:00:00Z --reason 'it'\\''s \"x\"' --dry-run"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
