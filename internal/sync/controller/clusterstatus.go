package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/workload"
)

// describe tells the table how the clusters stand, if that has changed, and writes
// it on the Cluster objects.
func (u *hub) describe(now time.Time) {
	dark := 0
	for name := range u.clusters {
		if m := u.members[name]; m == nil || !m.reachable() {
			dark++
		}
	}
	// When most are out of reach, it is fedsync that is cut off.
	isolated := 2*dark > len(u.clusters)
	var all []*workload.Member
	next := map[string]view{}
	changed := len(u.table.Members()) != len(u.clusters)
	for name, c := range u.clusters {
		d := &workload.Member{Name: name, Labels: c.Labels, Lists: func(*workload.FederatedKind) bool { return false }, Lacks: func(*workload.FederatedKind) bool { return false }}
		for _, t := range c.Spec.Taints {
			d.Taints = append(d.Taints, placement.Taint{Key: t.Key, Value: t.Value, Effect: placement.Effect(t.Effect)})
		}
		d.Evacuated = evacuated(c.Spec.Drain, now)
		if d.Adopt = workload.Adoption(c.Annotations[v1alpha1.Adopt]); slices.Contains(u.Adopting.Clusters, name) {
			d.Adopt = u.Adopting.As
		}
		since := u.troubles[name].since
		if m := u.members[name]; m != nil {
			d.Reachable = m.reachable()
			d.Lists = func(s *workload.FederatedKind) bool { return m.listed[s] }
			d.Lacks = func(s *workload.FederatedKind) bool { return m.lacks[s] }
			d.Hides = func(s *workload.FederatedKind) bool { return m.hides[s] }
			d.Denies = func(s *workload.FederatedKind) string { return m.denies[s] }
			since = m.liveness.since
			clusterUp.WithLabelValues(name).Set(number(d.Reachable))
			u.updateStatus(c, m, now)
		}
		d.Lost = !d.Reachable && !isolated && now.Sub(since) > u.LostAfter
		all = append(all, d)
		next[name] = view{c.Generation, d.Reachable, d.Evacuated}
		i := slices.IndexFunc(u.table.Members(), func(o *workload.Member) bool { return o.Name == name })
		news := u.news(name)
		changed = changed || i < 0 || !same(u.table.Members()[i], d) || news
	}
	if changed {
		u.table.SetMembers(all)
	}
	u.planned = next // as it is from the next plans on, which are made before this is looked at
}

// news says whether the table knows another connection to a cluster than the one
// there is.
func (u *hub) news(name string) bool {
	m := u.members[name]
	if was, told := u.known[name]; told && was == m {
		return false
	}
	u.known[name] = m
	return true
}

func same(a, b *workload.Member) bool {
	return maps.Equal(a.Labels, b.Labels) && a.Evacuated == b.Evacuated && a.Adopt == b.Adopt && a.Reachable == b.Reachable && a.Lost == b.Lost && slices.Equal(a.Taints, b.Taints)
}

// evacuated says whether a cluster's replicas are to be elsewhere by now.
func evacuated(d *v1alpha1.Drain, now time.Time) bool {
	return d.Holds(now) && d.EvacuateAfter != nil && !now.Before(d.EvacuateAfter.Time)
}

// absent writes on a Cluster object why it can't be reached at all.
func (u *hub) absent(c *v1alpha1.Cluster, why string, now time.Time) {
	clusterUp.WithLabelValues(c.Name).Set(0)
	next := c.Status
	next.Replicas = u.replicas(c, now)
	u.publish(c, next, []v1alpha1.Condition{
		{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: "NoCredentials", Message: why},
		{Type: v1alpha1.Offline, Status: metav1.ConditionUnknown, Reason: "NoCredentials", Message: why},
	})
}

// updateStatus writes on a Cluster object how the cluster is, when that has changed.
func (u *hub) updateStatus(c *v1alpha1.Cluster, m *cluster, now time.Time) {
	p := &m.liveness
	if p.at.IsZero() {
		return
	}
	good, there, away := "/readyz says ok", "its API answers", "its API can't be reached"
	if m.pulled {
		good, there, away = "its fedsync says so", "its fedsync is heard of", "its fedsync isn't heard of"
	}
	ready := v1alpha1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: "Ready", Message: good}
	offline := v1alpha1.Condition{Type: v1alpha1.Offline, Status: metav1.ConditionFalse, Reason: "Reachable", Message: there}
	switch {
	case !p.reachable():
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Offline", away
		offline.Status, offline.Reason, offline.Message = metav1.ConditionTrue, "Unreachable", p.why
		if !p.heard && p.missed < misses {
			return // it has hardly been asked
		}
	case m.twin() != "":
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Twin", m.twin()+"; nothing is done there"
	case !p.ready && p.missed == 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "NotReady", p.why
	}
	if drained(c, now) {
		ready.Reason += v1alpha1.AndDrained
	}
	next := c.Status
	if p.find.version != "" {
		next.KubernetesVersion, next.Region, next.Zones = p.find.version, cmp.Or(c.Spec.Region, p.find.region), p.find.zones
		if len(c.Spec.Zones) > 0 {
			next.Zones = c.Spec.Zones
		}
	}
	if p.missed == 0 && (c.Status.LastHeartbeatTime == nil || now.Sub(c.Status.LastHeartbeatTime.Time) > retold) {
		next.LastHeartbeatTime = &metav1.Time{Time: p.at.UTC().Truncate(time.Second)}
	}
	next.Replicas = u.replicas(c, now)
	u.publish(c, next, []v1alpha1.Condition{ready, offline})
}

// drained says whether a cluster's shards are taken out of the answers: by its drain,
// or, as fedns says, by another order.
func drained(c *v1alpha1.Cluster, now time.Time) bool {
	i := slices.IndexFunc(c.Status.Conditions, func(s v1alpha1.Condition) bool { return s.Type == v1alpha1.Drained })
	if c.Spec.Drain.Holds(now) {
		return i < 0 || c.Status.Conditions[i].Reason != v1alpha1.Overruled
	}
	return c.Spec.Drain == nil && i >= 0 && c.Status.Conditions[i].Status == metav1.ConditionTrue
}

// publish writes the status of a Cluster object, if it is another.
func (u *hub) publish(c *v1alpha1.Cluster, next v1alpha1.ClusterStatus, conditions []v1alpha1.Condition) {
	f := objectInCluster{cluster: "cluster/" + c.Name}
	if u.preview || u.inFlight[f] || u.waits(f, time.Now()) {
		return
	}
	now := metav1.Time{Time: time.Now().UTC().Truncate(time.Second)}
	next.Conditions = slices.Clone(conditions)
	for i := range next.Conditions {
		n := &next.Conditions[i]
		n.LastTransitionTime = now
		for _, was := range c.Status.Conditions {
			if was.Type == n.Type && was.Status == n.Status {
				n.LastTransitionTime = was.LastTransitionTime
			}
		}
	}
	if equalStatus(c.Status, next) {
		return
	}
	if !reflect.DeepEqual(c.Status.Replicas, next.Replicas) {
		u.counted[c.Name] = now.Time
	}
	next.Conditions = append(next.Conditions, others(c.Status.Conditions)...)
	c.Status = next // until the watch says so; a failure says otherwise
	u.writer.put(f, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
		return apply(ctx, api, c, next)
	}, func(f objectInCluster, _ *kube.Object, err error) {
		well := err == nil || kube.Missing(err) || kube.Conflict(err)
		if !well && next.Replicas != nil && kube.Undeclared(err) { // the rest is written without them
			if u.undeclared.IsZero() {
				u.Log.Warn("federation's API: its definition of Clusters is of an older version, and lacks status.replicas or some of its fields: what fedctl drain waits for isn't said there; fedctl init again renews it")
			}
			u.undeclared, c.Status = time.Now(), v1alpha1.ClusterStatus{}
			delete(u.inFlight, f)
			return
		}
		if !well {
			c.Status = v1alpha1.ClusterStatus{Replicas: next.Replicas} // which mustn't go only because they aren't to be written again yet
		}
		if u.ended(f, err, well, soonest) {
			u.Log.Warn(fmt.Sprintf("federation's API: status of cluster %s: %v; trying again", c.Name, kube.Plain(err)))
		}
	})
}

// own are the conditions that fedsync writes; the others are fedns's.
var own = []string{v1alpha1.Ready, v1alpha1.Offline}

func others(all []v1alpha1.Condition) []v1alpha1.Condition {
	return slices.DeleteFunc(slices.Clone(all), func(c v1alpha1.Condition) bool { return slices.Contains(own, c.Type) })
}

// apply writes what is fedsync's in a status, and nothing else: fedns writes there, too.
func apply(ctx context.Context, api *kube.API, c *v1alpha1.Cluster, s v1alpha1.ClusterStatus) (*kube.Object, error) {
	var conditions []any
	for _, n := range s.Conditions {
		if slices.Contains(own, n.Type) {
			conditions = append(conditions, map[string]any{"type": n.Type, "status": string(n.Status), "reason": n.Reason, "message": n.Message, "lastTransitionTime": n.LastTransitionTime.UTC().Format(time.RFC3339)})
		}
	}
	status := map[string]any{"conditions": conditions}
	for name, text := range map[string]string{"kubernetesVersion": s.KubernetesVersion, "region": s.Region} {
		if text != "" {
			status[name] = text
		}
	}
	if len(s.Zones) > 0 {
		status["zones"] = s.Zones
	}
	if s.LastHeartbeatTime != nil {
		status["lastHeartbeatTime"] = s.LastHeartbeatTime.UTC().Format(time.RFC3339)
	}
	if s.Replicas != nil {
		r, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.Replicas)
		if err != nil {
			return nil, err
		}
		status["replicas"] = r
	}
	o := v1alpha1.Clusters.New("", c.Name)
	o.Object["metadata"].(map[string]any)["uid"] = string(c.UID)
	o.Object["status"] = status
	got, _, err := api.Apply(ctx, v1alpha1.Clusters, o, kube.How{Manager: agent, Force: true, Subresource: "status"})
	return got, err
}

func equalStatus(a, b v1alpha1.ClusterStatus) bool {
	mine := func(all []v1alpha1.Condition) (out []v1alpha1.Condition) {
		for _, kind := range own {
			for _, c := range all {
				if c.Type == kind {
					out = append(out, c)
				}
			}
		}
		return out
	}
	return slices.Equal(mine(a.Conditions), mine(b.Conditions)) && a.KubernetesVersion == b.KubernetesVersion && a.Region == b.Region &&
		slices.Equal(a.Zones, b.Zones) && a.LastHeartbeatTime.Equal(b.LastHeartbeatTime) && reflect.DeepEqual(a.Replicas, b.Replicas)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
