package registry

import (
	"sync"
	"testing"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// While objects are listed anew, nothing that was seen is missing: a statement would be
// written once more, as if it were new.
func TestSeenWhileListed(t *testing.T) {
	var all, clusters []*kube.Object
	for _, name := range []string{"o", "p", "q"} {
		o := v1alpha1.Orders.New("", name)
		o.Object["status"] = map[string]any{"inForce": "2/2"}
		all, clusters = append(all, o), append(clusters, v1alpha1.Clusters.New("", name))
	}
	var s seenStatuses
	s.orders(all)
	s.clusters(clusters)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2000 {
			s.orders(all)
			s.clusters(clusters)
		}
	})
	for range 2000 {
		if c, versions, o := s.now(); len(c) != 3 || len(versions) != 3 || len(o) != 3 || o["p"].InForce != "2/2" {
			t.Errorf("%d clusters, %d versions, orders %v", len(c), len(versions), o)
			break
		}
	}
	wg.Wait()
}
