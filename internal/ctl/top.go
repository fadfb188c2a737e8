package ctl

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/kube"
)

// defaultMetrics is where CoreDNS's plugin prometheus serves metrics unless it is told otherwise.
const defaultMetrics = "http://127.0.0.1:9153/metrics"

// shortest is how soon servers may be asked again: what they do meanwhile is mostly to answer us.
const shortest = 100 * time.Millisecond

// A top shows how many answers servers give, and of which kind: by service, as their status says it, or,
// where only their metrics can be had, by scope and outcome.
type top struct {
	asking
	servers, metrics      list
	interval              time.Duration
	once                  bool
	rows                  int
	federation, namespace string
}

func (c *top) declare(fs *pflag.FlagSet) {
	fs.Var(&c.servers, "server", "`URL` of a fedns's status; may be given several times, and is added up; default: $FEDNS_SERVER, or "+defaultServer)
	fs.Var(&c.metrics, "metrics", "`URL` of a fedns's metrics, such as "+defaultMetrics+", instead: it says nothing of services; may be given several times, and is added up")
	fs.DurationVar(&c.interval, "interval", 2*time.Second, "`DURATION` of a look")
	fs.BoolVar(&c.once, "once", false, "look once, and end; without it, it goes on until it is interrupted")
	fs.IntVar(&c.rows, "rows", 20, "`NUMBER` of the busiest services that are shown; with -o all are")
	fs.StringVar(&c.federation, "federation", "", "only the services of the federation `NAME`")
	fs.StringVarP(&c.namespace, "namespace", "n", "", "only the services of the namespace `NAME`")
	c.out.declare(fs, dataForms)
}

// A rate is how many answers of one kind there are.
type rate struct {
	Scope     string  `json:"scope"`
	Outcome   string  `json:"outcome"`
	PerSecond float64 `json:"per_second"`
}

// Rates are what servers have done between two looks.
type rates struct {
	Seconds   float64 `json:"seconds"`
	Servers   int     `json:"servers"` // that were asked
	PerSecond float64 `json:"per_second"`
	Answers   []rate  `json:"answers"`
	// Fast are those that the fast path has answered, Lost what was too much for it, and Limited what
	// was beyond the rate of a client.
	Fast    float64 `json:"fast_per_second"`
	Lost    float64 `json:"lost_per_second"`
	Limited float64 `json:"limited_per_second"`
}

func (c *top) run(ctx context.Context) error {
	if c.interval < shortest {
		return misused(&c.command, "top: --interval %s is too short; %s or longer", c.interval, shortest)
	}
	if c.rows < 1 {
		return misused(&c.command, "top: --rows %d shows nothing; 1 or more", c.rows)
	}
	if len(c.metrics) == 0 {
		return c.byService(ctx)
	}
	for _, name := range []string{"server", "rows", "federation", "namespace"} {
		if c.given[name] {
			return misused(&c.command, "top: metrics say nothing of services; --%s goes without --metrics", name)
		}
	}
	was, at, err := c.look(ctx)
	if err != nil {
		return err
	}
	for {
		if !kube.Pause(ctx, c.interval) {
			return nil
		}
		now, then, err := c.look(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // whoever has seen enough
		case err != nil:
			return err
		}
		r := between(was, now, then.Sub(at))
		r.Servers = len(c.metrics)
		if err := c.show(r); err != nil || c.once {
			return err
		}
		was, at = now, then
	}
}

// counts are counters of servers, by their place in the flags, name and labels.
type counts map[string]float64

// The counters that are looked at.
const (
	answersCounter = "coredns_federation_answers_total"
	fastCounter    = "coredns_federation_fast_questions_total"
	limitedCounter = "coredns_federation_rate_limited_total"
)

func (c *top) look(ctx context.Context) (counts, time.Time, error) {
	all := counts{}
	at := c.Now()
	for n, url := range c.metrics {
		if !strings.Contains(url, "://") {
			url = "http://" + url
		}
		if _, path, _ := strings.Cut(strings.SplitN(url, "://", 2)[1], "/"); path == "" {
			url = strings.TrimSuffix(url, "/") + "/metrics"
		}
		if err := c.ask(ctx, url, n, all); err != nil {
			return nil, at, err
		}
	}
	return all, at, nil
}

func (c *top) ask(ctx context.Context, url string, n int, into counts) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return misused(&c.command, "metrics %q is not a URL, such as %s", url, defaultMetrics)
	}
	defer c.waiting("metrics " + url)()
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return advice.Errorf("does its Corefile say `prometheus`? --metrics URL says where", "metrics %s %w: %s", url, errUnreachable, kube.Cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return advice.Errorf("are those the metrics of fedns?", "metrics %s %w: it says %s", url, errUnreachable, resp.Status)
	}
	found, err := counters(io.LimitReader(resp.Body, largest), fmt.Sprint(n), into)
	if err != nil {
		return advice.Errorf("", "metrics %s %w: %s", url, errUnreachable, kube.Cause(err))
	}
	if !found {
		return advice.Errorf("does its Corefile say `federation`, and `prometheus` in the same server block?", "metrics %s are none of fedns's", url)
	}
	return nil
}

// counters reads those that are looked at out of Prometheus's text format. found says whether there is anything of fedns's.
func counters(r io.Reader, server string, into counts) (found bool, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		found = found || strings.HasPrefix(line, "coredns_federation_")
		if name, rest, ok := strings.Cut(line, "{"); ok && slices.Contains([]string{answersCounter, fastCounter, limitedCounter}, name) {
			if at := strings.LastIndexByte(rest, '}'); at >= 0 {
				if v, _, _ := strings.Cut(strings.TrimSpace(rest[at+1:]), " "); v != "" { // a time may stand behind
					if n, err := strconv.ParseFloat(v, 64); err == nil {
						into[server+" "+name+" "+rest[:at]] = n
					}
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
	}
}

// label is the value of one in a list of them; fedns's have no quotes in theirs.
func labelOf(labels, name string) string {
	for part := range strings.SplitSeq(labels, ",") {
		if k, v, ok := strings.Cut(part, "="); ok && k == name {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// between is what has been done from one look to the next. A counter that has fallen is one of a server that has
// begun anew: all that it says is new.
func between(was, now counts, passed time.Duration) rates {
	r := rates{Seconds: passed.Seconds(), Answers: []rate{}}
	if passed <= 0 {
		return r
	}
	sums := map[rate]float64{}
	for key, n := range now {
		if before := was[key]; before <= n {
			n -= before
		}
		n /= passed.Seconds()
		_, rest, _ := strings.Cut(key, " ")
		name, labels, _ := strings.Cut(rest, " ")
		switch name {
		case answersCounter:
			sums[rate{Scope: labelOf(labels, "scope"), Outcome: labelOf(labels, "outcome")}] += n
			r.PerSecond += n
		case limitedCounter:
			r.Limited += n
		case fastCounter:
			switch labelOf(labels, "way") {
			case "fast":
				r.Fast += n
			case "lost":
				r.Lost += n
			}
		}
	}
	for kind, n := range sums {
		if kind.PerSecond = n; n > 0 {
			r.Answers = append(r.Answers, kind)
		}
	}
	slices.SortFunc(r.Answers, func(a, b rate) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Outcome, b.Outcome))
	})
	return r
}

func (c *top) show(r rates) error {
	if c.out.data() {
		return c.put(c.out, r)
	}
	c.clear()
	t := table{head: []string{"SCOPE", "OUTCOME", "A SECOND", "SHARE"}}
	for _, x := range r.Answers {
		t.rows = append(t.rows, []string{x.Scope, x.Outcome, fmt.Sprintf("%.1f", x.PerSecond), fmt.Sprintf("%.0f%%", 100*x.PerSecond/r.PerSecond)})
	}
	t.rows = append(t.rows, []string{"all", "", fmt.Sprintf("%.1f", r.PerSecond), ""})
	c.tabulate(t)
	if r.Lost > 0 || r.Limited > 0 {
		c.printf("lost %.1f a second, beyond the rate of their clients %.1f\n", r.Lost, r.Limited)
	}
	return nil
}

// clear removes the table of before from a terminal.
func (c *top) clear() {
	if c.Columns > 0 && !c.once && c.Getenv("TERM") != "dumb" {
		c.printf("\x1b[H\x1b[2J")
	}
}

var topCommand = command{
	name: "top",
	what: "how many answers servers give, by service, scope and outcome, live",
	example: `# Of the fedns on this host
fedctl top

# Of two, once, for programs
fedctl top --server http://192.0.2.1:8053 --server http://192.0.2.2:8053 --once -o json

# Where only metrics can be had: by scope and outcome
fedctl top --metrics http://192.0.2.1:9153/metrics`,
	make: func(c *call) action { return &top{asking: asking{call: c}} },
}
