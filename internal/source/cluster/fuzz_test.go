package cluster

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A spoiler stands in front of an API and answers one question for all of a resource in its
// place, the first that it is there for; and what follows from its answer.
type spoiler struct {
	behind   *apiServer
	resource string
	is       func(url.Values) bool // whether a question is one
	spoil    func(list []byte) http.HandlerFunc
	mu       sync.Mutex // guards the rest
	give     http.HandlerFunc
}

func (p *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ours := strings.HasSuffix(r.URL.Path, "/"+p.resource) && !strings.Contains(q.Get("fieldSelector"), "metadata.name")
	p.mu.Lock()
	give, mine := p.give, ours && p.give == nil && p.is(q)
	if mine {
		whole := httptest.NewRecorder()
		plain := r.Clone(r.Context())
		for _, k := range []string{"watch", "sendInitialEvents"} {
			q.Del(k)
		}
		plain.URL.RawQuery = q.Encode()
		p.behind.answer(whole, plain)
		give = p.spoil(bytes.TrimSpace(whole.Body.Bytes()))
		p.give = give
	}
	p.mu.Unlock()
	if mine || give != nil && ours && strings.HasPrefix(q.Get("continue"), nextPage) {
		w.Header().Set("Content-Type", "application/json")
		give(w, r)
		return
	}
	p.behind.answer(w, r)
}

// came says whether the question has come.
func (p *spoiler) came() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.give != nil
}

// listing is a question for a list, and streaming one for a list that is a watch.
func listing(q url.Values) bool   { return q.Get("watch") == "" && q.Get("limit") != "1" }
func streaming(q url.Values) bool { return q.Get("sendInitialEvents") == "true" }

// nextPage is what the spoiler's tokens begin with.
const nextPage = "spoiled-"

// The ways to spoil a list.
var spoilers = []func(list []byte, at int, junk []byte, others map[string][]byte) []byte{
	func(list []byte, at int, junk []byte, _ map[string][]byte) []byte { // a byte is another
		b := slices.Clone(list)
		b[at%len(b)] ^= cmp.Or(append(junk, 1)[0], 1)
		return b
	},
	func(list []byte, at int, _ []byte, _ map[string][]byte) []byte { return list[:at%len(list)] }, // cut
	func(list []byte, at int, junk []byte, _ map[string][]byte) []byte { // something comes in between
		return slices.Insert(slices.Clone(list), at%len(list), junk...)
	},
	func(list []byte, at int, junk []byte, _ map[string][]byte) []byte { // something is lost
		at %= len(list)
		return slices.Delete(slices.Clone(list), at, min(len(list), at+len(junk)+1))
	},
	items(func(all []any, at int) []any { return slices.Delete(all, at, at+1) }), // an object is lost
	items(func(all []any, at int) []any { return append(all, all[at]) }),         // one comes twice
	items(func(all []any, _ int) []any { return all[:0] }),                       // all are lost
	items(func(all []any, _ int) []any { slices.Reverse(all); return all }),      // another order
	items(func(all []any, at int) []any { // one has another's content
		all[at].(map[string]any)["status"], all[at].(map[string]any)["endpoints"] = map[string]any{}, []any{}
		return all
	}),
	items(func(all []any, at int) []any { // one is somewhere else
		all[at].(map[string]any)["metadata"].(map[string]any)["namespace"] = "elsewhere"
		return all
	}),
	func(_ []byte, at int, _ []byte, others map[string][]byte) []byte { // another resource's, or another cluster's
		keys := slices.Sorted(maps.Keys(others))
		return others[keys[at%len(keys)]]
	},
	func(_ []byte, _ int, junk []byte, _ map[string][]byte) []byte { return junk },
}

func items(change func([]any, int) []any) func([]byte, int, []byte, map[string][]byte) []byte {
	return func(list []byte, at int, _ []byte, _ map[string][]byte) []byte {
		var o map[string]any
		if err := json.Unmarshal(list, &o); err != nil {
			panic(err)
		}
		if all := o["items"].([]any); len(all) > 0 {
			o["items"] = change(all, at%len(all))
		}
		out, _ := json.Marshal(o)
		return out
	}
}

// resourcesOf are those with lists that are spoiled.
var resourcesOf = []string{"endpointslices", "gateways", "httproutes", "ingresses", "nodes", "services"}

// populate gives an API some of everything.
func (s *apiServer) populate(subnet int) {
	s.gateway = true
	for i := range 3 {
		ip := fmt.Sprintf("192.0.%d.%d", subnet, i)
		status := fmt.Sprintf(`"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}`, ip)
		s.set("services", fmt.Sprint("web", i), marked+`,"spec":{"type":"LoadBalancer"},`+status)
		s.set("endpointslices", fmt.Sprint("web", i, "-1"), strings.ReplaceAll(named(fmt.Sprint("web", i), managed, label), "10.0.0.1", ip))
		s.set("ingresses", fmt.Sprint("front", i), marked+`,"spec":{"rules":[{"host":"shop.example.com"}]},`+status)
		s.set("nodes", fmt.Sprint("n", i), fmt.Sprintf(`"metadata":{"labels":{"topology.kubernetes.io/region":"r%d"}}`, subnet))
		s.set("gateways", fmt.Sprint("gw", i), marked+fmt.Sprintf(`,"status":{"addresses":[{"value":%q}]}`, ip))
		s.set("httproutes", fmt.Sprint("route", i), marked+fmt.Sprintf(`,"spec":{"hostnames":["h%d.example.com"]}`, subnet))
	}
	for i, hands := range []string{managed, managed, `"by":"hand"`} { // what other watches have
		s.set("endpointslices", fmt.Sprint("web", i, "-2"), strings.ReplaceAll(named(fmt.Sprint("web", i), hands), "10.0.0.1", fmt.Sprintf("192.0.%d.9", subnet)))
	}
}

// A fuzzed is an API that is followed, and all that is known of it.
type fuzzed struct {
	*apiServer
	view   *view
	log    *journal
	all    map[string]string
	others map[string][]byte // lists, of this and of another cluster
}

func fuzz(f *testing.F) *fuzzed {
	was := backoff
	backoff.Duration, backoff.Cap = time.Millisecond, 5*time.Millisecond
	f.Cleanup(func() { backoff = was })
	elsewhere := serve(f)
	elsewhere.populate(7)
	s := serve(f)
	s.streams, elsewhere.streams = false, false
	s.handover = time.Nanosecond // nothing that is lost is to be hidden by it
	s.pace = 5 * time.Millisecond
	s.populate(2)
	v, j, _ := s.follow(f, choosing)
	eventually(f, "all of it", func() bool { return v.says("fresh") > 0 && strings.Count(v.String(), ";") == 20 })
	v.mu.Lock()
	defer v.mu.Unlock()
	z := &fuzzed{apiServer: s, view: v, log: j, all: maps.Clone(v.objects), others: map[string][]byte{}}
	for _, api := range []*apiServer{s, elsewhere} {
		for _, r := range resourcesOf {
			z.others[api.URL+" "+r] = api.listOf(r)
		}
	}
	return z
}

// another is one of the others' lists.
func (z *fuzzed) another(at int) []byte {
	keys := slices.Sorted(maps.Keys(z.others))
	return z.others[keys[at%len(keys)]]
}

// try has a list of a resource come spoiled, and then whole. what is how it was spoiled.
func (z *fuzzed) try(t *testing.T, p *spoiler, what func() string) {
	var lost []string
	v := z.view
	v.mu.Lock()
	v.look = func() {
		for k, what := range z.all {
			if is, ok := v.objects[k]; !ok || is != what {
				lost = append(lost, fmt.Sprintf("%s %s: now %q", k, what, is))
			}
		}
	}
	v.mu.Unlock()
	anew := func(front http.HandlerFunc) { // all lists of the resource
		open := 0
		z.do(func() {
			z.front = front
			for c, of := range z.watches {
				if of.resource == p.resource {
					open++
					delete(z.watches, c)
					c <- `{"type":"ERROR","object":` + status(410, "Expired") + `}`
				}
			}
		})
		for end := time.Now().Add(patience); z.opened(p.resource) < open; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s isn't watched again after\n%s\nlog: %q", p.resource, what(), z.log.all())
			}
		}
	}
	// Streams aren't asked for again at once.
	for end := time.Now().Add(patience); !p.came() && time.Now().Before(end); {
		anew(p.ServeHTTP)
	}
	anew(nil)
	v.mu.Lock()
	v.look = nil
	more := maps.Clone(v.objects)
	v.mu.Unlock()
	// What was once found in front goes on being watched.
	maps.DeleteFunc(more, func(k, _ string) bool { return strings.HasPrefix(k, "standby ") })
	if len(lost) > 0 {
		t.Errorf("%s is\n%s\nand so\n%s\nare lost; log: %q", p.resource, what(), strings.Join(lost, "\n"), z.log.all())
	}
	if !p.came() || !maps.Equal(more, z.all) {
		t.Fatalf("spoiled: %v; afterwards\n%v\nnot\n%v", p.came(), more, z.all)
	}
}

// Whatever becomes of a list on its way, nothing is withdrawn by it that wasn't taken
// away: no object, and nothing of what it says.
func FuzzLists(f *testing.F) {
	z := fuzz(f)
	for r := range resourcesOf {
		for mode := range spoilers {
			// Where it may make a difference, at several places.
			for at := range map[int]int{0: 4, 10: len(z.others)}[mode] + 1 {
				f.Add(byte(r), byte(mode), uint16(1+at*61), []byte(`{"x":1}`)[:1+at%7])
			}
		}
	}
	f.Fuzz(func(t *testing.T, resource, mode byte, at uint16, junk []byte) {
		list := ""
		p := &spoiler{behind: z.apiServer, resource: resourcesOf[int(resource)%len(resourcesOf)], is: listing}
		p.spoil = func(whole []byte) http.HandlerFunc {
			out := spoilers[int(mode)%len(spoilers)](whole, int(at), junk, z.others)
			list = string(out)
			return func(w http.ResponseWriter, _ *http.Request) { w.Write(out) }
		}
		z.try(t, p, func() string { return list })
	})
}

// Nor by a list of several pages, whichever of them come, and in which order.
func FuzzPages(f *testing.F) {
	z := fuzz(f)
	for mode := range pageSpoilers {
		for at := range map[int]int{0: 40, 8: len(z.others), 22: 12}[mode] + len(resourcesOf) {
			f.Add(byte(mode+at), byte(mode), uint16(at*at), []byte(`{"x":1}`)[:1+at%7])
		}
	}
	f.Fuzz(func(t *testing.T, resource, mode byte, at uint16, junk []byte) {
		var told []string
		p := &spoiler{behind: z.apiServer, resource: resourcesOf[int(resource)%len(resourcesOf)], is: listing}
		p.spoil = func(whole []byte) http.HandlerFunc {
			pages := pageSpoilers[int(mode)%len(pageSpoilers)](z, paged(whole), int(at), junk)
			return func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("continue"), nextPage))
				page := pages[min(n, len(pages)-1)]
				told = append(told, string(page.text))
				if page.code != 0 {
					w.WriteHeader(page.code)
				}
				w.Write(page.text)
			}
		}
		z.try(t, p, func() string { return strings.Join(told, "\n") })
	})
}

// Nor by a list that comes as a stream of events, whichever of them come, in which order, and
// wherever it ends.
func FuzzStreams(f *testing.F) {
	z := fuzz(f)
	for mode := range streamSpoilers {
		for at := range map[int]int{0: 12, 1: 12, 12: len(z.others)}[mode] + len(resourcesOf) {
			f.Add(byte(mode+at), byte(mode), uint16(at*(1+60*min(1, max(0, 4-mode)))), []byte(`{"x":1}`)[:1+at%7])
		}
	}
	f.Fuzz(func(t *testing.T, resource, mode byte, at uint16, junk []byte) {
		stream := ""
		p := &spoiler{behind: z.apiServer, resource: resourcesOf[int(resource)%len(resourcesOf)], is: streaming}
		p.spoil = func(whole []byte) http.HandlerFunc {
			out := streamSpoilers[int(mode)%len(streamSpoilers)](z, streamed(whole), int(at), junk)
			stream = strings.Join(out, "\n")
			return func(w http.ResponseWriter, _ *http.Request) {
				for _, line := range out { // each by itself, as they come
					io.WriteString(w, line+"\n")
					w.(http.Flusher).Flush()
				}
			}
		}
		z.try(t, p, func() string { return stream })
	})
}

// listOf is what a list of all of a resource is.
func (s *apiServer) listOf(resource string) []byte {
	k := kinds[resource]
	w := httptest.NewRecorder()
	s.answer(w, httptest.NewRequest("GET", "/apis/"+k[1]+"/"+resource, nil))
	return bytes.TrimSpace(w.Body.Bytes())
}
