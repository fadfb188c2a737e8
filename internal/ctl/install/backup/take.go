// Package backup keeps what a federation's API holds in a file, and puts it into another
// API, while the clusters go on with what they have.
//
// What counts isn't the bytes of etcd but what the federation means: objects come to have
// other UIDs and versions in another API, and what names them by these has to follow. What
// Kubernetes, fedctl init and the programs make by themselves isn't in it.
package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/marks"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A Waiter is told what is under way.
type Waiter func(what string)

// Take reads all that a federation's API holds, as it was at one moment.
func Take(ctx context.Context, api *kube.API, fedctl string, now time.Time, say Waiter) (*File, error) {
	whose, err := bootstrap.Read(ctx, api)
	if err != nil {
		return nil, err
	}
	if whose.Restoring != "" {
		return nil, unfinished(whose)
	}
	f := &File{Header: Header{Federation: whose.Federation, Domain: whose.Domain, Server: api.Server, Fedctl: fedctl, Taken: now.UTC().Truncate(time.Second)}}
	if f.UID, err = bootstrap.Identity(ctx, api); err != nil {
		return nil, err
	}
	if f.Kubernetes, err = api.Version(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", api.Server, err)
	}
	kinds, err := contents.Writable(ctx, api)
	if err != nil {
		return nil, fmt.Errorf("%s: which kinds it serves: %w", api.Server, err)
	}
	revision, err := api.Revision(ctx, builtin.Namespaces)
	if err != nil {
		return nil, fmt.Errorf("%s: namespaces: %w", api.Server, err)
	}
	p := picker{whose: whose, kept: kept(whose)}
	for _, k := range kinds {
		if unkept(k) || !whose.Hosted && !p.wants(k) {
			continue
		}
		say("its " + k.Resource)
		all, err := api.ListAt(ctx, k, revision)
		if kube.Missing(err) {
			continue // its definition has gone since
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Resource, err)
		}
		for i := range all {
			o := &all[i]
			o.SetAPIVersion(k.APIVersion())
			o.SetKind(k.Name)
			if k == builtin.ConfigMaps && o.GetNamespace() == v1alpha1.System && o.GetName() == v1alpha1.ConfigName {
				if f.Settings, _, err = unstructured.NestedStringMap(o.Object, "data"); err != nil {
					return nil, fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, v1alpha1.ConfigName, err)
				}
				continue
			}
			if p.picks(k, o) {
				f.Objects = append(f.Objects, o)
			}
		}
	}
	slices.SortStableFunc(f.Objects, before)
	return f, nil
}

// unkept kinds hold nothing that anybody has said: who has gone, what has happened, what is
// made of something else.
func unkept(k kube.Kind) bool {
	switch k.Name {
	case builtin.Events.Name, builtin.Leases.Name, v1alpha1.Placements.Name, "Endpoints", "ControllerRevision", "IPAddress", "ServiceCIDR", "APIService",
		"CertificateSigningRequest", "LeaseCandidate", "StorageVersion", "Node", "CSINode", "CSIStorageCapacity", "VolumeAttachment":
		return true
	}
	return k.Group == "flowcontrol.apiserver.k8s.io" || k.Group == v1alpha1.Group && (k.Name == v1alpha1.Works.Name || k.Name == v1alpha1.Agents.Name)
}

// kept are the kinds that a federation keeps in clusters.
func kept(whose v1alpha1.Settings) []*workload.FederatedKind {
	all := workload.Kinds()
	for _, k := range whose.AllKinds() {
		if !slices.ContainsFunc(all, func(s *workload.FederatedKind) bool { return s.Is(k) }) {
			all = append(all, workload.Other(k))
		}
	}
	return all
}

// A picker says what of an API is in its backup.
type picker struct {
	whose v1alpha1.Settings
	kept  []*workload.FederatedKind
}

func (p *picker) federated(k kube.Kind) *workload.FederatedKind {
	return kindOf(p.kept, k)
}

func kindOf(kept []*workload.FederatedKind, k kube.Kind) *workload.FederatedKind {
	if i := slices.IndexFunc(kept, func(s *workload.FederatedKind) bool { return s.Is(k) }); i >= 0 {
		return kept[i]
	}
	return nil
}

// wants says whether anything of a kind is, in an API that has other uses.
func (p *picker) wants(k kube.Kind) bool {
	switch k {
	case builtin.Roles, builtin.RoleBindings, builtin.Definitions:
		return true
	}
	return k.Group == v1alpha1.Group || p.federated(k) != nil
}

func (p *picker) picks(k kube.Kind, o *kube.Object) bool {
	switch {
	case v1alpha1.IsPart(o.GetNamespace()), k == builtin.Namespaces && v1alpha1.IsPart(o.GetName()):
		return false // the credential for it is worth nothing elsewhere: fedctl join --pull makes it anew
	case k == builtin.Secrets && o.Object["type"] == builtin.TokenType:
		return false // of this API
	case k.Group == v1alpha1.Group:
		return true
	case k == builtin.Definitions:
		return !builtin.Everywhere(k.Name, "", o.GetName()) && (p.whose.Hosted || p.defines(o))
	case o.GetNamespace() == v1alpha1.System:
		return k != builtin.ConfigMaps || !marks.Ours(o)
	}
	if s := p.federated(k); s != nil && (workload.Federated(workload.Key{FederatedKind: s, Namespace: o.GetNamespace(), Name: o.GetName()}, o.Object) || marks.Wished(o)) {
		return true
	}
	return p.whose.Hosted && o.GetName() != v1alpha1.System && !workload.Owned(o.Object) && !slices.Contains(builtin.SystemNamespaces, o.GetNamespace()) &&
		(k == builtin.Namespaces || !builtin.Made(k.Name, o.GetNamespace(), o.GetName(), o.GetLabels(), o.GetAnnotations()))
}

// defines says whether a definition is of a kind that is kept in clusters.
func (p *picker) defines(o *kube.Object) bool {
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	name, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
	return p.federated(kube.Kind{Group: group, Name: name}) != nil
}

// When an object is written: what others need comes before them. What may refuse others
// comes behind them. Clusters come last of all: without them nothing is kept anywhere.
const (
	definitions = iota
	namespaces
	most
	bounds // of what there may be
	refusing
	orders
	clusters
)

func rank(o *kube.Object) int {
	gv := o.GroupVersionKind()
	switch {
	case gv.Group == v1alpha1.Group && gv.Kind == v1alpha1.Clusters.Name:
		return clusters
	case gv.Group == v1alpha1.Group && gv.Kind == v1alpha1.Orders.Name:
		return orders
	case gv.Group == builtin.Definitions.Group && gv.Kind == builtin.Definitions.Name:
		return definitions
	case gv.Group == "" && gv.Kind == builtin.Namespaces.Name:
		return namespaces
	case gv.Group == "" && (gv.Kind == builtin.Limits.Name || gv.Kind == builtin.Quotas.Name):
		return bounds
	case gv.Group == "admissionregistration.k8s.io":
		return refusing
	}
	return most
}

// before is the order of a file. Orders count in that in which they were given.
func before(a, b *kube.Object) int {
	if n := rank(a) - rank(b); n != 0 {
		return n
	}
	if rank(a) == orders {
		if n := a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time); n != 0 {
			return n
		}
	}
	for _, x := range [][2]string{{a.GetKind(), b.GetKind()}, {a.GetNamespace(), b.GetNamespace()}, {a.GetName(), b.GetName()}} {
		if n := strings.Compare(x[0], x[1]); n != 0 {
			return n
		}
	}
	return 0
}
