package cluster

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A spoiler stands in front of an API and spoils one list of a resource: the first that
// asks for all.
type spoiler struct {
	behind   *apiServer
	resource string
	spoil    func(list []byte) []byte
	mu       sync.Mutex // guards done
	done     bool
}

func (p *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	mine := !p.done && strings.HasSuffix(r.URL.Path, "/"+p.resource) && q.Get("watch") == "" && !strings.Contains(q.Get("fieldSelector"), "metadata.name") && q.Get("limit") != "1"
	p.done = p.done || mine
	p.mu.Unlock()
	if !mine {
		p.behind.answer(w, r)
		return
	}
	whole := httptest.NewRecorder()
	p.behind.answer(whole, r)
	w.Header().Set("Content-Type", "application/json")
	w.Write(p.spoil(whole.Body.Bytes()))
}

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
}

// Whatever becomes of a list on its way, nothing is withdrawn by it that wasn't taken
// away: no object, and nothing of what it says.
func FuzzLists(f *testing.F) {
	was := backoff
	backoff.Duration, backoff.Cap = 5*time.Millisecond, 20*time.Millisecond
	f.Cleanup(func() { backoff = was })
	elsewhere := serve(f)
	elsewhere.populate(7)
	s := serve(f)
	s.streams, elsewhere.streams = false, false
	s.populate(2)
	v, j, _ := s.follow(f, choosing)
	eventually(f, "all of it", func() bool { return v.says("fresh") > 0 && strings.Count(v.String(), ";") == 17 })
	known := func() map[string]string { return maps.Clone(v.objects) }
	v.mu.Lock()
	all := known()
	v.mu.Unlock()
	others := map[string][]byte{}
	for _, api := range []*apiServer{s, elsewhere} {
		for _, r := range resourcesOf {
			others[api.URL+" "+r] = api.listOf(r)
		}
	}

	for r := range resourcesOf {
		for mode := range spoilers {
			// Where it may make a difference, at several places.
			for at := range map[int]int{0: 4, 10: len(others)}[mode] + 1 {
				f.Add(byte(r), byte(mode), uint16(1+at*61), []byte(`{"x":1}`)[:1+at%7])
			}
		}
	}
	f.Fuzz(func(t *testing.T, resource, mode byte, at uint16, junk []byte) {
		p := &spoiler{behind: s, resource: resourcesOf[int(resource)%len(resourcesOf)]}
		list := ""
		p.spoil = func(whole []byte) []byte {
			out := spoilers[int(mode)%len(spoilers)](whole, int(at), junk, others)
			list = string(out)
			return out
		}
		var lost []string
		v.mu.Lock()
		v.look = func() {
			for k, what := range all {
				if is, ok := v.objects[k]; !ok || is != what {
					lost = append(lost, fmt.Sprintf("%s %s: now %q", k, what, is))
				}
			}
		}
		v.mu.Unlock()
		anew := func(front http.HandlerFunc) { // all lists of the resource
			open := 0
			s.do(func() {
				s.front = front
				for c, of := range s.watches {
					if of.resource == p.resource {
						open++
						delete(s.watches, c)
						c <- `{"type":"ERROR","object":` + status(410, "Expired") + `}`
					}
				}
			})
			for end := time.Now().Add(10 * time.Second); s.opened(p.resource) < open; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s isn't watched again after\n%s\nlog: %q", p.resource, list, j.all())
				}
			}
		}
		anew(p.ServeHTTP)
		anew(nil)
		v.mu.Lock()
		v.look = nil
		more := known()
		v.mu.Unlock()
		if len(lost) > 0 {
			t.Errorf("%s is\n%s\nand so\n%s\nare lost; log: %q", p.resource, list, strings.Join(lost, "\n"), j.all())
		}
		if !p.done || !maps.Equal(more, all) {
			t.Fatalf("spoiled: %v; afterwards\n%v\nnot\n%v", p.done, more, all)
		}
	})
}

// listOf is what a list of all of a resource is.
func (s *apiServer) listOf(resource string) []byte {
	k := kinds[resource]
	w := httptest.NewRecorder()
	s.answer(w, httptest.NewRequest("GET", "/apis/"+k[1]+"/"+resource, nil))
	return bytes.TrimSpace(w.Body.Bytes())
}
