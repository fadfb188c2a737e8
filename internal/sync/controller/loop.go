package controller

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// tick is how often the loop looks at the clock: for what was put off, and for
// drains that begin or end.
const tick = 100 * time.Millisecond

// A loop is who owns a hub: it has one function at a time called, makes the plans that
// follow, and runs what acts for it.
type loop struct {
	hub   *hub // for do, and the loop's own goroutine
	api   *kube.API
	links map[*cluster]*member
	boxes map[*cluster]*mailbox // of those that pull
	// secrets are followed one by one, where the federation's API doesn't let all of them be read; nil: it does.
	secrets *secrets
	calls   chan func()
	life    context.Context
	end     func()
	anew    atomic.Bool // this API has another one by now, or other kinds are to be kept
	wg      sync.WaitGroup
}

// keep keeps the federation's objects until ctx ends.
func keep(ctx context.Context, api *kube.API, c Config) error {
	for {
		settled, said, err := settle(ctx, api, c)
		if err != nil {
			return err
		}
		if said.Restoring != "" {
			return errRestoring
		}
		l, err := newLoop(ctx, ctx, api, settled)
		if err != nil {
			return err
		}
		l.hub.heeds = c.Kinds == nil
		l.run()
		if ctx.Err() != nil || !l.anew.Load() {
			return nil
		}
	}
}

// newLoop makes a loop that ends with life; asking for what it needs to begin ends
// with ctx.
func newLoop(ctx, life context.Context, api *kube.API, c Config) (*loop, error) {
	all, err := kinds(ctx, api, c)
	if err != nil {
		return nil, err
	}
	own, err := begin(ctx, api, c)
	if err != nil {
		return nil, err
	}
	everySecret, err := mayReadSecrets(ctx, api, c)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(life)
	l := &loop{api: api, links: map[*cluster]*member{}, boxes: map[*cluster]*mailbox{}, calls: make(chan func(), 256), life: life, end: end}
	l.hub = newHub(c, actions{connect: l.connect, collect: l.collect, pending: l.pending, reissue: l.reissue, shows: l.shows, rebind: l.rebind, renew: l.renew}, all, own)
	if i := slices.IndexFunc(all, func(s *workload.FederatedKind) bool { return s.Is(builtin.Secrets) }); i >= 0 && !everySecret {
		l.secrets = &secrets{loop: l, kind: all[i], spaces: map[string]*secretSpace{}, named: map[string]func(){}}
	}
	return l, nil
}

// do has a function called by the owner.
func (l *loop) do(f func()) {
	select {
	case l.calls <- f:
	case <-l.life.Done():
	}
}

// ask has the owner answer; false: ctx has ended before.
func ask[T any](ctx context.Context, l *loop, answer func() T) (out T, ok bool) {
	answered := make(chan T, 1)
	l.do(func() { answered <- answer() })
	select {
	case out = <-answered:
		return out, true
	case <-ctx.Done():
		return out, false
	}
}

// run is the owner. When it returns, nothing it started is left.
func (l *loop) run() {
	ctx := l.life
	defer func() {
		l.end()
		l.wg.Wait()
		forgetAll()
	}()
	l.follow(ctx)
	if !l.hub.preview {
		l.wg.Go(func() { l.guard(ctx) })
		l.wg.Go(func() { l.declare(ctx) })
	}
	for range desks {
		l.wg.Go(func() { l.hub.writer.work(ctx, l.api, l.do) })
	}
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, c := range l.hub.members {
				c.stop()
			}
			return
		case f := <-l.calls:
			f()
			l.drain()
		case now := <-clock.C:
			l.hub.pass(now)
		}
		if l.hub.complete() && l.hub.clustersSynced {
			l.hub.plan(time.Now())
		}
	}
}

// renew ends it, for another one to begin.
func (l *loop) renew() {
	l.anew.Store(true)
	l.end()
}

// most is how many calls are heard before plans are made: enough for those that
// came while the last were made, and no starving of them.
const most = 1024

func (l *loop) drain() {
	for range most {
		select {
		case f := <-l.calls:
			f()
		default:
			return
		}
	}
}

// pending lists the pods that have no node, in namespaces of a cluster: in one call, where it may list
// all.
func (l *loop) pending(c *cluster, namespaces []string, done func([]kube.Object, error)) {
	if b := l.boxes[c]; b != nil {
		pods := b.pending()
		l.wg.Go(func() { b.tell(func() { done(pods, nil) }) })
		return
	}
	m := l.links[c]
	l.wg.Go(func() {
		if !m.grants.confined {
			namespaces = []string{""}
		}
		var all []kube.Object
		var err error
		for _, namespace := range namespaces {
			var some []kube.Object
			if some, err = m.api.ListWhere(m.ctx, builtin.Pods, namespace, "status.phase=Pending"); err != nil {
				break
			}
			all = append(all, some...)
		}
		m.tell(func() { done(all, err) })
	})
}
