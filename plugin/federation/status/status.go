// Package status tells over HTTP what a server block answers and why, as JSON: clusters,
// services, the snapshot, the explanation of a name, and what an order would change.
//
// A Status reads the pipeline, the snapshot and the domains, and changes nothing. routes are
// its paths; explain (explain.go) asks the very code that answers questions, and rule.go puts
// into words what became of each shard. What is said is in package report.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/page"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A Status tells over HTTP what a server block answers, and why. It reads what the plugin
// and its pipeline know, and changes nothing.
type Status struct {
	Config
	page  *page.Page
	turn  chan struct{} // taken by whoever has a preview made
	ended chan struct{} // closed once another configuration goes on
	end   func()
}

// Config is what a Status tells of.
type Config struct {
	Block       *zone.Block
	Pipe        *pipeline.Pipeline
	Federations []FederationConfig // by their places in the snapshot
	// Server is one of CoreDNS's that the questions of the block come by, through which records
	// are followed; nil: it isn't known.
	Server func() *dnsserver.Server
	// Signing tells of the domains that are signed.
	Signing func(now time.Time) []report.Signing
	// Publishing tells of the names that are published.
	Publishing func() []report.Publication
	Access     Access
}

// FederationConfig is one federation, as the Corefile says it.
type FederationConfig struct {
	Name      string
	Domains   []string
	TTL       uint32 // seconds
	Policy    shard.Policy
	Overrides Overrides
	Home      topology.ClusterName // whose pods ask here; "": nobody's
	HomeZone  string               // where the federation stands in that cluster's domain
	Members   func() []shard.Cluster
	Registry  Registry // nil: it has none
}

// Registry is what a federation's registry says.
type Registry interface {
	Orders(now time.Time) []override.Order // that hold
	Object(o override.Order) string        // that an order is from; "": none of its
	ServerName() string                    // of this server
	// Peers are the servers of the federation; wrong says why they can't be known, "": they are.
	Peers(now time.Time) (all []report.Peer, wrong string)
}

// New makes a Status.
func New(c Config) *Status {
	ended := make(chan struct{})
	s := &Status{Config: c, turn: make(chan struct{}, 1), ended: ended, end: sync.OnceFunc(func() { close(ended) })}
	s.page = page.New(s)
	return s
}

// Ask implements page.Source: it is as if the path were asked for.
func (s *Status) Ask(ctx context.Context, path string, v url.Values) (any, error) {
	i := slices.IndexFunc(Routes, func(to Route) bool { return to.Path == path && to.answer != nil })
	if i < 0 {
		panic("status: the page asks for " + path)
	}
	out, err := Routes[i].answer(s, ctx, v)
	var f *fault
	if errors.As(err, &f) {
		return nil, &page.Fault{Code: f.code, Text: f.text, Hint: f.hint}
	}
	return out, err
}

// Moment implements page.Source.
func (s *Status) Moment() report.Moment {
	current := s.Block.Current.Load()
	return report.Moment{Serial: current.Serial, Publication: current.Publication, Newest: s.Pipe.History().Newest()}
}

// Follow implements page.Source.
func (s *Status) Follow() (news <-chan struct{}, end func(), ok bool) {
	return s.Pipe.History().Follow()
}

// Ended implements page.Source.
func (s *Status) Ended() <-chan struct{} { return s.ended }

// timeout ends a request: whatever is asked is made in memory, so that one that takes longer
// has met a pipeline that doesn't run.
const timeout = 20 * time.Second

// A Param is a parameter of a path.
type Param struct {
	Name, What string
	Many       bool // it may be given several times
}

// A Route is a path with what is to be had there.
type Route struct {
	Path, What string
	Params     []Param
	Result     any // a value of the type that is answered; of a stream, what its events carry

	answer func(*Status, context.Context, url.Values) (any, error) // nil: it is a stream
}

var (
	paramAt         = Param{Name: "at", What: "a moment that has passed, in Unix seconds: what was answered then"}
	paramFederation = Param{Name: "federation", What: "only what is of this one"}
	paramAfter      = Param{Name: "after", What: "id of an event: only those that follow it"}
	eventParams     = []Param{
		paramFederation,
		{Name: "cluster", What: "only what is of this one"},
		{Name: "service", What: "KIND/NAMESPACE/NAME, or NAMESPACE/NAME of a Service: only what is of this one"},
		{Name: "kind", What: "shard, service, cluster, order or notice"},
		{Name: "text", What: "only what has these letters in the name, the change or the reason"},
		{Name: "since", What: "a moment in Unix seconds"},
		{Name: "until", What: "a moment in Unix seconds"},
		paramAfter,
	}
)

// Routes are all paths.
var Routes = []Route{
	{"/api/v1/clusters", "How the members stand.", []Param{paramAt}, report.Clusters{}, (*Status).Clusters},
	{"/api/v1/services", "What is answered for, and each shard.", []Param{
		paramFederation, {Name: "namespace", What: "only what is of this one"},
		{Name: "unhealthy", What: "true: only those of which a shard isn't up, or is only last known to be"},
		{Name: "healthy", What: "true: only the others"},
		{Name: "text", What: "only those with these letters in NAMESPACE/NAME"},
		{Name: "limit", What: "how many at most, up to 10000; 100 by default"},
		{Name: "after", What: "next of the page before"}, paramAt,
	}, report.Services{}, (*Status).services},
	{"/api/v1/snapshot", "What is answered from, and the orders in force.", nil, report.Snapshot{}, (*Status).snapshot},
	{"/api/v1/explain", "What a name is answered with, and why.", []Param{
		{Name: "name", What: "a name, or a shorter word for it: NAMESPACE/NAME, service/NAMESPACE/NAME, NAME.NAMESPACE.FEDERATION"},
		{Name: "type", What: "of records; A by default"}, {Name: "client", What: "an IP address"},
		{Name: "without", What: "a cluster: what would be if it were lost", Many: true}, paramAt,
	}, report.Explanation{}, (*Status).explain},
	{"/api/v1/preview", "What orders would change.", []Param{
		{Name: "order", What: "a line of a file of overrides", Many: true}, {Name: "undrain", What: "a subject, whose orders are taken back", Many: true},
		{Name: "federation", What: "only what is of this one", Many: true}, {Name: "limit", What: "how many services are named, up to 10000; 100 by default"},
	}, report.Preview{}, (*Status).Preview},
	{"/api/v1/events", "What has changed in the last day.", append([]Param{{Name: "limit", What: "how many at most, up to 10000; 200 by default"}}, eventParams...), report.Events{}, (*Status).events},
	{"/api/v1/traffic", "How many answers there are, by service, scope and outcome: counted while it is asked, so that this takes as long.", []Param{
		{Name: "seconds", What: "for how long, 0.1 to 10; 1 by default"}, paramFederation, {Name: "namespace", What: "only what is of this one"},
		{Name: "limit", What: "how many rows at most, up to 10000, the busiest first; 100 by default"},
	}, report.Traffic{}, (*Status).traffic},
	{"/api/v1/peers", "The servers of the federations, beside each other.", nil, report.Peers{}, (*Status).peers},
	{Stream, "What is answered (moment), what happens (event) and what can't be told any more (missed), as server-sent events.", eventParams, report.Event{}, nil},
}

// Stream is the path of server-sent events.
const Stream = "/api/v1/stream"

// Description is the path of what describes all of them, for programs.
const Description = "/api/v1/openapi.json"

// A fault is what is wrong with a request, or with us.
type fault struct {
	code       int
	text, hint string
}

func (f *fault) Error() string { return f.text }

func bad(format string, v ...any) *fault {
	return &fault{code: http.StatusBadRequest, text: fmt.Sprintf(format, v...)}
}

func (f *fault) with(hint string) *fault {
	f.hint = hint
	return f
}

// errEnded is for a request that meets a pipeline on its way out.
var errEnded = &fault{code: http.StatusServiceUnavailable, text: "this configuration is being replaced; ask again"}

// ServeHTTP implements http.Handler.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.admit(r); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err.code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="fedns", charset="UTF-8"`)
		}
		s.refuse(w, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, largestBody)
	if page.Serves(r.URL.Path) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.page.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == Description {
		_, _ = io.WriteString(w, report.OpenAPI)
		return
	}
	out, err := s.route(w, r)
	if err == nil && out == nil {
		return // it has been said bit by bit
	}
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = &fault{code: http.StatusInternalServerError, text: err.Error()}
		}
		s.refuse(w, f)
		return
	}
	write(w, out)
}

// refuse says what is wrong.
func (s *Status) refuse(w http.ResponseWriter, f *fault) {
	if f.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.code)
	write(w, report.Error{Error: f.text, Hint: f.hint})
}

func write(w http.ResponseWriter, out any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(out) // a client that has gone needs no answer
}

func (s *Status) route(w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, &fault{code: http.StatusMethodNotAllowed, text: r.Method + ": everything here is read with GET"}
	}
	i := slices.IndexFunc(Routes, func(to Route) bool { return to.Path == r.URL.Path })
	if i < 0 {
		paths := []string{Description}
		for _, to := range Routes {
			paths = append(paths, to.Path)
		}
		slices.Sort(paths)
		return nil, &fault{code: http.StatusNotFound, text: fmt.Sprintf("there is nothing at %q", r.URL.Path), hint: strings.Join(paths, ", ")}
	}
	to := &Routes[i]
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("%v", err)
	}
	for p := range values {
		if !slices.ContainsFunc(to.Params, func(q Param) bool { return q.Name == p }) {
			var known []string
			for _, q := range to.Params {
				known = append(known, q.Name)
			}
			return nil, bad("unknown parameter %q", p).with("it takes: " + strings.Join(known, ", "))
		}
	}
	if to.answer == nil {
		return nil, s.stream(w, r, values)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return to.answer(s, ctx, values)
}

// limit reads how many entries are wanted at most.
func limit(v url.Values, usual, most int) (int, error) {
	if !v.Has("limit") {
		return usual, nil
	}
	n, err := strconv.Atoi(v.Get("limit"))
	if err != nil || n < 1 || n > most {
		return 0, bad("limit: %q is not a number from 1 to %d", v.Get("limit"), most)
	}
	return n, nil
}
