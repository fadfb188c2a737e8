package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/replicas"
	"github.com/fedns/fedns/internal/sync/workload"
)

// patience is how often an API that isn't there is tried again.
const patience = 2 * time.Second

// settle fills in what the flags don't say, by what the ConfigMap of the federation does.
func settle(ctx context.Context, api *kube.API, c Config) (Config, v1alpha1.Settings, error) {
	s, err := settings(ctx, api, c)
	if err != nil {
		return c, s, err
	}
	if c.Federation = cmp.Or(c.Federation, s.Federation); c.Federation == "" {
		return c, s, fmt.Errorf(`ConfigMap %s/%s: has no "name"; fedctl init writes it, or say --federation NAME`, v1alpha1.System, v1alpha1.ConfigName)
	}
	if c.Kinds == nil {
		c.Kinds = append([]v1alpha1.Kind{}, s.Kinds...)
	}
	c.dropped = dropped(s, c.Kinds)
	return c, s, nil
}

// dropped are kinds that a fedsync has kept, and this one doesn't: what is left of them is
// let go.
func dropped(s v1alpha1.Settings, kept []v1alpha1.Kind) (out []v1alpha1.Kind) {
	if s.Fedsync == nil {
		return nil
	}
	for _, k := range slices.Concat(s.Fedsync.Kinds, s.Fedsync.Dropped) {
		is := func(o v1alpha1.Kind) bool { return o.Group == k.Group && o.Name == k.Name }
		if !slices.ContainsFunc(kept, is) && !slices.ContainsFunc(out, is) && !slices.ContainsFunc(workload.Kinds(), func(s *workload.FederatedKind) bool { return s.Is(k) }) {
			out = append(out, k)
		}
	}
	return out
}

// settings reads the ConfigMap. Who says what the federation is called can do without it.
func settings(ctx context.Context, api *kube.API, c Config) (v1alpha1.Settings, error) {
	told := false
	for {
		o, err := api.Get(ctx, builtin.ConfigMaps, v1alpha1.System, v1alpha1.ConfigName)
		switch {
		case err == nil:
			return v1alpha1.SettingsOf(o)
		case c.Federation != "" && (kube.Missing(err) || kube.Refused(err)):
			return v1alpha1.Settings{}, nil
		case kube.Missing(err):
			return v1alpha1.Settings{}, fmt.Errorf("the federation has no name: there is no ConfigMap %s/%s; run fedctl init, or say --federation NAME", v1alpha1.System, v1alpha1.ConfigName)
		case kube.Refused(err):
			return v1alpha1.Settings{}, fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, v1alpha1.ConfigName, err)
		}
		if !told {
			told = true
			c.Log.Error(fmt.Sprintf("federation's API %s: %v; trying again", api.Server, kube.Plain(err)))
		}
		if !kube.Pause(ctx, patience) {
			return v1alpha1.Settings{}, ctx.Err()
		}
	}
}

// runsWith is what others have to know of this one.
func (c Config) runsWith() v1alpha1.FedsyncSettings {
	return v1alpha1.FedsyncSettings{Version: c.Version, Kinds: c.Kinds, Dropped: c.dropped, MaxDeletes: c.MaxDeletes, LostAfter: c.LostAfter, Confined: true, SecretsByName: true}
}

// errRestoring says that a backup is being put into the federation's API: what isn't there
// yet would be taken for deleted.
var errRestoring = errors.New("a restore is under way")

// whole waits until the federation's API has all that a restore puts there.
func whole(ctx context.Context, api *kube.API, c Config) error {
	for told := false; ; {
		s, err := settings(ctx, api, c)
		if err != nil || s.Restoring == "" {
			return err
		}
		if !told {
			told = true
			c.Log.Warn("fedctl restore puts a backup into the federation's API: nothing is done until it is whole")
		}
		if !kube.Pause(ctx, patience) {
			return nil
		}
	}
}

// declare writes into the ConfigMap of the federation what this fedsync runs with, for
// fedctl to read. Where there is none it makes none: fedctl init does.
func (l *loop) declare(ctx context.Context) {
	for wait := patience; ; wait = min(2*wait, time.Minute) {
		err := declare(ctx, l.api, l.hub.runsWith())
		if err == nil || ctx.Err() != nil {
			return
		}
		l.hub.Log.Warn(fmt.Sprintf("federation's API: ConfigMap %s/%s: %v; fedctl can't know what this fedsync runs with", v1alpha1.System, v1alpha1.ConfigName, kube.Plain(err)))
		if kube.Refused(err) {
			return
		}
		if !kube.Pause(ctx, wait) {
			return
		}
	}
}

func declare(ctx context.Context, api *kube.API, f v1alpha1.FedsyncSettings) error {
	there, err := api.Get(ctx, builtin.ConfigMaps, v1alpha1.System, v1alpha1.ConfigName)
	if kube.Missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	data, _ := there.Object["data"].(map[string]any)
	want, same := f.Data(), true
	for key, text := range want {
		same = same && data[key] == text
	}
	if same {
		return nil
	}
	o := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
	o.SetUID(there.GetUID()) // one that has just gone isn't made anew
	o.Object["data"] = want
	_, _, err = api.Apply(ctx, builtin.ConfigMaps, o, kube.How{Manager: agent, Force: true})
	return err
}

// forgo ends what is done for kinds that were dropped, when nothing is left of them.
func (u *hub) forgo(now time.Time) {
	f := objectInCluster{cluster: "dropped"}
	if len(u.dropped) == 0 || u.inFlight[f] || u.waits(f, now) {
		return
	}
	for _, s := range u.kinds {
		if s.Dropped && (u.unlisted[s.Kind.Name] || u.table.Unlisted(s) || len(u.table.KeysOf(s)) > 0) {
			return
		}
	}
	runs := u.runsWith()
	runs.Dropped = nil
	u.writer.put(f, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
		return nil, declare(ctx, api, runs)
	}, func(f objectInCluster, _ *kube.Object, err error) {
		if u.ended(f, err, err == nil, soonest); err != nil {
			return
		}
		u.Log.Info("nothing is left of kinds that aren't kept any more: " + v1alpha1.FormatKinds(u.dropped))
		u.dropped = nil
	})
}

// heed takes in the ConfigMap of the federation. Other kinds than those that are kept
// have all begin anew, unless the flags say which are.
func (u *hub) heed(o *kube.Object) {
	if o == nil {
		return
	}
	s, err := v1alpha1.SettingsOf(o)
	if err != nil {
		u.Log.Error(fmt.Sprintf("%v; what was kept is kept", err))
		return
	}
	if s.Restoring != "" {
		u.Log.Warn("fedctl restore puts a backup into the federation's API: nothing is done until it is whole")
		u.renew()
		return
	}
	surge, err := replicas.ParseSurge(cmp.Or(s.Surge, replicas.DefaultSurge().String()))
	if err != nil {
		u.Log.Error(fmt.Sprintf("ConfigMap %s/%s: surge: %v; it stays %s", v1alpha1.System, v1alpha1.ConfigName, err, u.table.Surge))
	} else {
		u.table.SetSurge(surge)
	}
	if !u.heeds {
		return
	}
	if next := v1alpha1.FormatKinds(s.Kinds); next != v1alpha1.FormatKinds(u.Kinds) {
		u.Log.Info(fmt.Sprintf("other kinds are to be kept now, beside the usual ones: %s; all is listed anew", cmp.Or(next, "none")))
		u.renew()
	}
}
