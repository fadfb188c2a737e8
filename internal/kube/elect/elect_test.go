package elect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// Those who say the same hold a Lease together, and take it from each other neither by renewing it nor at the end.
func TestTogether(t *testing.T) {
	a := fakeapi.New(t, builtin.Namespaces, builtin.Leases)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "ns"), "test"); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one := Candidate{API: api, Namespace: "ns", Name: "l", Holder: "server", Duration: time.Minute}
	two, other := one, one
	other.Holder = "other"
	for i := range 3 {
		for _, c := range []*Candidate{&one, &two, &one} {
			if err := c.take(t.Context(), now); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
	}
	// One of them writes between the other's look and its own write.
	one.version = "0"
	if err := one.patch(t.Context(), map[string]any{"holderIdentity": "server"}); !errors.Is(err, errChanged) {
		t.Fatal(err)
	}
	if err := one.take(t.Context(), now); err != nil {
		t.Error(err)
	}
	if err := other.take(t.Context(), now); !errors.Is(err, errHeld) {
		t.Error(err)
	}
}

// One leads at a time, and another when it has ended; one that can't renew its Lease ends.
func TestRun(t *testing.T) {
	a := fakeapi.New(t, builtin.Namespaces, builtin.Leases)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "ns"), "test"); err != nil {
		t.Fatal(err)
	}
	var leading atomic.Int32
	began := make(chan context.CancelFunc, 10)
	var wg sync.WaitGroup
	for i := range 3 {
		ctx, end := context.WithCancel(t.Context())
		c := Candidate{API: api, Namespace: "ns", Name: "l", Holder: fmt.Sprint("server", i), Duration: 1500 * time.Millisecond}
		wg.Go(func() {
			c.Run(ctx, func(held context.Context) {
				if leading.Add(1) > 1 {
					t.Error("two lead at once")
				}
				began <- end
				<-held.Done()
				leading.Add(-1)
			})
		})
	}
	var last context.CancelFunc
	for i := range 3 {
		select {
		case end := <-began:
			if i < 2 {
				end()
			} else {
				last = end
			}
		case <-time.After(time.Minute):
			t.Fatal("nobody leads")
		}
	}
	a.Fail(func(string, string) int { return 503 })
	for end := time.Now().Add(time.Minute); leading.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it leads without a Lease")
		}
	}
	last()
	wg.Wait()
}
