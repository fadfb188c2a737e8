// Package lease has one of several processes lead.
//
// It stands apart from package kube for the sake of fedns, which has package elect: client-go's
// leader election brings informers of every kind.
package lease

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/fedns/fedns/internal/kube"
)

// A Lease is what one of several processes holds to lead.
type Lease struct {
	Namespace, Name string
	Holder          string        // who asks for it; no two may say the same
	Duration        time.Duration // without a word from its holder, it is free
}

// Lead waits until the lease is held, calls lead, and ends the context it gave when
// the lease is lost, or ctx ends. It returns when lead has, and lets go of the lease
// then and not before: the next one begins when this one has ended.
func Lead(ctx context.Context, api *kube.API, l Lease, lead func(context.Context)) error {
	config := rest.CopyConfig(api.REST)
	config.NegotiatedSerializer = nil
	// A call that hangs must not cost the lease.
	client, err := coordination.NewForConfigAndClient(config, &http.Client{Transport: api.HTTP().Transport, Timeout: l.Duration / 3})
	if err != nil {
		return err
	}
	hold, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	done := make(chan struct{})
	lock := &watched{Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: l.Holder},
	}}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: l.Duration, RenewDeadline: l.Duration * 2 / 3, RetryPeriod: l.Duration / 6,
		ReleaseOnCancel: true, Name: l.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				defer close(done)
				held, end := context.WithCancel(held)
				defer end()
				defer context.AfterFunc(ctx, end)()
				lead(held)
				release() // who stops by itself lets go
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		if !lock.held.Load() {
			release()
		}
	})()
	elector.Run(hold)
	if lock.held.Load() {
		<-done
	}
	return nil
}

// watched is a lock that remembers whether it was ever held: an elector that is
// told to stop doesn't say whether it has called who leads.
type watched struct {
	resourcelock.Interface
	held atomic.Bool
}

// Create is for electors.
func (w *watched) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return w.noted(r, w.Interface.Create(ctx, r))
}

// Update is for electors.
func (w *watched) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return w.noted(r, w.Interface.Update(ctx, r))
}

func (w *watched) noted(r resourcelock.LeaderElectionRecord, err error) error {
	if err == nil && r.HolderIdentity == w.Identity() {
		w.held.Store(true)
	}
	return err
}
