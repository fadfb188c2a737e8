package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Live is the path by which a page that is open is kept up to date: server-sent events of the page
// whole, and then of what differs.
const Live = "/live"

const (
	// gap is the least time between two states of a page that are sent: nobody reads faster, and it
	// leaves half of the 100 ms within which a change has to be seen.
	gap = 50 * time.Millisecond
	// pulse is how often somebody who looks hears that the stream is alive, and what time it is: proxies end
	// what is quiet for a minute, and a browser doesn't notice by itself that nobody is there any more.
	pulse = 15 * time.Second
	// anew is when a page is made again though nothing else is answered: what is said of other servers changes
	// without that.
	anew = 10 * time.Second
	// slowest is how long a reader may take to take what it is sent.
	slowest = 10 * time.Second
	// mostReaders is how many may have a page open at once; each has a connection and a goroutine.
	mostReaders = 1_000
	// perReader is what it costs to send one of them a state, as measured.
	perReader = 20 * time.Microsecond
)

// A feed is a page that is kept up to date, for all who have it open.
type feed struct {
	path    string
	query   url.Values
	readers int
	now     *revision     // nil: it hasn't been made yet
	next    chan struct{} // closed when now is another
	stop    func()
}

// errFull is for one more than can be served.
var errFull = &Fault{Code: http.StatusServiceUnavailable, Text: "too many have a page open", Hint: "it is up to date when it is loaded anew"}

// live answers Live until its reader goes, or another configuration goes on.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	f, err := p.join(r)
	if err != nil {
		a, code := p.failed(err)
		a.serve(w, r, code)
		return
	}
	defer p.leave(f)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies
	to := http.NewResponseController(w)
	say := func(text []byte) bool {
		if err := to.SetWriteDeadline(time.Now().Add(slowest)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		_, err := w.Write(text)
		return err == nil && to.Flush() == nil
	}
	// Those who were cut off at once don't come again at once.
	if !say(fmt.Appendf(nil, "retry: %d\n%s", 500+rand.IntN(1000), hour())) || r.Method == http.MethodHead {
		return
	}
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	var told uint64
	for {
		p.mu.Lock()
		is, next := f.now, f.next
		p.mu.Unlock()
		if is != nil && is.number != told {
			if !say(is.after(told)) {
				return
			}
			told = is.number
		}
		select {
		case <-next:
		case <-beat.C:
			if !say(hour()) {
				return
			}
		case <-r.Context().Done():
			return
		case <-p.source.Ended():
			return
		}
	}
}

// hour is an event that says what time it is here.
func hour() []byte {
	return fmt.Appendf(nil, "event: clock\ndata: %s\n\n", stamp(float64(time.Now().UnixMilli())/1000))
}

// join has a page be kept up to date for one more.
func (p *Page) join(r *http.Request) (*feed, *Fault) {
	wrong := &Fault{Code: http.StatusBadRequest, Text: "page isn't the address of one that can be kept up to date"}
	if len(r.URL.RawQuery) > 3*longestQuery { // as it is escaped
		return nil, wrong
	}
	path, query, _ := strings.Cut(r.URL.Query().Get("page"), "?")
	v, err := url.ParseQuery(query)
	if _, ok := views[path]; !ok || err != nil || len(query) > longestQuery || v.Get("at") != "" {
		return nil, wrong
	}
	key := path + "?" + v.Encode()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers >= mostReaders {
		return nil, errFull
	}
	f := p.feeds[key]
	if f == nil {
		news, end, ok := p.source.Follow()
		if !ok {
			return nil, errFull
		}
		ctx, stop := context.WithCancel(context.Background())
		f = &feed{path: path, query: v, next: make(chan struct{}), stop: func() { stop(); end(); delete(p.feeds, key) }}
		p.feeds[key] = f
		go p.feed(ctx, f, news)
	}
	f.readers++
	p.readers++
	return f, nil
}

func (p *Page) leave(f *feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers--
	if f.readers--; f.readers == 0 {
		f.stop()
	}
}

// feed makes a page again and again while somebody has it open.
func (p *Page) feed(ctx context.Context, f *feed, news <-chan struct{}) {
	again := time.NewTicker(anew)
	defer again.Stop()
	for {
		begin := time.Now()
		a, code := p.made(ctx, f.path, f.query)
		p.mu.Lock()
		cost := time.Since(begin)
		if code == http.StatusOK && (f.now == nil || f.now.etag != a.etag) {
			f.now = newRevision(f.now, a)
			close(f.next)
			f.next = make(chan struct{})
			cost = time.Since(begin) + time.Duration(f.readers)*perReader
		}
		wait := p.budget.spend(begin, cost)
		p.mu.Unlock()
		select {
		case <-time.After(max(wait, gap)):
		case <-ctx.Done():
			return
		}
		select {
		case <-news:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// A budget has all that is done for pages that are open take a twentieth of a core: one change is shown at
// once, and what changes without end as often as that allows.
type budget struct{ paid time.Time }

const (
	share = 20
	// burst is what may be spent at once after a quiet time.
	burst = 100 * time.Millisecond
	// longest is how long a page may wait for its turn: past it, being late is worse than what it costs.
	longest = 5 * time.Second
)

// spend takes in what something has cost that began at a moment, and says how long to wait before more.
func (b *budget) spend(begin time.Time, cost time.Duration) time.Duration {
	if oldest := begin.Add(-burst * share); b.paid.Before(oldest) {
		b.paid = oldest
	}
	b.paid = b.paid.Add(cost * share)
	return min(max(b.paid.Sub(begin.Add(cost)), 0), longest)
}

// A revision is a page at a moment, as it is sent to who has none, and to who has the one before.
type revision struct {
	number       uint64
	etag         string
	lines        []string
	whole, delta []byte
}

// ages are spans of time, which go on by themselves in a browser: what differs in them only isn't sent.
var ages = regexp.MustCompile(`(<time [^>]*data-(?:since|until)=[^>]*>)[^<]*`)

func newRevision(before *revision, a *asset) *revision {
	text := ages.ReplaceAllString(string(a.text), "$1")
	w := &revision{number: 1, etag: a.etag, lines: strings.Split(text, "\n")}
	if before != nil {
		w.number = before.number + 1
		w.delta = event(struct {
			Parts []any `json:"parts"`
		}{differences(before.lines, w.lines)})
	}
	w.whole = event(struct {
		Text string `json:"text"`
	}{text})
	return w
}

// after is what somebody is sent who has the state of a number; 0: none.
func (w *revision) after(number uint64) []byte {
	if w.delta != nil && number == w.number-1 && number > 0 {
		return w.delta
	}
	return w.whole
}

func event(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("page: what JSON can't say: " + err.Error())
	}
	return fmt.Appendf(nil, "event: page\ndata: %s\n\n", text)
}

// differences says how lines are made of those of before: of runs of them, as [first, how many], and of new
// ones, as text.
func differences(before, now []string) []any {
	at := make(map[string]int, len(before))
	for i, line := range before {
		at[line] = i
	}
	parts := []any{}
	first, n := 0, 0 // the run that is being made
	var fresh []string
	flush := func() {
		if n > 0 {
			parts = append(parts, [2]int{first, n})
		}
		if len(fresh) > 0 {
			parts = append(parts, strings.Join(fresh, "\n"))
		}
		n, fresh = 0, nil
	}
	for _, line := range now {
		if n > 0 && first+n < len(before) && before[first+n] == line {
			n++
			continue
		}
		i, known := at[line]
		if !known {
			if n > 0 {
				flush()
			}
			fresh = append(fresh, line)
			continue
		}
		flush()
		first, n = i, 1
	}
	flush()
	return parts
}
