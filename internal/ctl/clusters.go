package ctl

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
)

type clusters struct {
	asking
	watch bool
}

func (c *clusters) declare(fs *pflag.FlagSet) {
	c.asking.declare(fs)
	fs.BoolVarP(&c.watch, "watch", "w", false, "go on, with the row of each cluster of which something has changed")
}

var clustersCommand = command{
	name: "clusters",
	what: "how the member clusters stand",
	long: "How the member clusters stand, as a running fedns sees them. fedctl get clusters lists those of a federation's API.",
	example: `# As the fedns of this host sees them
fedctl clusters

# As another one does
fedctl clusters --server http://192.0.2.53:8053

# And each change from now on
fedctl clusters -w`,
	make: func(c *call) action { return &clusters{asking: asking{call: c}} },
}

func (c *clusters) run(ctx context.Context) error {
	var all report.Clusters
	if err := c.get(ctx, "clusters", nil, &all); err != nil {
		return err
	}
	if c.watch {
		return c.follows(ctx, all)
	}
	if c.out.data() {
		return c.put(c.out, all, collect(all.Clusters, func(m report.Cluster) string { return "cluster/" + m.Cluster })...)
	}
	c.tabulate(c.rows(all.Clusters))
	c.remarks(&all)
	return nil
}

// follows prints the clusters, and then each that stands otherwise than before: as kubectl does.
func (c *clusters) follows(ctx context.Context, all report.Clusters) error {
	if c.out.data() {
		return misused(&c.command, "clusters: --watch prints rows: -o is table or wide with it")
	}
	shown := map[string]string{}
	show := func(all *report.Clusters) {
		changed := slices.DeleteFunc(slices.Clone(all.Clusters), func(m report.Cluster) bool {
			key, is := m.Federation+"/"+m.Cluster, rowState(&m)
			same := shown[key] == is
			shown[key] = is
			return same
		})
		if len(changed) > 0 {
			c.tabulate(c.rows(changed))
		}
	}
	show(&all)
	return c.follow(ctx, nil, func(kind, _ string) error {
		if kind != "moment" {
			return nil
		}
		var now report.Clusters
		if err := c.get(ctx, "clusters", nil, &now); err != nil {
			return nil // it is being replaced; the stream says when it goes on
		}
		show(&now)
		return nil
	})
}

// rowState is all of a cluster's row that doesn't change by time alone.
func rowState(m *report.Cluster) string {
	return fmt.Sprint(m.Listed, m.Silent, m.Reason, m.Places, m.Shards, m.Answers, m.Order, m.Warning)
}

// rows are those of some clusters.
func (c *clusters) rows(some []report.Cluster) table {
	t := table{head: []string{"FEDERATION", "CLUSTER", "SOURCE", "STATE", "HEARD", "PLACES", "SHARDS"}, same: []string{"FEDERATION"}, free: []string{"PLACES", "SHARDS"}, names: []string{"CLUSTER"}}
	if c.out.wide() {
		t.head = append(t.head, "ANSWERS", "TTL", "ORDER")
		t.free = append(t.free, "ORDER")
	}
	for _, m := range some {
		state := "listed"
		switch {
		case m.Silent:
			state = "silent for " + cli.Span(m.SilentSeconds)
		case !m.Listed:
			state = "not listed yet"
		}
		var shards []string
		for _, n := range m.Shards {
			s := fmt.Sprintf("%d %s (%s)", n.Count, n.Verdict, n.Reason)
			if n.Stale {
				s = fmt.Sprintf("%d %s (%s, when last heard)", n.Count, n.Verdict, n.Reason)
			}
			shards = append(shards, s)
		}
		row := []string{m.Federation, m.Cluster, m.Source, state, strings.TrimPrefix(heard(m.ViewAgeSeconds), "heard "), where(m.Places), strings.Join(shards, ", ")}
		if c.out.wide() {
			row = append(row, fmt.Sprint(m.Answers), fmt.Sprint(m.TTL), m.Order)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// remarks prints what is the matter with clusters.
func (c *clusters) remarks(all *report.Clusters) {
	for _, m := range all.Clusters {
		if m.Reason != "" {
			c.printf("cluster %s: can't be read: %s\n", m.Cluster, m.Reason)
		}
		if m.Warning != "" {
			c.printf("cluster %s: %s\n", m.Cluster, m.Warning)
		}
	}
	for _, f := range all.Isolated {
		c.printf("federation %s: isolated; more than half of its clusters are silent at once, and all that is known stays\n", f)
	}
}

type version struct{ asking }

var versionCommand = command{
	name: "version",
	what: "the version of fedctl, and of the server if it can be asked",
	example: `# Both
fedctl version`,
	make: func(c *call) action { return &version{asking{call: c}} },
}

func (c *version) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it is only by the way
	defer cancel()
	out := struct {
		Fedctl string            `json:"fedctl"`
		Go     string            `json:"go"`
		Server map[string]string `json:"server,omitempty"`
		Error  string            `json:"error,omitempty"`
	}{Fedctl: c.Version, Go: runtime.Version()}
	var s report.Snapshot
	if err := c.get(ctx, "snapshot", nil, &s); err != nil {
		out.Error = err.Error()
	}
	out.Server = s.Versions
	if c.out.data() {
		return c.put(c.out, out, "fedctl/"+c.Version)
	}
	c.printf("fedctl %s, %s %s/%s\n", c.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if out.Error != "" {
		c.printf("%s\n", out.Error)
		return nil
	}
	c.printf("fedns %s at %s, %s, CoreDNS %s\n", out.Server["fedns"], c.server, out.Server["go"], out.Server["coredns"])
	return nil
}
