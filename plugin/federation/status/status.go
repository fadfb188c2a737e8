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
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A Status tells over HTTP what a server block answers, and why. It reads what the plugin
// and its pipeline know, and changes nothing.
type Status struct {
	Config
	turn chan struct{} // taken by whoever has a preview made
}

// Config is what a Status tells of.
type Config struct {
	Block       *zone.Block
	Pipe        *pipeline.Pipeline
	Federations []FederationConfig // by their places in the snapshot
	// Server is one of CoreDNS's that the questions of the block come by, through which records
	// are followed; nil: it isn't known.
	Server func() *dnsserver.Server
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
}

// Placeless is what nearest comes to where nobody can be placed.
const Placeless = "there is neither geo nor nets, so nobody knows where clients are: everybody gets every shard"

// New makes a Status.
func New(c Config) *Status { return &Status{Config: c, turn: make(chan struct{}, 1)} }

// timeout ends a request: whatever is asked is made in memory, so that one that takes longer
// has met a pipeline that doesn't run.
const timeout = 20 * time.Second

// A route answers the requests for one path, which may have these parameters.
type route struct {
	params []string
	answer func(*Status, context.Context, url.Values) (any, error)
}

var routes = map[string]route{
	"/api/v1/clusters": {nil, (*Status).Clusters},
	"/api/v1/services": {[]string{"federation", "namespace", "unhealthy", "limit", "after"}, (*Status).services},
	"/api/v1/snapshot": {nil, (*Status).snapshot},
	"/api/v1/explain":  {[]string{"name", "type", "client", "without"}, (*Status).explain},
	"/api/v1/preview":  {[]string{"order", "undrain", "federation", "limit"}, (*Status).Preview},
}

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
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out, err := s.route(ctx, r)
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = &fault{code: http.StatusInternalServerError, text: err.Error()}
		}
		if f.code == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD")
		}
		w.WriteHeader(f.code)
		out = report.Error{Error: f.text, Hint: f.hint}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(out) // a client that has gone needs no answer
}

func (s *Status) route(ctx context.Context, r *http.Request) (any, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, &fault{code: http.StatusMethodNotAllowed, text: r.Method + ": everything here is read with GET"}
	}
	to, ok := routes[r.URL.Path]
	if !ok {
		paths := make([]string, 0, len(routes))
		for p := range routes {
			paths = append(paths, p)
		}
		slices.Sort(paths)
		return nil, &fault{code: http.StatusNotFound, text: fmt.Sprintf("there is nothing at %q", r.URL.Path), hint: strings.Join(paths, ", ")}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("%v", err)
	}
	for p := range values {
		if !slices.Contains(to.params, p) {
			return nil, bad("unknown parameter %q", p).with("it takes: " + strings.Join(to.params, ", "))
		}
	}
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
