package page

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is sent of a page that has changed makes the new one of the old one, as page.js does it.
func TestDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := func() (out []string) {
		for range r.IntN(12) {
			out = append(out, strconv.Itoa(r.IntN(8)))
		}
		return append(out, "end")
	}
	for range 5000 {
		before, now := lines(), lines()
		if got := apply(t, before, differences(before, now)); !slices.Equal(got, now) {
			t.Fatalf("%q and %v make %q, want %q", before, differences(before, now), got, now)
		}
	}
	if same := differences([]string{"a", "b", "c"}, []string{"a", "b", "c"}); len(same) != 1 {
		t.Errorf("nothing has changed: %v", same)
	}
}

func apply(t *testing.T, before []string, parts []any) (out []string) {
	t.Helper()
	text, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	var read []any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, p := range read {
		switch p := p.(type) {
		case string:
			out = append(out, strings.Split(p, "\n")...)
		case []any:
			from, n := int(p[0].(float64)), int(p[1].(float64))
			out = append(out, before[from:from+n]...)
		}
	}
	return out
}

// After a quiet time nothing waits; what changes without end takes a twentieth of the time, however long a page
// takes to make.
func TestBudget(t *testing.T) {
	for _, cost := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		var b budget
		begin := time.Unix(1_800_000_000, 0)
		now, spent := begin, time.Duration(0)
		for i := 0; now.Sub(begin) < time.Minute; i++ {
			wait := b.spend(now, cost)
			if i == 0 && cost < burst && wait > 0 {
				t.Errorf("%s: the first waits for %s", cost, wait)
			}
			spent += cost
			now = now.Add(cost + max(wait, gap))
		}
		if of := float64(spent) / float64(now.Sub(begin)); of > 0.055 {
			t.Errorf("%s: takes %.3f of the time", cost, of)
		}
	}
	var b budget
	if wait := b.spend(time.Now(), time.Hour); wait != longest {
		t.Errorf("waits for %s", wait)
	}
}

// A follower has a page open, as a browser does.
type follower struct {
	events chan [2]string
	code   int
}

func follow(t *testing.T, base, page string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", base+Live+"?page="+url.QueryEscape(page), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{make(chan [2]string, 100), resp.StatusCode}
	go func() {
		defer close(f.events)
		defer resp.Body.Close()
		scan := bufio.NewScanner(resp.Body)
		scan.Buffer(nil, 10<<20)
		kind := ""
		for scan.Scan() {
			if k, ok := strings.CutPrefix(scan.Text(), "event: "); ok {
				kind = k
			} else if data, ok := strings.CutPrefix(scan.Text(), "data: "); ok {
				f.events <- [2]string{kind, data}
			}
		}
	}()
	return f
}

// next waits for the next state of the page.
func (f *follower) next(t *testing.T) (out struct {
	Text  string
	Parts []any
}) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e, ok := <-f.events:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if e[0] != "page" {
				continue
			}
			if err := json.Unmarshal([]byte(e[1]), &out); err != nil {
				t.Fatal(err)
			}
			return out
		case <-late:
			t.Fatal("nothing within a minute")
		}
	}
}

// Who has a page open gets it whole, and then what differs; it is made once for all of them, and not at all when all
// have gone.
func TestLive(t *testing.T) {
	s := &full{empty: true, news: make(chan struct{}, 1), ended: make(chan struct{})}
	p := New(s)
	srv := httptest.NewServer(p)
	defer srv.Close()
	defer srv.CloseClientConnections()
	var all []*follower
	for range 20 {
		all = append(all, follow(t, srv.URL, "/events?kind=shard"))
	}
	whole := all[0].next(t).Text
	for _, f := range all[1:] {
		if got := f.next(t); got.Text != whole || !strings.HasSuffix(strings.TrimSpace(got.Text), "</html>") {
			t.Fatalf("%+v", got)
		}
	}
	before := s.asked.Load()
	s.empty = false
	s.state.Add(1)
	s.news <- struct{}{}
	first := all[0].next(t)
	if first.Parts == nil || first.Text != "" {
		t.Fatalf("%+v", first)
	}
	is := strings.Join(apply(t, strings.Split(whole, "\n"), first.Parts), "\n")
	if !strings.Contains(is, "xxxx") || !strings.HasSuffix(strings.TrimSpace(is), "</html>") {
		t.Errorf("%s", is)
	}
	for _, f := range all[1:] {
		if got := strings.Join(apply(t, strings.Split(whole, "\n"), f.next(t).Parts), "\n"); got != is {
			t.Errorf("%s", got)
		}
	}
	if n := s.asked.Load() - before; n > 10 {
		t.Errorf("it was made for each: asked %d times", n)
	}
	for _, wrong := range []string{"", "/static/page.js", "/live", "//evil.example/", "/?at=1800000000", "/?" + strings.Repeat("x", longestQuery+1), "/?%zz", "http://x/"} {
		if f := follow(t, srv.URL, wrong); f.code != http.StatusBadRequest {
			t.Errorf("%q: %d", wrong, f.code)
		}
	}
	p.mu.Lock()
	p.readers += mostReaders
	p.mu.Unlock()
	if f := follow(t, srv.URL, "/"); f.code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", f.code)
	}
	p.mu.Lock()
	p.readers -= mostReaders
	p.mu.Unlock()
	close(s.ended)
	for _, f := range all {
		for range f.events { // it ends
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		readers, feeds := p.readers, len(p.feeds)
		p.mu.Unlock()
		if readers == 0 && feeds == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d readers, %d feeds", readers, feeds)
		}
	}
}

// Who was too slow for what came between gets the page whole.
func TestWords(t *testing.T) {
	a := newRevision(nil, newAsset("", []byte("a\nb")))
	b := newRevision(a, newAsset("", []byte("a\nc")))
	for _, tt := range []struct {
		has  uint64
		want string
	}{{0, "event: page\ndata: {\"text\":\"a\\nc\"}\n\n"}, {1, "event: page\ndata: {\"parts\":[[0,1],\"c\"]}\n\n"}, {7, "event: page\ndata: {\"text\":\"a\\nc\"}\n\n"}} {
		if got := string(b.after(tt.has)); got != tt.want {
			t.Errorf("%d: %q", tt.has, got)
		}
	}
	old := newRevision(nil, newAsset("", []byte("<td><time data-since=\"7\">3s</time></td>")))
	if got := string(newRevision(old, newAsset("", []byte("<td><time data-since=\"7\">4s</time></td>"))).after(1)); !strings.Contains(got, "[[0,1]]") {
		t.Errorf("only a second has passed: %s", got)
	}
	if got := string(newRevision(nil, newAsset("", []byte(`<time title="x">12:00:00</time>`))).after(0)); !strings.Contains(got, "12:00:00") {
		t.Errorf("a moment isn't an age: %s", got)
	}
}
