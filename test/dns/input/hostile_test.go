package input

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

var hostile = flag.Int("hostile", 3, "answers of each kind that a hostile API gives")

// A hostility is a kind of answers. w has status 200 and JSON, unless it says something else.
type hostility struct {
	name  string
	list  func(w http.ResponseWriter, r *http.Request, kind, version string) // nil: a good one
	watch func(w http.ResponseWriter, r *http.Request, kind, version string) // nil: one that says nothing
	ready func(w http.ResponseWriter)                                        // nil: ok
	why   string                                                             // what the errors are counted as; "": whatever
}

// An enemy is an API that was taken over.
type enemy struct {
	*httptest.Server
	now     atomic.Pointer[hostility] // nil: it is good
	answers atomic.Int64              // hostile ones
}

var served = map[string][2]string{ // kind and version, by resource
	"services": {"Service", "v1"}, "ingresses": {"Ingress", "networking.k8s.io/v1"}, "endpointslices": {"EndpointSlice", "discovery.k8s.io/v1"}, "nodes": {"Node", "v1"},
}

func (e *enemy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, q := e.now.Load(), r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	resource := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	k, ok := served[resource]
	switch {
	case resource == "readyz":
		if h != nil && h.ready != nil {
			e.answers.Add(1)
			h.ready(w)
			return
		}
		_, _ = io.WriteString(w, "ok")
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	case q.Get("watch") != "":
		if h != nil && h.watch != nil {
			e.answers.Add(1)
			h.watch(w, r, k[0], k[1])
			return
		}
		if q.Get("sendInitialEvents") != "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for end := time.Now().Add(time.Minute); time.Now().Before(end) && e.now.Load() == h; { // then it becomes another
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		// It is to be listed anew.
		_, _ = io.WriteString(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`)
	case h != nil && h.list != nil:
		e.answers.Add(1)
		h.list(w, r, k[0], k[1])
	default:
		items := map[string]string{
			"services":       `{"metadata":{"name":"theirs","namespace":"shop","uid":"1","resourceVersion":"5"},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.99"}]}}}`,
			"endpointslices": `{"metadata":{"name":"theirs","namespace":"shop","uid":"2","resourceVersion":"5","labels":{"kubernetes.io/service-name":"theirs"}},"endpoints":[{"addresses":["10.0.0.1"],"zone":"us-a"}]}`,
			"nodes":          `{"metadata":{"name":"n1","uid":"3","resourceVersion":"5","labels":{"topology.kubernetes.io/region":"us","topology.kubernetes.io/zone":"us-a"}}}`,
		}[resource]
		fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"10"},"items":[%s]}`, k[0], k[1], items)
	}
}

// repeat writes a text over and over, n bytes in all or until nobody reads.
func repeat(w io.Writer, text string, n int) {
	chunk := strings.Repeat(text, max(1, 64<<10/len(text)))
	for n > 0 {
		wrote, err := io.WriteString(w, chunk)
		if n -= wrote; err != nil {
			return
		}
	}
}

// squeezed makes an answer of compressed text, n bytes of it.
func squeezed(begin, text string, n int) func(http.ResponseWriter, *http.Request, string, string) {
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	_, _ = io.WriteString(z, begin)
	repeat(z, text, n)
	z.Close()
	return func(w http.ResponseWriter, _ *http.Request, _, _ string) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body.Bytes())
	}
}

func begun(w io.Writer, kind, version, next string) {
	fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"10","continue":%q},"items":[`, kind, version, next)
}

// event is one of a watch, with fields beside its metadata.
func event(w io.Writer, kind, version string, n int, fields string) error {
	_, err := fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":%q,"apiVersion":%q,"metadata":{"name":"o%d","namespace":"shop","uid":"%d","resourceVersion":"10","labels":{"kubernetes.io/service-name":"o%d"}}%s}}`+"\n",
		kind, version, n, n, n, fields)
	return err
}

// events are such of one object after the other, for as long as somebody reads.
func events(w io.Writer, kind, version, fields string) {
	for n := 0; ; n++ {
		if event(w, kind, version, n, fields) != nil {
			return
		}
	}
}

func protobuf(kind, version string, raw []byte) []byte {
	field := func(tag byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{tag}, uint64(len(b))), b...)
	}
	meta := append(field(0x0a, []byte(version)), field(0x12, []byte(kind))...)
	return append(append([]byte("k8s\x00"), field(0x0a, meta)...), field(0x12, raw)...)
}

func hostilities(elsewhere string) []*hostility {
	const gi = 1 << 30
	watching := func(f func(w io.Writer, kind, version string)) func(http.ResponseWriter, *http.Request, string, string) {
		return func(w http.ResponseWriter, r *http.Request, kind, version string) {
			if r.URL.Query().Get("sendInitialEvents") != "" {
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
				return
			}
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			f(w, kind, version)
		}
	}
	frames := func(frame []byte) func(http.ResponseWriter, *http.Request, string, string) {
		return func(w http.ResponseWriter, _ *http.Request, _, _ string) {
			w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
			_, _ = w.Write(frame)
			repeat(w, "\x12\x00", 8<<20)
		}
	}
	fails := func(code int, kind, begin, text string, n int) func(http.ResponseWriter, *http.Request, string, string) {
		return func(w http.ResponseWriter, _ *http.Request, _, _ string) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, begin)
			repeat(w, text, n)
		}
	}
	const list = `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[`
	empties := func(n int) []byte { return bytes.Repeat([]byte("\x12\x00"), n) }
	var serial atomic.Int64
	return []*hostility{
		{name: "a gigabyte of blanks, compressed", list: squeezed(list, " ", gi), why: "excess"},
		{name: "a text without an end", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, "")
			repeat(w, `{"x":"`+strings.Repeat("x", 1000), gi)
		}, why: "excess"},
		{name: "empty objects, compressed", list: squeezed(list, "{},", gi/64), why: "excess"},
		{name: "lists in lists", list: squeezed(list, "[", gi/64), why: "excess"},
		{name: "small objects, compressed", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			begun(z, kind, version, "")
			for i := range 300_000 {
				if _, err := fmt.Fprintf(z, `{"metadata":{"name":"a%d"}},`, i); err != nil {
					return
				}
			}
			_, _ = io.WriteString(z, `{"metadata":{"name":"b"}}]}`)
		}, why: "excess"},
		{name: "pages without an end", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, fmt.Sprint("t", serial.Add(1)))
			for range 25_000 {
				fmt.Fprintf(w, `{"metadata":{"name":"a%d"}},`, serial.Add(1))
			}
			fmt.Fprintf(w, `{"metadata":{"name":"a%d"}}]}`, serial.Add(1))
		}, why: "excess"},
		{name: "empty pages without an end", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, fmt.Sprint("t", serial.Add(1)))
			_, _ = io.WriteString(w, "]}")
		}, why: "unexpected"},
		{name: "large pages without an end", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, fmt.Sprint("t", serial.Add(1)))
			for i := range 12 {
				fmt.Fprintf(w, `{"metadata":{"name":"a%d","annotations":{"x":"%s"}}},`, serial.Add(1), strings.Repeat("x", 3<<20))
				_ = i
			}
			fmt.Fprintf(w, `{"metadata":{"name":"a%d"}}]}`, serial.Add(1))
		}, why: "excess"},
		{name: "a page that leads to itself", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, "same")
			_, _ = io.WriteString(w, "]}")
		}, why: "unexpected"},
		{name: "a token of megabytes", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, strings.Repeat("x", 3<<20))
			_, _ = io.WriteString(w, "]}")
		}, why: "unexpected"},
		{name: "one large object", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			begun(w, kind, version, "")
			fmt.Fprintf(w, `{"metadata":{"name":"a","annotations":{"x":"%s"}}}]}`, strings.Repeat("x", 5<<20))
		}, why: "excess"},
		{name: "protobuf of empty objects", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
			_, _ = w.Write(protobuf(kind+"List", version, append([]byte("\x0a\x04\x12\x0210"), empties(1_500_000)...)))
		}, why: "excess"},
		{name: "protobuf of an object with empty fields", list: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
			item := append([]byte("\x0a\x03\x0a\x01a"), empties(3_000_000)...)
			_, _ = w.Write(protobuf(kind+"List", version, append(append([]byte("\x0a\x04\x12\x0210\x12"), binary.AppendUvarint(nil, uint64(len(item)))...), item...)))
		}, why: "excess"},
		{name: "an event without an end", watch: watching(func(w io.Writer, _, _ string) {
			_, _ = io.WriteString(w, `{"type":"ADDED","object":{"x":"`)
			repeat(w, "x", gi)
		}), why: "excess"},
		{name: "an event of empty values", watch: watching(func(w io.Writer, _, _ string) {
			_, _ = io.WriteString(w, `{"type":"ADDED","object":{"x":[`)
			repeat(w, "{},", gi)
		}), why: "excess"},
		{name: "a frame of four gigabytes", watch: frames([]byte("\xff\xff\xff\xff"))},
		{name: "a frame of empty fields", watch: frames([]byte("\x00\x30\x00\x00"))},
		{name: "events of new objects without an end", watch: watching(func(w io.Writer, kind, version string) {
			events(w, kind, version, "")
		}), why: "excess"},
		{name: "events with many endpoints", watch: watching(func(w io.Writer, kind, version string) {
			events(w, kind, version, `,"endpoints":[`+strings.Repeat(`{},`, 20_000)+`{}]`)
		}), why: "excess"},
		{name: "a stream without an end in the place of a list", watch: func(w http.ResponseWriter, _ *http.Request, kind, version string) {
			events(w, kind, version, `,"x":"`+strings.Repeat("x", 10_000)+`"`)
		}},
		{name: "an error of a gigabyte", list: fails(500, "text/plain", "", "no ", gi)},
		{name: "a Status of a gigabyte", list: fails(404, "application/json", `{"kind":"Status","apiVersion":"v1","reason":"NotFound","message":"`, "x", gi)},
		{name: "a login page of a gigabyte", list: fails(200, "text/html", "<html><title>Sign in</title>", "x", gi), why: "unexpected"},
		{name: "a redirect", list: fails(307, "text/plain", "", "x", 1), watch: fails(308, "text/plain", "", "x", 1), why: "redirect"},
		{name: "a heartbeat of a gigabyte", ready: func(w http.ResponseWriter) { repeat(w, "ok", gi) }},
		{name: "ten thousand headers", list: func(w http.ResponseWriter, _ *http.Request, _, _ string) {
			for i := range 10_000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 2000))
			}
			_, _ = io.WriteString(w, "{}")
		}},
	}
}

// resident is what a process has in memory now, and had at most, in MB. clear begins the latter anew.
func resident(t *testing.T, pid int, clear bool) (now, most int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			now = kb >> 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			most = kb >> 10
		}
	}
	if clear {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
	}
	return now, most
}

// A member's API is taken over, and answers in more than twenty ways that are meant to use up
// memory: of none does fedns take more than it may, what is known of the member stays, nobody
// else is turned to, and the answers of the other members are right all the while.
func TestHostileAPI(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what is resident is read in /proc")
	}
	const parts = 3 // beside each other: most of the time, somebody waits to try again
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			tryHostilities(t, func(i int) bool { return i%parts == part })
		})
	}
}

func tryHostilities(t *testing.T, these func(int) bool) {
	var turned atomic.Int64
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { turned.Add(1) }))
	defer sink.Close()
	e := &enemy{}
	e.Server = httptest.NewUnstartedServer(e)
	e.EnableHTTP2 = true
	e.Config.ErrorLog = log.New(io.Discard, "", 0)
	e.StartTLS()
	defer func() { e.CloseClientConnections(); e.Close() }()
	config := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, config, fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n",
		e.URL, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}))))
	// An API that answers wrongly is silent: what is known of it is to stay for as long as that takes.
	s := server.Start(t, block("hold 24h\n"+folder(shop(t, "192.0.2.1"))+"cluster bad {\n kubeconfig "+config+"\n}\n"))
	const theirs = "theirs.shop.fed.svc.example.com"
	right := func() bool {
		a, b := server.Addrs(s.Ask(t, name, dns.TypeA)), server.Addrs(s.Ask(t, theirs, dns.TypeA))
		return len(a) == 1 && a[0] == "192.0.2.1" && len(b) == 1 && b[0] == "192.0.2.99"
	}
	server.Eventually(t, time.Minute, "both members answer", right)
	counted := func(why string) float64 {
		return s.Metric(t, fmt.Sprintf(`coredns_federation_cluster_errors_total{cluster="bad",federation="fed",reason=%q}`, why))
	}
	began, _ := resident(t, s.Pid, true)
	asked := 0
	for i, h := range hostilities(sink.URL) {
		if !these(i) {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			e.answers.Store(0)
			said, before := len(s.Log()), counted(h.why)
			since := time.Now()
			first, peak, told := 0, 0, int64(0)
			e.now.Store(h)
			defer e.now.Store(nil)
			server.Eventually(t, 10*time.Minute+time.Duration(*hostile)*5*time.Second, "hostile answers", func() bool {
				if asked++; !right() {
					t.Fatalf("another member's answers, or what was known, are gone:\n%s", s.Log()[said:])
				}
				n := e.answers.Load()
				if n >= told+int64(max(1, *hostile/10)) { // a long run shows whether it grows
					now, most := resident(t, s.Pid, true)
					t.Logf("after %d answers, %d MB, at most %d", n, now, most)
					if told == 0 {
						first = most
					}
					told, peak = n, max(peak, most)
				}
				return n >= int64(*hostile)
			})
			if h.why != "" {
				server.Eventually(t, 5*time.Minute, "errors are counted as "+h.why, func() bool { return counted(h.why) > before })
			}
			now, most := resident(t, s.Pid, true)
			most = max(most, peak)
			t.Logf("%d answers in %.1f s; at most %d MB in the first tenth, %d in all; %d MB at the end", e.answers.Load(), time.Since(since).Seconds(), first, most, now)
			// Of one API that tries all at once; see apireply.Default. At most it was 755 more, with large pages (docs/security.md).
			if most > began+900 {
				t.Errorf("%d MB were resident, of %d at first", most, began)
			}
			e.now.Store(nil)
			e.CloseClientConnections()
			server.Eventually(t, 5*time.Minute, "it is good again", func() bool {
				log := s.Log()
				wrong := strings.LastIndex(log, "[ERROR] plugin/federation: cluster bad: ") // -1 where nothing was: a text without an end takes its time
				back, fresh := strings.LastIndex(log, "cluster bad: back after"), strings.LastIndex(log, "cluster bad: fresh again")
				return wrong <= max(back, fresh) && strings.Count(log, "cluster bad: silent for") == strings.Count(log, "cluster bad: fresh again") && right()
			})
		})
	}
	if n := turned.Load(); n > 0 {
		t.Errorf("%d requests went where a redirect led", n)
	}
	t.Logf("%d honest questions", asked)
}
