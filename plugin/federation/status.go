package federation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
)

// A status tells over HTTP what a server block answers, and why. It reads what
// the plugin and its pipeline know, and changes nothing.
type status struct {
	f       *Federation
	stanzas []stanza // by index of the federation
	server  atomic.Pointer[dnsserver.Server]
	turn    chan struct{} // taken by whoever has a preview made
}

func newStatus(f *Federation, stanzas []stanza) *status {
	return &status{f: f, stanzas: stanzas, turn: make(chan struct{}, 1)}
}

const (
	// statusPort is next to CoreDNS's health and ready plugins, at 8080 and 8181.
	statusPort = 8053
	// Whatever is asked is made in memory, so that one that takes longer than
	// statusTimeout has met a pipeline that doesn't run.
	statusTimeout = 20 * time.Second
	// shutdownTimeout is how long a request may hold up the end.
	shutdownTimeout = 2 * time.Second
)

// statusAddr reads where the status is served. Whoever says no address means
// loopback: what a server knows of clusters is nobody else's affair by accident.
func statusAddr(args []string) (string, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if len(args) == 0 {
		return netip.AddrPortFrom(loopback, statusPort).String(), nil
	}
	if len(args) > 1 {
		return "", errors.New("needs at most one address: status [ADDRESS:PORT]")
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(args[0], ":"), 10, 16); err == nil && n > 0 {
		return netip.AddrPortFrom(loopback, uint16(n)).String(), nil
	}
	if a, err := netip.ParseAddr(args[0]); err == nil {
		return netip.AddrPortFrom(a, statusPort).String(), nil
	}
	a, err := netip.ParseAddrPort(args[0])
	if err != nil || a.Port() == 0 {
		return "", fmt.Errorf("%q is not an address with a port, such as 127.0.0.1:%d", args[0], statusPort)
	}
	return a.String(), nil
}

// addrs are where the stanzas want it, each once.
func (s *status) addrs() []string {
	var out []string
	for _, st := range s.stanzas {
		if st.status != "" && !slices.Contains(out, st.status) {
			out = append(out, st.status)
		}
	}
	return out
}

// said is where an address is asked for.
func (s *status) said(addr string) position {
	i := slices.IndexFunc(s.stanzas, func(st stanza) bool { return st.status == addr })
	return s.stanzas[i].positions.of("status")
}

// statusKey is where an instance of CoreDNS keeps which addresses are taken.
type statusKey struct{}

// claim takes the addresses for one server block of the configuration. Two can't
// share one: only one of them could answer.
func (s *status) claim(c *caddy.Controller) error {
	taken, _ := c.Get(statusKey{}).(map[string]bool)
	if taken == nil {
		taken = map[string]bool{}
	}
	for _, a := range s.addrs() {
		if taken[a] {
			return s.said(a).errorf("status: %s is taken by another server block; give each its own", a)
		}
		taken[a] = true
	}
	c.Set(statusKey{}, taken)
	return nil
}

// handler is what stands in the chain of plugins for f.
func (s *status) handler() plugin.Handler {
	if len(s.addrs()) == 0 {
		return s.f
	}
	return serverRecorder{s.f, &s.server}
}

// A serverRecorder remembers which server the questions come by: a static CNAME is
// followed through all of it, when it is explained as when it is asked.
type serverRecorder struct {
	*Federation
	server *atomic.Pointer[dnsserver.Server]
}

// ServeDNS implements plugin.Handler.
func (w serverRecorder) ServeDNS(ctx context.Context, rw dns.ResponseWriter, r *dns.Msg) (int, error) {
	if w.server.Load() == nil {
		if s, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server); ok {
			w.server.Store(s)
		}
	}
	return w.Federation.ServeDNS(ctx, rw, r)
}

// A route answers the requests for one path, which may have these parameters.
type route struct {
	params []string
	answer func(*status, context.Context, url.Values) (any, error)
}

var routes = map[string]route{
	"/api/v1/clusters": {nil, (*status).clusters},
	"/api/v1/services": {[]string{"federation", "namespace", "unhealthy", "limit", "after"}, (*status).services},
	"/api/v1/snapshot": {nil, (*status).snapshot},
	"/api/v1/explain":  {[]string{"name", "type", "client", "without"}, (*status).explain},
	"/api/v1/preview":  {[]string{"order", "undrain", "federation", "limit"}, (*status).preview},
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
func (s *status) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
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

func (s *status) route(ctx context.Context, r *http.Request) (any, error) {
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
