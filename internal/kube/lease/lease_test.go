package lease

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// Who loses the lease is waited for: another may lead when Lead has returned.
func TestLost(t *testing.T) {
	a := fakeapi.New(t, builtin.Namespaces, builtin.Leases)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "ns"), "test"); err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	err := Lead(t.Context(), api, Lease{Namespace: "ns", Name: "l", Holder: "one", Duration: 2 * time.Second}, func(held context.Context) {
		a.Fail(func(method, _ string) int {
			if method == "GET" {
				return 0
			}
			return 503
		})
		<-held.Done()
		time.Sleep(50 * time.Millisecond) // what is under way takes its time to end
		ended.Store(true)
	})
	if err != nil {
		t.Error(err)
	}
	if !ended.Load() {
		t.Error("it has returned while it leads")
	}
}

// One leads at a time; the next one begins when it has ended, at once.
func TestLead(t *testing.T) {
	a := fakeapi.New(t, builtin.Namespaces, builtin.Leases)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "ns"), "test"); err != nil {
		t.Fatal(err)
	}
	var leading, terms atomic.Int32
	var wg sync.WaitGroup
	began := make(chan context.CancelFunc, 2)
	for _, name := range []string{"one", "two"} {
		ctx, end := context.WithCancel(t.Context())
		wg.Go(func() {
			err := Lead(ctx, api, Lease{Namespace: "ns", Name: "l", Holder: name, Duration: 3 * time.Second}, func(held context.Context) {
				if leading.Add(1) > 1 {
					t.Error("two lead at once")
				}
				terms.Add(1)
				began <- end
				<-held.Done()
				leading.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		select {
		case end := <-began:
			end()
		case <-time.After(time.Minute):
			t.Fatal("nobody leads")
		}
	}
	wg.Wait()
	if terms.Load() != 2 {
		t.Errorf("%d have led", terms.Load())
	}
}
