package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fedns/fedns/internal/kube/apireply"
)

// An API has more than is taken in, by a watch or in a list: the bound is named, what was
// known stays, and counts again when the API has what it had.
func TestExcess(t *testing.T) {
	bounds := apireply.Default
	bounds.Object, bounds.Objects, bounds.Endpoints, bounds.Bytes = 4000, 50, 100, 20_000
	long := func(n int) string { return `"metadata":{"annotations":{"x":"` + strings.Repeat("x", n) + `"}}` }
	endpoints := `"metadata":{"labels":{"kubernetes.io/service-name":"web"}},"endpoints":[` + strings.Repeat(`{"addresses":["10.0.0.2"]},`, 97) + `{}]`
	for _, test := range []struct {
		name string
		more func(*apiServer)
		less func(*apiServer)
		says string
	}{
		{"many objects",
			func(s *apiServer) {
				for i := range 60 {
					s.set("services", fmt.Sprint("more", i), "")
				}
			},
			func(s *apiServer) {
				for i := range 60 {
					s.remove("services", fmt.Sprint("more", i))
				}
			}, "more than 50 objects"},
		{"a large object",
			func(s *apiServer) { s.set("endpointslices", "large", long(5000)) },
			func(s *apiServer) { s.remove("endpointslices", "large") }, "more than 4000 bytes"},
		{"many endpoints",
			func(s *apiServer) { s.set("endpointslices", "a", endpoints); s.set("endpointslices", "b", endpoints) },
			func(s *apiServer) { s.remove("endpointslices", "a"); s.remove("endpointslices", "b") }, "more than 100 endpoints"},
		{"many bytes",
			func(s *apiServer) {
				for i := range 7 {
					s.set("endpointslices", fmt.Sprint(i), long(3000))
				}
			},
			func(s *apiServer) {
				for i := range 7 {
					s.remove("endpointslices", fmt.Sprint(i))
				}
			}, "more than 20000 bytes"},
	} {
		for _, streams := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s streams=%v", test.name, streams), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := serve(t)
					s.streams, s.bounds = streams, &bounds
					s.fill()
					v, j, w := s.follow(t, quick)
					v.becomes(t, filled)
					eventually(t, "watches", func() bool { return s.watching() >= 4 })
					test.more(s)
					eventually(t, "a silence, and why", func() bool {
						return v.says("silent") > 0 && strings.Contains(w.Trouble(), "excess: ") && strings.Contains(w.Trouble(), test.says) && counted(w, excess) > 0 && j.has("ERROR", test.says) > 0
					})
					for _, known := range []string{"svc shop/web [192.0.2.1]", "slice shop/web-1 web[{us-a  true}]", "node n1 us/"} {
						if !strings.Contains(v.String(), known) {
							t.Errorf("%s has gone: %s", known, v)
						}
					}
					if n := j.has("back after"); n > 0 {
						t.Errorf("it was said to be back %d times", n)
					}
					test.less(s)
					eventually(t, "all as before", func() bool {
						return v.String() == filled && w.Trouble() == "" && v.says("fresh") >= v.says("silent")
					})
				})
			})
		}
	}
}

// What failed while it was needed is nothing to be silent for when nobody needs it any more.
func TestSilenceOfWhatIsNoLongerNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.set("ingresses", "front", `"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
		s.do(func() {
			s.front = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/ingressclasses") {
					io.WriteString(w, "{}")
					return
				}
				s.answer(w, r)
			}
		})
		v, _, w := s.follow(t, quick)
		eventually(t, "a silence", func() bool { return v.says("silent") > 0 && strings.Contains(w.Trouble(), "unexpected: ") })
		s.remove("ingresses", "front")
		eventually(t, "fresh", func() bool { return v.says("fresh") >= v.says("silent") && w.Trouble() == "" })
	})
}
