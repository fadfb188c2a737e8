package controller

import (
	"context"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
)

// beat asks a cluster how it is until ctx ends.
func (m *member) beat(ctx context.Context) {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	var found findings
	var asked, looked time.Time
	failed := false
	for {
		call, end := context.WithTimeout(ctx, heartbeat)
		err := m.api.Ready(call)
		end()
		if ctx.Err() != nil {
			return
		}
		failed = failed || err != nil
		if err == nil && (failed || time.Since(asked) > retold) {
			if f, ok := m.ask(ctx); ok {
				found, asked, looked, failed = f, time.Now(), time.Now(), false
			}
		} else if err == nil && time.Since(looked) > compared {
			call, end := context.WithTimeout(ctx, heartbeat) // one that hangs must not keep beats from being missed
			if o, e := m.api.Origin(call, builtin.Namespaces); e == nil {
				found.origin, looked = o, time.Now()
			}
			end()
		}
		m.tell(func() { m.cluster.felt(err, found) })
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// ask finds out what changes seldom.
func (m *member) ask(ctx context.Context) (f findings, ok bool) {
	version, err := m.api.Version(ctx)
	if err != nil {
		return f, false
	}
	f.version = version
	if f.origin, err = m.api.Origin(ctx, builtin.Namespaces); err != nil {
		return f, false
	}
	all, err := m.api.List(ctx, builtin.Nodes, "", "")
	if err != nil {
		return f, kube.Refused(err) // then it's known as well as it ever will be
	}
	for _, n := range all {
		labels := n.GetLabels()
		if r := labels["topology.kubernetes.io/region"]; r != "" && f.region == "" {
			f.region = r
		}
		if z := labels["topology.kubernetes.io/zone"]; z != "" && !slices.Contains(f.zones, z) {
			f.zones = append(f.zones, z)
		}
	}
	slices.Sort(f.zones)
	return f, true
}
