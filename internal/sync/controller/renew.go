package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// A credential is a Secret with the kubeconfig of a cluster.
type credential struct {
	content []byte
	token   *kube.Credential // what the token in it says of itself; nil: it isn't one of a service account
	life    time.Duration    // of its tokens; 0: they stay as they are
	version string           // of the Secret
	uid     string
}

// renewEvery is how often it is looked whether a token has to be renewed.
const renewEvery = 10 * time.Second

// renewals has tokens renewed that fedsync is to: its own in each cluster, and that of fedns. Who fills the
// Secrets by himself has no such note on them.
func (u *hub) renewals(now time.Time) {
	if now.Sub(u.renewed) < renewEvery {
		return
	}
	u.renewed = now
	for name, c := range u.clusters {
		m := u.members[name]
		if m == nil || m.pulled || !m.reachable() || c.Spec.SecretRef == nil {
			continue
		}
		for _, secret := range []string{c.Spec.SecretRef.Name, c.Spec.SecretRef.Name + v1alpha1.WriterSuffix} {
			s, there := u.secrets[secret]
			if !there || s.token == nil {
				continue
			}
			said := *s.token
			if !said.Expires.IsZero() {
				tokenEnds.WithLabelValues(name, said.Account).Set(float64(said.Expires.Unix()))
			}
			f := objectInCluster{cluster: name + " " + secret} // no cluster is called so
			if s.life == 0 || !said.Due(s.life, now) || u.inFlight[f] || u.waits(f, now) {
				continue
			}
			u.inFlight[f] = true
			u.reissue(m, secret, s, said.Account, func(err error) {
				if u.ended(f, err, err == nil, longest) && !kube.Conflict(err) {
					u.Log.Error(fmt.Sprintf("cluster %s: the token of %s can't be renewed: %v; trying again", name, said.Account, kube.Plain(err)))
				}
				if err == nil {
					u.Log.Info(fmt.Sprintf("cluster %s: the token of %s is renewed", name, said.Account))
				}
			})
		}
	}
}

// reissue gets a token from a cluster, and writes it where the last one stood.
func (l *loop) reissue(c *cluster, secret string, s credential, account string, done func(error)) {
	m := l.links[c]
	l.wg.Go(func() {
		err := renew(m.ctx, m.api, l.api, secret, s, account)
		l.do(func() { done(err) })
	})
}

func renew(ctx context.Context, member, home *kube.API, secret string, s credential, account string) error {
	token, _, err := member.Token(ctx, v1alpha1.System, account, s.life, v1alpha1.BoundTo(account))
	if err != nil {
		return err
	}
	content, err := kube.WithToken(s.content, token)
	if err != nil {
		return err
	}
	next := kube.NewSecret(v1alpha1.System, secret, map[string][]byte{v1alpha1.KubeconfigKey: content})
	_, err = home.Merge(ctx, builtin.Secrets, v1alpha1.System, secret, map[string]any{
		// One that fedctl join has written meanwhile stays.
		"metadata": map[string]any{"uid": s.uid, "resourceVersion": s.version}, "data": next.Object["data"],
	}, agent, "")
	return err
}

// shows has a member go on with another token: it is the same cluster, at the same address, and nothing has
// to be listed anew.
func (l *loop) shows(c *cluster, token string) { l.links[c].api.Renew(token) }
