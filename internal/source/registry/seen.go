package registry

import (
	"encoding/json"
	"maps"
	"sync"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// seenStatuses are the statuses that the objects have, as the watches show them: what
// is written there already isn't written again. Nothing is answered by them.
type seenStatuses struct {
	mu        sync.Mutex // guards the rest
	byCluster map[string]v1alpha1.ClusterStatus
	byOrder   map[string]v1alpha1.OrderStatus
	versions  map[string]string // resourceVersions of Clusters
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
	byCluster, versions := map[string]v1alpha1.ClusterStatus{}, map[string]string{}
	for _, o := range all {
		byCluster[o.GetName()], versions[o.GetName()] = status[v1alpha1.ClusterStatus](o), o.GetResourceVersion()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byCluster, s.versions = byCluster, versions
}

func (s *seenStatuses) orders(all []*kube.Object) {
	byOrder := map[string]v1alpha1.OrderStatus{}
	for _, o := range all {
		byOrder[o.GetName()] = status[v1alpha1.OrderStatus](o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byOrder = byOrder
}

func (s *seenStatuses) cluster(o *kube.Object) {
	is := status[v1alpha1.ClusterStatus](o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCluster == nil {
		s.byCluster, s.versions = map[string]v1alpha1.ClusterStatus{}, map[string]string{}
	}
	s.byCluster[o.GetName()], s.versions[o.GetName()] = is, o.GetResourceVersion()
}

func (s *seenStatuses) order(o *kube.Object) {
	is := status[v1alpha1.OrderStatus](o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byOrder == nil {
		s.byOrder = map[string]v1alpha1.OrderStatus{}
	}
	s.byOrder[o.GetName()] = is
}

func (s *seenStatuses) goneCluster(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byCluster, name)
	delete(s.versions, name)
}

func (s *seenStatuses) goneOrder(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byOrder, name)
}

// now gives all of them as they are at this moment, and the resourceVersions of the
// Clusters that they are of.
func (s *seenStatuses) now() (clusters map[string]v1alpha1.ClusterStatus, versions map[string]string, orders map[string]v1alpha1.OrderStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byCluster), maps.Clone(s.versions), maps.Clone(s.byOrder)
}
