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

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

const (
	// A page of events is what somebody scrolls through; all of them are a file.
	usualEvents   = 200
	largestEvents = 10000
	// longestFilter bounds what events are searched for.
	longestFilter = 253
)

// An eventFilter says which events are wanted.
type eventFilter struct {
	federation, cluster, service, kind, text string
	since, until                             float64
}

func filterOf(v url.Values) (f eventFilter, err error) {
	f = eventFilter{federation: v.Get("federation"), cluster: v.Get("cluster"), service: v.Get("service"), kind: v.Get("kind"), text: strings.ToLower(v.Get("text"))}
	if f.kind != "" && !slices.Contains(report.EventKinds, f.kind) {
		return f, bad("kind: %q is no kind of events", f.kind).with("kinds: " + strings.Join(report.EventKinds, ", "))
	}
	for _, t := range []string{f.federation, f.cluster, f.service, f.text} {
		if len(t) > longestFilter {
			return f, bad("a filter is longer than %d bytes", longestFilter)
		}
	}
	if f.service != "" && strings.Count(f.service, "/") == 1 {
		f.service = "service/" + f.service
	}
	for _, x := range []struct {
		name string
		into *float64
	}{{"since", &f.since}, {"until", &f.until}} {
		if v.Get(x.name) != "" {
			at, err := instant(x.name, v.Get(x.name))
			if err != nil {
				return f, err
			}
			*x.into = unix(at)
		}
	}
	return f, nil
}

func (f *eventFilter) takes(e *report.Event) bool {
	switch {
	case f.federation != "" && e.Federation != f.federation, f.cluster != "" && e.Cluster != f.cluster, f.kind != "" && e.Kind != f.kind:
	case f.since > 0 && e.At < f.since, f.until > 0 && e.At > f.until:
	case f.service != "" && !slices.Contains(e.Services, f.service):
	case f.text != "" && !strings.Contains(strings.ToLower(strings.Join(append([]string{e.Cluster, e.From, e.To, e.Reason}, e.Services...), "\n")), f.text):
	default:
		return true
	}
	return false
}

// after reads the id behind which events are wanted.
func after(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, bad("after: %q is not the id of an event", text)
	}
	return id, nil
}

// events answers /api/v1/events. Without after it gives the last of those that are wanted, with
// it the first that follow.
func (s *Status) events(_ context.Context, v url.Values) (any, error) {
	n, err := limit(v, usualEvents, largestEvents)
	if err != nil {
		return nil, err
	}
	filter, err := filterOf(v)
	if err != nil {
		return nil, err
	}
	from, err := after(v.Get("after"))
	if err != nil {
		return nil, err
	}
	out := report.Events{Serial: s.Block.Current.Load().Serial, Events: []report.Event{}}
	var all []report.Event
	all, out.Oldest, out.Newest = s.Pipe.History().Events(from)
	for i := range all {
		if filter.takes(&all[i]) {
			out.Events = append(out.Events, all[i])
		}
	}
	if over := len(out.Events) - n; over > 0 && v.Has("after") {
		out.Events = out.Events[:n]
		out.Next = out.Events[n-1].ID
	} else if over > 0 {
		out.Events = out.Events[over:]
	}
	for i := range out.Events {
		s.name(&out.Events[i])
	}
	return out, nil
}

// name spells the names that an event is about.
func (s *Status) name(e *report.Event) {
	i := slices.IndexFunc(s.Federations, func(f FederationConfig) bool { return f.Name == e.Federation })
	if i < 0 || len(e.Services) == 0 {
		return
	}
	d := s.Block.Home(i)
	kind, rest, _ := strings.Cut(e.Services[0], "/")
	namespace, name, _ := strings.Cut(rest, "/")
	k := snapshot.Key{Kind: kindWords[kind], Namespace: namespace, Name: name}
	if d == nil || name == "" {
		return
	}
	e.Names = nil
	for _, p := range e.Scopes {
		if n := spell(d, e.Federation, k, topology.Scope(p)); !slices.Contains(e.Names, n) {
			e.Names = append(e.Names, n)
		}
	}
}

const (
	// streamGap is the least time between two words of a stream, after the first: a person
	// can't tell more apart, and five hundred who look mustn't cost a core.
	streamGap = 200 * time.Millisecond
	// streamPulse is how often a stream says that it is alive: proxies end what is quiet for a minute.
	streamPulse = 15 * time.Second
	// streamPatience is how long a reader may take to take what it is sent.
	streamPatience = 10 * time.Second
	// streamRetry is when a reader comes again that was cut off.
	streamRetry = time.Second
)

// stream answers /api/v1/stream by server-sent events, until its reader goes or s is replaced: what
// is answered (moment), what has happened (event), and that some of that can't be told any more
// (missed). A reader that is slow is told less often, and one that takes nothing is cut off.
func (s *Status) stream(w http.ResponseWriter, r *http.Request, v url.Values) error {
	filter, err := filterOf(v)
	if err != nil {
		return err
	}
	text := v.Get("after")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		text = id
	}
	log := s.Pipe.History()
	last, err := after(text)
	if err != nil {
		return err
	}
	if text == "" {
		last = log.Newest()
	}
	news, end, ok := log.Follow()
	if !ok {
		return (&fault{code: http.StatusServiceUnavailable, text: "too many follow already"}).with("events?after=ID gives the same, asked again and again")
	}
	defer end()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies
	to := http.NewResponseController(w)
	say := func(format string, args ...any) error {
		if err := to.SetWriteDeadline(time.Now().Add(streamPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return to.Flush()
	}
	if err := say("retry: %d\n\n", streamRetry.Milliseconds()); err != nil || r.Method == http.MethodHead {
		return nil // nobody is there any more
	}
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	told := report.Moment{}
	for {
		words := s.words(log.Events, &last, &told, &filter)
		if words != "" && say("%s", words) != nil {
			return nil
		}
		if words != "" {
			select {
			case <-time.After(streamGap):
			case <-r.Context().Done():
				return nil
			case <-s.ended:
				return nil
			}
		}
		select {
		case <-news:
		case <-pulse.C:
			if say(": %d\n\n", told.Serial) != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-s.ended:
			return nil
		}
	}
}

// words is what there is to say in a stream since last and told, which it takes further.
func (s *Status) words(since func(uint64) ([]report.Event, uint64, uint64), last *uint64, told *report.Moment, filter *eventFilter) string {
	var b strings.Builder
	write := func(id uint64, kind string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			panic("status: a report that JSON can't say: " + err.Error())
		}
		if id > 0 {
			fmt.Fprintf(&b, "id: %d\n", id)
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", kind, text)
	}
	events, oldest, newest := since(*last)
	if *last > newest { // of another history
		*last = 0
	}
	if oldest > *last+1 && *last > 0 {
		write(0, "missed", report.Missed{After: *last, Oldest: oldest})
	}
	for i := range events {
		e := &events[i]
		if *last = e.ID; filter.takes(e) {
			s.name(e)
			write(e.ID, "event", e)
		}
	}
	current := s.Block.Current.Load()
	if now := (report.Moment{Serial: current.Serial, Publication: current.Publication, Newest: newest}); now != *told {
		*told = now
		write(*last, "moment", now)
	}
	return b.String()
}

// End ends the streams: another configuration goes on with them.
func (s *Status) End() { s.end() }
