package registry

import (
	"encoding/json"
	"maps"
	"sync"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
)

// seenStatuses are the statuses that the objects have, as the watches show them: what
// is written there already isn't written again. Nothing is answered by them.
type seenStatuses struct {
	mu        sync.Mutex // guards the rest
	byCluster map[string]fedapi.ClusterStatus
	byOrder   map[string]fedapi.OrderStatus
}

// status reads that of an object; what can't be read isn't there, and is written anew.
func status[S any](o *kube.Object) (s S) {
	if text, err := json.Marshal(o.Object["status"]); err == nil {
		if json.Unmarshal(text, &s) != nil {
			var none S
			return none
		}
	}
	return s
}

func (s *seenStatuses) clusters(all []*kube.Object) {
	s.mu.Lock()
	s.byCluster = map[string]fedapi.ClusterStatus{}
	s.mu.Unlock()
	for _, o := range all {
		s.cluster(o)
	}
}

func (s *seenStatuses) orders(all []*kube.Object) {
	s.mu.Lock()
	s.byOrder = map[string]fedapi.OrderStatus{}
	s.mu.Unlock()
	for _, o := range all {
		s.order(o)
	}
}

func (s *seenStatuses) cluster(o *kube.Object) {
	is := status[fedapi.ClusterStatus](o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCluster == nil {
		s.byCluster = map[string]fedapi.ClusterStatus{}
	}
	s.byCluster[o.GetName()] = is
}

func (s *seenStatuses) order(o *kube.Object) {
	is := status[fedapi.OrderStatus](o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byOrder == nil {
		s.byOrder = map[string]fedapi.OrderStatus{}
	}
	s.byOrder[o.GetName()] = is
}

func (s *seenStatuses) goneCluster(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byCluster, name)
}

func (s *seenStatuses) goneOrder(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byOrder, name)
}

// now gives all of them as they are at this moment.
func (s *seenStatuses) now() (map[string]fedapi.ClusterStatus, map[string]fedapi.OrderStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byCluster), maps.Clone(s.byOrder)
}
