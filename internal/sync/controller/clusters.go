package controller

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// A trouble is why a cluster isn't a member.
type trouble struct {
	why     string
	content []byte // the kubeconfig that is of no use
	since   time.Time
}

// syncClusters makes the members be those that the Cluster objects speak of, and tells
// the table how they stand.
func (u *hub) syncClusters(now time.Time) {
	for name, m := range u.members {
		if u.clusters[name] == nil {
			u.Log.Info(fmt.Sprintf("cluster %s: has left; what is there stays", name))
			u.dismiss(m)
		}
	}
	maps.DeleteFunc(u.troubles, func(name string, _ trouble) bool { return u.clusters[name] == nil })
	for name := range u.known {
		if u.clusters[name] == nil {
			delete(u.known, name)
			delete(u.planned, name)
			delete(u.counted, name)
			for _, r := range u.reports {
				r.leave(name)
			}
			forgetMember(name)
		}
	}
	for name, c := range u.clusters {
		if u.unread(c) {
			if _, there := u.troubles[name]; !there && u.members[name] == nil {
				u.troubles[name] = trouble{why: "its credentials are being read", since: now}
			}
			continue
		}
		content, missing := u.credentials(c)
		m, was := u.members[name], u.troubles[name]
		switch {
		case missing != "":
			u.wanting(c, trouble{why: missing}, now)
			continue // one that is there goes on with the credentials it has
		case m != nil && bytes.Equal(m.content, content):
			delete(u.troubles, name)
			continue
		case m != nil && m.content != nil && kube.SameBut(m.content, content):
			u.shows(m, kube.TokenIn(content))
			m.content = content
			delete(u.troubles, name)
			continue
		case was.content != nil && bytes.Equal(was.content, content):
			u.wanting(c, was, now)
			continue
		}
		var next *cluster
		var err error
		if c.Spec.Pull {
			next = u.collect(c)
		} else if next, err = u.connect(name, content); err != nil {
			u.wanting(c, trouble{why: err.Error(), content: content}, now)
			continue
		}
		delete(u.troubles, name)
		if m != nil {
			u.Log.Info(fmt.Sprintf("cluster %s: has other credentials", name))
			next.liveness.since = m.liveness.since
			u.dismiss(m)
		}
		u.members[name] = next
	}
	u.describe(now)
}

// wanting notes why a cluster can't be made a member.
func (u *hub) wanting(c *v1alpha1.Cluster, t trouble, now time.Time) {
	was, there := u.troubles[c.Name]
	if t.since = now; there {
		t.since = was.since
	}
	u.troubles[c.Name] = t
	if t.why != was.why {
		u.Log.Error(fmt.Sprintf("cluster %s: %s", c.Name, t.why))
	}
	if u.members[c.Name] == nil {
		u.absent(c, t.why, now)
	}
}

// dismiss ends what is under way in a cluster.
func (u *hub) dismiss(m *cluster) {
	m.stop()
	delete(u.members, m.name)
	for f := range u.inFlight {
		if f.cluster == m.name {
			delete(u.inFlight, f)
			delete(u.vanished, f)
			u.table.Sends(m.name, f.Key, nil)
			u.table.Touch(f.Key)
		}
	}
	for f := range u.steps {
		if f.cluster == m.name {
			delete(u.steps, f)
			u.table.Touch(f.Key)
		}
	}
	leave(u.retries, m.name)
	leave(u.sought, m.name)
	leave(u.conflicts, m.name)
	u.deletions.leave(m.name)
}

// leave forgets what is known of the objects of a cluster.
func leave[V any](of map[objectInCluster]V, cluster string) {
	maps.DeleteFunc(of, func(f objectInCluster, _ V) bool { return f.cluster == cluster })
}

// credentials are those to write with; missing says what isn't there.
func (u *hub) credentials(c *v1alpha1.Cluster) (content []byte, missing string) {
	if c.Spec.Pull {
		return pulled, ""
	}
	if c.Spec.SecretRef == nil {
		return nil, "has no spec.secretRef; fedctl join makes one"
	}
	name := c.Spec.SecretRef.Name
	for _, secret := range credentialNames(c) {
		if s := u.secrets[secret]; s.content != nil {
			return s.content, ""
		}
	}
	for _, secret := range credentialNames(c) {
		if why := u.withheld[secret]; why != unread {
			return nil, fmt.Sprintf("Secret %s/%s: %s; fedctl join gives fedsync the right to read it", v1alpha1.System, secret, why)
		}
	}
	return nil, fmt.Sprintf("Secret %s/%s%s, with the key %q, isn't there; fedctl join makes it", v1alpha1.System, name, v1alpha1.WriterSuffix, v1alpha1.KubeconfigKey)
}

// credentialNames are the Secrets that may have those of a cluster, the first of them that does.
func credentialNames(c *v1alpha1.Cluster) []string {
	return []string{c.Spec.SecretRef.Name + v1alpha1.WriterSuffix, c.Spec.SecretRef.Name}
}

// unread says whether the credentials of a cluster have still to be read.
func (u *hub) unread(c *v1alpha1.Cluster) bool {
	return !c.Spec.Pull && c.Spec.SecretRef != nil && slices.ContainsFunc(credentialNames(c), func(name string) bool {
		why, withheld := u.withheld[name]
		return withheld && why == unread
	})
}
