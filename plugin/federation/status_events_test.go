package federation

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/vector"
)

// generous is how long something may take on a machine that does a lot else.
const generous = time.Minute

// A told is one word of a stream.
type told struct{ id, kind, data string }

// streaming follows a status; the words come through the channel until the test ends.
func (s *statusServer) streaming(t *testing.T, query, lastID string) <-chan told {
	t.Helper()
	srv := httptest.NewServer(s)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); srv.CloseClientConnections(); srv.Close() })
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/stream?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	out := make(chan told, 1000)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		scan := bufio.NewScanner(resp.Body)
		var w told
		for scan.Scan() {
			key, value, _ := strings.Cut(scan.Text(), ": ")
			switch key {
			case "id":
				w.id = value
			case "event":
				w.kind = value
			case "data":
				w.data = value
			case "":
				if w.kind != "" {
					out <- w
				}
				w = told{}
			}
		}
	}()
	return out
}

// next waits for a word of a kind.
func next(t *testing.T, from <-chan told, kind string) told {
	t.Helper()
	late := time.After(generous)
	for {
		select {
		case w, ok := <-from:
			if !ok {
				t.Fatalf("the stream ended; waited for %s", kind)
			}
			if w.kind == kind {
				return w
			}
		case <-late:
			t.Fatalf("no %s", kind)
		}
	}
}

// What happens is an event, for whoever asks and whoever follows, with the names that it is about; what was
// answered before can still be seen and explained; and all of it is there after a restart.
func TestEvents(t *testing.T) {
	w := shop(t)
	state := t.TempDir()
	corefile := "federation fed {\n" + both + "state " + state + "\noverrides " + filepath.Join(w.dir, "overrides") + "\n}"
	s := w.telling(corefile)
	from := s.streaming(t, "", "")
	next(t, from, "moment")

	before := time.Now()
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "us-a"))
	var up report.Event
	if err := json.Unmarshal([]byte(next(t, from, "event").data), &up); err != nil {
		t.Fatal(err)
	}
	names := []string{"web.shop.fed.svc.example.com.", "web.shop.fed.svc.us.example.com.", "web.shop.fed.svc.us-a.us.example.com."}
	if up.Kind != report.EventShard || up.Cluster != "us" || up.From != "down" || up.To != "up" || up.Reason != "ready" || !slices.Equal(up.Services, []string{"service/shop/web"}) ||
		!slices.Equal(up.Names, names) || !slices.Contains(up.After, "192.0.2.2") || slices.Contains(up.Before, "192.0.2.2") {
		t.Errorf("%+v", up)
	}
	w.write("overrides", `drain cluster/us reason "rack"`+"\n")
	var order report.Event
	for order.Kind != report.EventOrder {
		if err := json.Unmarshal([]byte(next(t, from, "event").data), &order); err != nil {
			t.Fatal(err)
		}
	}
	if order.To != "in force" || !strings.Contains(order.Reason, "rack") {
		t.Errorf("%+v", order)
	}

	var all report.Events
	await(t, "the drained shard is an event", func() bool {
		s.get(t, &all, "events")
		return slices.ContainsFunc(all.Events, func(e report.Event) bool { return e.To == "down" && e.Reason == "drained" })
	})
	for _, tt := range []struct {
		params []string
		n      int
	}{
		{nil, len(all.Events)}, {[]string{"kind", "order"}, 1}, {[]string{"cluster", "eu"}, 0}, {[]string{"service", "shop/web"}, 2}, {[]string{"service", "shop/other"}, 0},
		{[]string{"text", "RACK"}, 1}, {[]string{"until", fmt.Sprint(before.Unix() - 10)}, 0}, {[]string{"limit", "1"}, 1}, {[]string{"federation", "other"}, 0}, {[]string{"after", fmt.Sprint(all.Newest)}, 0},
	} {
		var some report.Events
		if s.get(t, &some, "events", tt.params...); len(some.Events) != tt.n {
			t.Errorf("%v: %d events, want %d", tt.params, len(some.Events), tt.n)
		}
	}
	var walked []uint64
	for after := uint64(0); ; {
		var page report.Events
		s.get(t, &page, "events", "limit", "1", "after", fmt.Sprint(after))
		for _, e := range page.Events {
			walked = append(walked, e.ID)
		}
		if after = page.Next; after == 0 {
			break
		}
	}
	if len(walked) != len(all.Events) || !slices.IsSorted(walked) {
		t.Errorf("page by page %v of %d", walked, len(all.Events))
	}
	for _, wrong := range [][]string{{"kind", "x"}, {"since", "-1"}, {"until", "x"}, {"after", "x"}, {"limit", "0"}, {"text", strings.Repeat("x", 300)}, {"since", "NaN"}, {"since", "1e300"}} {
		var e report.Error
		if code := s.get(t, &e, "events", wrong...); code != http.StatusBadRequest || e.Error == "" {
			t.Errorf("%v: %d %+v", wrong, code, e)
		}
	}

	// As it was before.
	at := fmt.Sprint(up.At - 0.001)
	var then report.Services
	s.get(t, &then, "services", "at", at)
	if len(then.Services) != 1 || len(then.Services[0].Shards) != 1 || then.Services[0].Shards[0].Cluster != "eu" {
		t.Errorf("before: %+v", then)
	}
	if e := s.why(t, "shop/web", "at", at); len(e.Reply.Answer) != 1 || !strings.Contains(e.Reply.Answer[0], "192.0.2.1") || e.At == 0 {
		t.Errorf("before: %+v", e)
	}
	at = fmt.Sprint(up.At + 0.001)
	if e := s.why(t, "shop/web", "at", at); len(e.Reply.Answer) != 2 || len(e.Shards) != 2 || !e.Shards[1].InAnswer {
		t.Errorf("then: %+v", e)
	}
	if e := s.why(t, "shop/web"); len(e.Reply.Answer) != 1 {
		t.Errorf("now: %+v", e)
	}
	var wrong report.Error
	if code := s.get(t, &wrong, "explain", "name", "shop/web", "at", fmt.Sprint(before.Unix()-3600)); code != http.StatusNotFound || !strings.Contains(wrong.Error, "isn't known") {
		t.Errorf("an hour before: %d %+v", code, wrong)
	}

	// Who was away is told what was missed.
	again := s.streaming(t, "", fmt.Sprint(all.Events[0].ID))
	if e := next(t, again, "event"); e.id != fmt.Sprint(all.Events[1].ID) {
		t.Errorf("goes on with %+v, want %d", e, all.Events[1].ID)
	}
	s.End()
	for range from { // it ends
	}

	// After a restart.
	s.f.stop()
	s = w.telling(corefile)
	await(t, "the events of before are known", func() bool {
		var now report.Events
		s.get(t, &now, "events")
		return len(now.Events) >= len(all.Events) && now.Events[0].ID == all.Events[0].ID && now.Events[0].To == "up" && slices.Equal(now.Events[0].Names, names)
	})
	if _, err := os.Stat(filepath.Join(state, "fed.events")); err != nil {
		t.Error(err)
	}
}

// A reload goes on with the events, and with what was answered.
func TestEventsReload(t *testing.T) {
	w := shop(t)
	corefile := "federation fed {\n" + both + "\n}"
	one := w.serving(corefile)
	stanzas, err := parsed(t, strings.ReplaceAll(corefile, "DIR", w.dir))
	if err != nil {
		t.Fatal(err)
	}
	other, err := build(stanzas, nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Instance = caddy.NewTestController("dns", "").Context()
	other.start()
	t.Cleanup(other.stop)
	if one.pipe.History() != other.pipe.History() {
		t.Fatal("what was known is lost")
	}
	one.stop()
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "us-a"))
	await(t, "one event", func() bool {
		all, _, _ := other.pipe.History().Events(0)
		return len(all) > 0
	})
	all, _, _ := other.pipe.History().Events(0)
	if n := len(slices.DeleteFunc(all, func(e report.Event) bool { return e.Kind != report.EventShard })); n != 1 {
		t.Errorf("%d times: %+v", n, all)
	}
}

// So many may follow and no more, and who goes makes room.
func TestStreamBounds(t *testing.T) {
	s := shop(t).telling("federation fed {\n" + both + "}")
	var ends []func()
	for {
		_, end, ok := s.Pipe.History().Follow()
		if !ok {
			break
		}
		ends = append(ends, end)
	}
	if len(ends) != 1000 {
		t.Errorf("%d may follow", len(ends))
	}
	var e report.Error
	if code := s.get(t, &e, "stream"); code != http.StatusServiceUnavailable || e.Hint == "" {
		t.Errorf("%d %+v", code, e)
	}
	ends[0]()
	next(t, s.streaming(t, "", ""), "moment")
}

// Peers are this server alone where there is no registry.
func TestPeers(t *testing.T) {
	s := shop(t).telling("federation fed {\n" + both + "}")
	var all report.Peers
	s.get(t, &all, "peers")
	if len(all.Peers) != 1 || !all.Peers[0].Self || !all.Peers[0].Live || all.Peers[0].Serial != all.Serial || all.Peers[0].LagSeconds != 0 {
		t.Errorf("%+v", all)
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(generous); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", generous, what)
		}
	}
}
