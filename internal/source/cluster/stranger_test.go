package cluster

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
)

// Somebody stands in front of an API, answers all questions in its place, and cuts
// connections once: nothing is withdrawn, and the log and the metric say what it is.
func TestStranger(t *testing.T) {
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/readyz") {
				io.WriteString(w, "ok") // it is healthy, it says
				return
			}
			io.WriteString(w, text)
		}
	}
	code := func(code int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://login.example.com/")
			w.WriteHeader(code)
			io.WriteString(w, text)
		}
	}
	for _, test := range []struct {
		name  string
		front http.HandlerFunc
		why   reason
		says  string
	}{
		{"{}", body(`{}`), strange, `"{}"`},
		{"null", body(`null`), strange, "null"},
		{"items", body(`{"items":[]}`), strange, "without kind"},
		{"Status", body(`{"kind":"Status","apiVersion":"v1","status":"Success"}`), strange, "Status"},
		{"PodList", body(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"99"},"items":[]}`), strange, "PodList"},
		{"List", body(`{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":""},"items":[]}`), strange, "List"},
		{"login", code(200, "text/html", "<html><title>Sign in</title>\n"), strange, "is this a login page?"},
		{"redirect", code(302, "text/html", ""), redirected, "https://login.example.com/"},
		{"not found", code(404, "text/html", "<html><title>No</title>"), strange, "404 Not Found"},
		{"Status not found", code(404, "application/json", status(404, "NotFound")), other, "NotFound"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.gateway = true
				s.fill()
				s.set("gateways", "gw", `"status":{"addresses":[{"value":"192.0.2.9"}]}`)
				v, j, w := s.follow(t, quick)
				eventually(t, "all of it", func() bool { return v.says("fresh") > v.says("silent") && strings.Contains(v.String(), "gw") })
				was := v.String()
				s.do(func() { s.front = test.front })
				s.CloseClientConnections()
				// A busy machine may lose heartbeats too, so there may be more silences.
				eventually(t, "a silence", func() bool { return v.says("silent") > 0 && v.says("silent") >= v.says("fresh") })
				eventually(t, "its reason", func() bool {
					return strings.Contains(w.Trouble(), test.says) && counted(w, test.why) > 0 && j.has("ERROR", test.says) > 0
				})
				for _, l := range j.all() {
					if strings.Contains(l, "\n") {
						t.Errorf("not a line: %q", l)
					}
				}
				if v.String() != was {
					t.Errorf("%s\nof\n%s", v, was)
				}
				s.do(func() { s.front = nil })
				eventually(t, "fresh again", func() bool { return v.says("fresh") > v.says("silent") && w.Trouble() == "" })
				if v.String() != was {
					t.Errorf("afterwards: %s", v)
				}
			})
		})
	}
}

// A list leaves out what is there, and nothing in it shows that: it was cut by a
// whole page. Only what two answers agree in is gone.
func TestStrangerCutsAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.set("services", "api", `"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.3"}]}}`)
		v, j, _ := s.follow(t, quick)
		v.told(t, lists, "fresh")
		was := v.String()
		s.do(func() { s.front = cutting(s) })
		s.CloseClientConnections()
		eventually(t, "an error that says so", func() bool { return j.has("ERROR", "a list of services without shop/", "which is there") > 0 })
		if v.String() != was {
			t.Errorf("%s\nof\n%s", v, was)
		}
		s.do(func() { s.front = nil })
		s.remove("services", "api")
		eventually(t, "what is gone is gone", func() bool { return v.String() == filled })
	})
}

// cutting answers lists of Services with one that has none.
func cutting(s *apiServer) http.HandlerFunc {
	whole := &apiServer{t: s.t, id: s.id, version: s.version, objects: s.objects, watches: map[chan string]*asking{}, refuse: map[string]int{}}
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if strings.HasSuffix(r.URL.Path, "/services") && q.Get("watch") == "" && q.Get("fieldSelector") == "" {
			fmt.Fprintf(w, `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[]}`, whole.version)
			return
		}
		whole.ServeHTTP(w, r)
	}
}

// The store behind an API is restored from an older copy, and nothing is ever
// silent: it is listed anew.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.do(func() { s.version = 1000 })
		s.compared = 50 * time.Millisecond
		v, j, w := s.follow(t, nil)
		v.becomes(t, filled)
		s.do(func() { s.version = 500 })
		s.whisper()
		if v.String() != filled {
			t.Errorf("the watches have told: %s", v)
		}
		eventually(t, "what is there now", func() bool { return v.String() == changed })
		if j.has("ERROR", "its revision is 50", "and was 1000", "listed anew") != 1 || counted(w, restored) != 1 {
			t.Errorf("log: %q", j.all())
		}
		time.Sleep(5 * w.compared)
		if counted(w, restored) != 1 {
			t.Errorf("found out %v times", counted(w, restored))
		}
	})
}

// What no watch tells is found by the next list.
func TestRelist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.relist = 300 * time.Millisecond
		v, j, _ := s.follow(t, nil)
		v.becomes(t, filled)
		s.whisper()
		eventually(t, "what is there now", func() bool { return v.String() == changed })
		if j.has("ERROR") > 0 {
			t.Errorf("log: %q", j.all())
		}
	})
}

// TestHistory is when an origin isn't the one that was known.
func TestHistory(t *testing.T) {
	for _, test := range []struct {
		name, version, identity string
		want                    bool
	}{
		{"further on", "101", "a", false},
		{"where it was", "100", "a", false},
		{"back", "99", "a", true},
		{"further on, of another cluster", "101", "b", true},
		{"not to be asked whose it is", "101", "", false},
		{"without an order", "x", "a", false},
	} {
		h := &history{identity: "a"}
		h.saw("7")
		h.saw("100")
		h.saw("8")
		if got := h.another(h.newest(), kube.Origin{Identity: test.identity, Revision: test.version}); (got != "") != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

// A credential plugin beside the kubeconfig is found from wherever the kubeconfig is
// named, and runs seldom while it isn't of use.
func TestCredentialPlugin(t *testing.T) {
	s := serve(t)
	s.fill()
	s.token = "good"
	dir := t.TempDir()
	t.Chdir(dir)
	runs, token := filepath.Join(dir, "runs"), filepath.Join(dir, "token")
	write(t, token, "bad")
	script := fmt.Sprintf("#!/bin/sh\necho run >>%s\nprintf '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"%%s\"}}' \"$(cat %s)\"\n", runs, token)
	if err := os.WriteFile("plugin.sh", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(insecure(kubeconfig(s.URL, "x")), `{token: "x"}`, `{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin.sh, interactiveMode: Never}}`, 1)
	write(t, "kc.yaml", text)
	v, j, w := s.follow(t, func(c *Config) { c.Kubeconfig = "kc.yaml"; c.Federation = dir })
	eventually(t, "refusals", func() bool { return s.count("get")+s.count("list") > 20 })
	text2, err := os.ReadFile(runs)
	if n := strings.Count(string(text2), "run"); err != nil || n < 1 || n > 6 {
		t.Errorf("%d runs at %d questions, %v", n, s.count(""), err)
	}
	if j.has("ERROR", "unauthorized") != 1 || counted(w, credential) > 0 {
		t.Errorf("log: %q", j.all())
	}
	write(t, token, "good")
	for end := time.Now().Add(time.Minute); v.String() != filled; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a minute later: %s, %q", v, j.all())
		}
	}
}

// TestThrottled is that a pause that an API asks for is kept, and its reason known.
func TestThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.front = func(w http.ResponseWriter, r *http.Request) {
			s.do(func() { s.asked = append(s.asked, "throttled") })
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		v, j, w := s.follow(t, nil)
		eventually(t, "its reason", func() bool {
			return j.has("ERROR cluster gce-us: throttled: ", "429 Too Many Requests, to be asked again in 2s") == 1 && strings.HasPrefix(w.Trouble(), "throttled: ")
		})
		s.do(func() { s.front = nil })
		v.becomes(t, filled)
		if n := s.count("throttled"); n > 40 {
			t.Errorf("asked %d times", n)
		}
		if got := apireply.Later(nil); got != 0 {
			t.Error(got)
		}
	})
}

// streamsBy stands in front of an API and answers each question for a list that is a stream.
func (s *apiServer) streamsBy(resource string, answer func(w http.ResponseWriter, r *http.Request, events []string)) *atomic.Int64 {
	asked := new(atomic.Int64)
	s.do(func() {
		s.front = func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/"+resource) || !streaming(r.URL.Query()) {
				s.answer(w, r)
				return
			}
			asked.Add(1)
			answer(w, r, streamed(s.listOf(resource)))
		}
	})
	return asked
}

// A list that comes as a stream and isn't taken, because it leaves out what is there, is ended: a
// reflector forgets it, and it would be told to nobody, for as long as the cluster is followed.
func TestStreamNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.relist = 50 * time.Millisecond
		v, j, _ := s.follow(t, nil)
		v.becomes(t, filled)
		var open atomic.Int64
		asked := s.streamsBy("services", func(w http.ResponseWriter, r *http.Request, events []string) {
			open.Add(1)
			defer open.Add(-1)
			for n := 0; r.Context().Err() == nil; n++ { // none of its Services, and then one event after another
				io.WriteString(w, events[len(events)-1]+"\n")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		})
		eventually(t, "three of them", func() bool { return asked.Load() >= 3 })
		eventually(t, "an error that says so", func() bool { return j.has("ERROR", "a list of services without shop/web, which is there") > 0 })
		s.do(func() { s.front = nil })
		eventually(t, "their end", func() bool { return open.Load() == 0 })
		if v.String() != filled {
			t.Errorf("%s", v)
		}
	})
}

// Where lists that are streams come to no end, they are asked for otherwise, and not one after
// the other.
func TestStreamWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		asked := s.streamsBy("services", func(w http.ResponseWriter, _ *http.Request, events []string) {
			io.WriteString(w, events[0]+"\n")
		})
		v, _, w := s.follow(t, nil)
		began := time.Now()
		v.becomes(t, filled)
		if most := int64(2 + 2*time.Since(began)/w.pace); asked.Load() > most { // two watches of Services, at most
			t.Errorf("asked for %d streams", asked.Load())
		}
	})
}

// That a cluster doesn't know a kind of which it has given some is believed when it says so twice.
func TestNotFoundOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.gateway, s.streams = true, false
		s.fill()
		s.set("gateways", "gw", `"status":{"addresses":[{"value":"192.0.2.9"}]}`)
		v, j, _ := s.follow(t, nil)
		all := "Gateway shop/gw [192.0.2.9] []; " + filled
		v.becomes(t, all)
		eventually(t, "Gateways are watched", func() bool { return s.watched("gateways") })
		var said atomic.Int64
		s.do(func() {
			s.front = func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				if strings.HasSuffix(r.URL.Path, "/v1/gateways") && q.Get("watch") == "" && q.Get("limit") != "1" && said.Add(1) == 1 {
					w.WriteHeader(http.StatusNotFound)
					io.WriteString(w, status(404, "NotFound"))
					return
				}
				s.answer(w, r)
			}
			s.tell("gateways", `{"type":"ERROR","object":`+status(410, "Expired")+`}`)
		})
		eventually(t, "an error that says so", func() bool { return j.has("ERROR", "unexpected: gateways", "which are there") > 0 })
		eventually(t, "that is over", func() bool { return j.has("INFO", "back after") > 0 })
		if v.String() != all {
			t.Errorf("%s", v)
		}
		eventually(t, "Gateways are watched", func() bool { return s.watched("gateways") })
		s.do(func() { s.front, s.gateway = nil, false })
		s.do(func() { s.tell("gateways", `{"type":"ERROR","object":`+status(410, "Expired")+`}`) })
		v.becomes(t, filled)
	})
}

// A list that has no end, page after page or event after event, is an error: it isn't waited for in
// silence.
func TestListWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, streams := range []bool{true, false} {
			s := serve(t)
			s.fill()
			s.lull = 500 * time.Millisecond
			v, j, w := s.follow(t, func(c *Config) { c.Heartbeat = Heartbeat{Timeout: time.Minute} })
			v.becomes(t, filled)
			s.do(func() {
				s.front = func(rw http.ResponseWriter, r *http.Request) {
					q := r.URL.Query()
					switch {
					case !strings.HasSuffix(r.URL.Path, "/ingresses") || q.Get("watch") != "" && !(streams && streaming(q)):
						s.answer(rw, r)
					case streaming(q):
						for n := 0; r.Context().Err() == nil; n++ {
							fmt.Fprintf(rw, `{"type":"ADDED","object":{"kind":"Ingress","apiVersion":"networking.k8s.io/v1","metadata":{"namespace":"shop","name":"i%d","resourceVersion":"5"}}}`+"\n", n)
							rw.(http.Flusher).Flush()
							time.Sleep(10 * time.Millisecond)
						}
					default:
						n, _ := strconv.Atoi(q.Get("continue"))
						fmt.Fprintf(rw, `{"kind":"IngressList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"5","continue":"%d"},"items":[]}`, n+1)
					}
				}
				s.streams = streams
			})
			eventually(t, "an error that says so", func() bool {
				s.do(func() { s.tell("ingresses", `{"type":"ERROR","object":`+status(410, "Expired")+`}`) }) // whichever watch is open
				return j.has("ERROR", "ingresses", "empty pages in a row") > 0 && w.Trouble() != ""
			})
			if streams && counted(w, hung) == 0 {
				t.Error("no stream was ended")
			}
			if v.String() != filled {
				t.Errorf("%s", v)
			}
		}
	})
}
