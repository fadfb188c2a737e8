package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/kube"
)

// events lists what has changed lately.
type events struct {
	asking
	follows                            bool
	federation, cluster, service, kind string
	since                              time.Duration
	limit                              int
}

func (c *events) declare(fs *pflag.FlagSet) {
	c.at(fs)
	c.out.declare(fs, dataForms)
	fs.BoolVarP(&c.follows, "follow", "f", false, "go on, with each event as it happens")
	fs.StringVar(&c.federation, "federation", "", "only those of the federation `NAME`")
	fs.StringVar(&c.cluster, "of", "", "only those of the `CLUSTER`")
	fs.StringVar(&c.service, "service", "", "only those of the `SERVICE`, NAMESPACE/NAME or ingress/NAMESPACE/NAME")
	fs.StringVar(&c.kind, "about", "", "only those of the `KIND`: "+strings.Join(report.EventKinds, ", "))
	fs.DurationVar(&c.since, "since", 0, "only those of so `LONG` ago at most, such as 1h; default: all that are known")
	fs.IntVar(&c.limit, "limit", 200, "the last `N`")
}

func (c *events) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"federation": c.federation, "cluster": c.cluster, "service": c.service, "kind": c.kind} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

func (c *events) run(ctx context.Context) error {
	v := c.values()
	v.Set("limit", strconv.Itoa(c.limit))
	if c.since > 0 {
		v.Set("since", strconv.FormatInt(c.Now().Add(-c.since).Unix(), 10))
	}
	var all report.Events
	if err := c.get(ctx, "events", v, &all); err != nil {
		return err
	}
	if !c.follows {
		if c.out.data() {
			return c.put(c.out, all)
		}
		if len(all.Events) == 0 {
			c.printf("nothing has changed, as far as the server knows\n")
			return nil
		}
	}
	if c.follows && c.out.data() && c.out.form != "json" {
		return misused(&c.command, "events: -o goes with --follow as json only: a line each")
	}
	for i := range all.Events {
		if err := c.tell(&all.Events[i]); err != nil {
			return err
		}
	}
	if !c.follows {
		return nil
	}
	v = c.values()
	v.Set("after", strconv.FormatUint(all.Newest, 10))
	return c.follow(ctx, v, func(kind, data string) error {
		switch kind {
		case "event":
			var e report.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				return advice.Errorf("is that the status of fedns?", "server %s %w: what it says is none of fedns's events", c.server, errUnreachable)
			}
			return c.tell(&e)
		case "missed":
			c.hint("some events are gone that weren't told: the server knows the last day, and ten thousand")
		}
		return nil
	})
}

// tell prints an event in a line.
func (c *events) tell(e *report.Event) error {
	if c.out.form == "json" {
		return json.NewEncoder(c.Stdout).Encode(e)
	}
	c.printf("%s  %s\n", time.UnixMilli(int64(e.At*1000)).UTC().Format("2006-01-02 15:04:05.000"), sentence(e))
	return nil
}

// sentence says an event in words.
func sentence(e *report.Event) string {
	what := ""
	switch {
	case e.Count > 1:
		what = fmt.Sprintf("%d services (%s, ...)", e.Count, bareSubject(e.Services))
	case len(e.Services) > 0:
		what = bareSubject(e.Services)
	}
	out := ""
	switch e.Kind {
	case report.EventShard:
		out = fmt.Sprintf("%s in %s: %s, was %s", what, e.Cluster, e.To, e.From)
	case report.EventService:
		out = fmt.Sprintf("%s: %s, was %s", what, e.To, e.From)
	case report.EventCluster:
		out = fmt.Sprintf("cluster %s: %s", e.Cluster, e.To)
	case report.EventOrder:
		return fmt.Sprintf("order %s: %s", e.To, e.Reason)
	default:
		return e.To
	}
	if e.Reason != "" {
		out += " (" + e.Reason + ")"
	}
	if len(e.Before)+len(e.After) > 0 {
		out += fmt.Sprintf("; answered [%s], was [%s]", strings.Join(e.After, " "), strings.Join(e.Before, " "))
	}
	return out
}

// bareSubject is the first of some services as orders have it.
func bareSubject(services []string) string {
	if len(services) == 0 {
		return ""
	}
	return strings.TrimPrefix(services[0], "service/")
}

const (
	// streamEnd is how long a line of a stream may be.
	streamEnd = 1 << 20
	// again is between two attempts to go on with a stream.
	again = time.Second
)

// follow reads a server's stream until ctx ends, and goes on with it when it is cut off. It is an
// error only if it can't be read to begin with.
func (c *asking) follow(ctx context.Context, v url.Values, take func(kind, data string) error) error {
	began, last := false, ""
	for {
		err := c.streamed(ctx, v, &last, func(kind, data string) error {
			began = true
			return take(kind, data)
		})
		switch {
		case ctx.Err() != nil:
			return nil // whoever follows ends it so
		case !began:
			return err
		case err != nil:
			c.hint(fmt.Sprintf("server %s is asked again", c.server))
		}
		if !kube.Pause(ctx, again) {
			return nil
		}
	}
}

// streamed reads a stream until it ends. last is the id of what was read last.
func (c *asking) streamed(ctx context.Context, v url.Values, last *string, take func(kind, data string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+"/api/v1/stream?"+v.Encode(), nil)
	if err != nil {
		return misused(&c.command, "server %q is not a URL, such as %s", c.server, defaultServer)
	}
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return advice.Errorf("does its Corefile say `status`? --server URL, or FEDNS_SERVER, says where", "server %s %w: %s", c.server, errUnreachable, kube.Cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return advice.Errorf("is it of an older version?", "server %s %w: it says %s", c.server, errUnreachable, resp.Status)
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(nil, streamEnd)
	kind, data := "", ""
	for scan.Scan() {
		key, value, _ := strings.Cut(scan.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch key {
		case "id":
			*last = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if scan.Text() == "" && data != "" {
				if err := take(kind, data); err != nil {
					return err
				}
			}
			kind, data = "", ""
		}
	}
	if err := scan.Err(); err != nil {
		return advice.Errorf("", "server %s %w: %s", c.server, errUnreachable, kube.Cause(err))
	}
	return nil
}

var eventsCommand = command{
	name: "events",
	what: "what has changed in the last day: from what to what, and by which signal",
	example: `# The last 200
fedctl events

# Those of the last hour about a service, and what follows
fedctl events --since 1h --service shop/web --follow`,
	make: func(c *call) action { return &events{asking: asking{call: c}} },
}
