package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// A generation reads the API until there is reason to begin anew: another kubeconfig,
// or the end of a silence, since a server that was away may have forgotten what was
// before, and connections may be dead without knowing it.
//
// All that is heard is taken in by one goroutine, run's.
type generation struct {
	*Registry
	ctx    context.Context
	end    func()
	events chan func()
	wg     sync.WaitGroup

	reading map[string]func() // ends, by the Secrets that are followed
	last    time.Time         // when a beat came
	missed  bool              // none did for too long
	listed  bool
	changed bool // what is believed
	over    bool
}

// begin starts a generation; nil: ctx has ended.
func (r *Registry) begin(ctx context.Context) *generation {
	if ctx.Err() != nil {
		return nil
	}
	g := &generation{Registry: r, events: make(chan func()), reading: map[string]func(){}, last: time.Now()}
	g.ctx, g.end = context.WithCancel(ctx)
	api := r.api
	beats, err := r.open(true)
	if err != nil { // the file has changed just now, and will be read again
		beats = api
	}
	g.wg.Go(func() { g.beat(beats) })
	first := r.turns.Add(1) == 1
	if first {
		r.roster.awaiting = !r.roster.listed
	}
	// Members come after what others hold of them, and not again where this server goes on.
	heed := first && r.Server != nil && r.roster.awaiting
	g.wg.Go(func() {
		if heed {
			held := r.heldByPeers(g.ctx, api, time.Now())
			g.do(func() { r.held = held })
		}
		api.Follow(g.ctx, v1alpha1.Clusters, "", &follower{g})
	})
	g.wg.Go(func() { api.Follow(g.ctx, v1alpha1.Orders, "", &orderFollower{g}) })
	return g
}

// run takes in what is heard, and gives the next generation; nil: ctx has ended.
func (g *generation) run(ctx context.Context, tell func(*View)) *generation {
	api := g.api
	look := time.NewTicker(g.look)
	defer look.Stop()
	drain := time.NewTimer(time.Hour)
	defer drain.Stop()
	for !g.over && ctx.Err() == nil {
		g.follow(api)
		drain.Reset(g.untilNext())
		select {
		case e := <-g.events:
			e()
		case <-drain.C:
			g.changed = true
		case <-look.C:
			g.over = g.rotated()
			g.rekeep()
		case <-ctx.Done():
		}
		g.up.Store(g.listed && !g.silent && !g.failing)
		if g.changed {
			g.changed = false
			g.update(tell)
		}
	}
	g.end()
	g.wg.Wait()
	api.Close()
	if g.api == api { // with connections of its own: these may be dead
		if next, err := g.open(false); err == nil {
			g.api = next
		}
	}
	return g.begin(ctx)
}

// untilNext is how long nothing changes by the clock alone.
func (g *generation) untilNext() time.Duration {
	if next := g.Now().next; !next.IsZero() {
		return max(time.Until(next), time.Millisecond)
	}
	return time.Hour
}

// do has the owner do something; the caller doesn't wait for it.
func (g *generation) do(f func()) {
	select {
	case g.events <- f:
	case <-g.ctx.Done():
	}
}

// compared is how often it is asked whether the store behind the API is the one that
// has been listed. A watch of one that went back in time hears nothing.
const compared = 10 * time.Second

// beat asks the API once a period whether it is there. It owes nobody readiness: any
// answer that isn't about who asks is a sign of life.
func (g *generation) beat(api *kube.API) {
	defer api.Close()
	var known kube.Origin
	var looked time.Time
	tick := time.NewTicker(g.Period)
	defer tick.Stop()
	for {
		call := func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(g.ctx, min(g.Period, g.Timeout))
		}
		ctx, cancel := call()
		err := api.Ready(ctx)
		cancel()
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			err = nil
		}
		g.do(func() { g.answered(err) })
		if err == nil && time.Since(looked) > g.compared {
			looked = time.Now()
			ctx, cancel := call() // one that hangs must not keep the beats from being missed
			now, err := api.Origin(ctx, v1alpha1.Clusters)
			cancel()
			switch what := known.Another(now); {
			case err != nil: // beats and lists say what is wrong
			case what != "":
				g.do(func() {
					g.over = true
					g.Log.Error(fmt.Sprintf("%s%s: it was restored from an older copy, or is another; Cluster objects are listed anew, and the members stay as they are until then", g.prefix(), what))
				})
			default:
				known = known.Next(now)
			}
		}
		select {
		case <-tick.C:
		case <-g.ctx.Done():
			return
		}
	}
}

func (g *generation) answered(err error) {
	switch now := time.Now(); {
	case err == nil && g.missed:
		g.over = true
	case err == nil:
		if g.silent {
			g.silent = false
			g.Log.Info(g.prefix() + "answers again")
		}
		g.last = now
		g.hear()
	case now.Sub(g.last) >= g.Timeout:
		g.missed = true
		if !g.silent {
			g.silent = true
			g.Log.Error(fmt.Sprintf("%ssilent: the members stay as they are; %v", g.prefix(), kube.Plain(err)))
		}
	}
}

// follow reads the Secrets that lead to members, and no others.
func (g *generation) follow(api *kube.API) {
	want := g.roster.secrets()
	for name, end := range g.reading {
		if !want[name] {
			end()
			delete(g.reading, name)
			delete(g.roster.seen, name)
		}
	}
	for name := range want {
		if g.reading[name] != nil {
			continue
		}
		ctx, end := context.WithCancel(g.ctx)
		g.reading[name] = end
		told := func(o *kube.Object) { g.do(func() { g.secret(ctx, name, o) }) }
		failed := func(err error) {
			if apierrors.IsForbidden(err) { // else it is the API's trouble, and said so
				g.do(func() { g.changed = g.roster.refused(name, err) || g.changed })
			}
		}
		g.wg.Go(func() { api.FollowOne(ctx, builtin.Secrets, v1alpha1.System, name, told, failed) })
	}
}

func (g *generation) secret(ctx context.Context, name string, o *kube.Object) {
	if ctx.Err() != nil {
		return // nobody is led by it any more
	}
	g.hear()
	var content []byte
	if o != nil {
		text, _, _ := unstructured.NestedString(o.Object, "data", v1alpha1.KubeconfigKey)
		content, _ = base64.StdEncoding.DecodeString(text) // as API servers write it
	}
	g.changed = g.roster.secret(name, o != nil, content) || g.changed
}

// A follower hears of Cluster objects.
type follower struct{ *generation }

var _ kube.Follower = (*follower)(nil)

// Listed implements kube.Follower.
func (f *follower) Listed(all []*kube.Object) {
	f.do(func() {
		f.works()
		f.listed = true
		words := map[string]word{}
		for _, o := range all {
			if o.GetDeletionTimestamp() != nil {
				f.changed = f.roster.gone(o.GetName()) || f.changed
				continue
			}
			words[o.GetName()] = said(o)
		}
		f.seen.clusters(all)
		changed, lost := f.roster.list(words)
		f.changed = changed || f.changed
		f.changed = f.roster.settle() || f.changed
		if len(lost) > 0 {
			f.Log.Error(fmt.Sprintf("%shas lost %d of %d members at once (%s); they stay until it tells of them again, or of their deletion. %s",
				f.prefix(), len(lost), len(f.roster.entries), strings.Join(lost, ", "), f.remedy()))
		}
	})
}

// remedy is how an operator has members go that the API has forgotten.
func (f *follower) remedy() string {
	if path := f.file(); path != "" {
		return fmt.Sprintf("If they are gone for good: remove %q and restart", path)
	}
	return "If they are gone for good: restart"
}

// Set implements kube.Follower.
func (f *follower) Set(o *kube.Object) {
	if o.GetDeletionTimestamp() != nil { // unjoined; only its workload is still being seen to
		f.Gone("", o.GetName())
		return
	}
	f.do(func() {
		f.works()
		f.seen.cluster(o)
		f.changed = f.roster.set(o.GetName(), said(o)) || f.changed
	})
}

// Gone implements kube.Follower.
func (f *follower) Gone(_, name string) {
	f.do(func() {
		f.works()
		f.seen.goneCluster(name)
		f.changed = f.roster.gone(name) || f.changed
	})
}

// Watching hears that a watch is open.
func (f *follower) Watching() { f.do(f.works) }

// Failed implements kube.Follower.
func (f *follower) Failed(err error) {
	f.do(func() {
		if !f.failing {
			f.failing = true
			f.Log.Error(fmt.Sprintf("%sCluster objects can't be read: %v; the members stay as they are", f.prefix(), kube.Plain(err)))
		}
	})
}

// works notes that Cluster objects can be read.
func (f *follower) works() {
	f.hear()
	if f.failing {
		f.failing = false
		f.Log.Info(f.prefix() + "Cluster objects can be read again")
	}
}

// said is what an object says. The API has checked its form, by a schema that may be
// another version's, and is laxer about times: what can't be read is wrong.
func said(o *kube.Object) word {
	w := word{wrong: map[string]string{}, uid: string(o.GetUID()), generation: o.GetGeneration()}
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	for key, value := range spec {
		text, err := json.Marshal(map[string]any{key: value})
		if err == nil {
			var part v1alpha1.ClusterSpec
			if err = json.Unmarshal(text, &part); err == nil {
				err = json.Unmarshal(text, &w.spec)
			}
		}
		if err != nil {
			w.wrong["spec."+key] = err.Error()
		}
	}
	return w
}
