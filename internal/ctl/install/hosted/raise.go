package hosted

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// Render gives all objects of a plan, with keys of their own, without asking
// anybody: the address is the one that is advertised, if there is one.
func (p Plan) Render(now time.Time) ([]*kube.Object, error) {
	k := &keys{}
	if err := k.complete(p.Federation, p.names(""), p.etcdNames(), now); err != nil {
		return nil, err
	}
	host, port := p.advertised()
	if host == "" {
		host = p.APIName() + "." + p.Namespace() + ".svc"
	}
	objects, err := p.workloads(k)
	if err != nil {
		return nil, err
	}
	admin, err := kubeconfig.ForCertificate(p.Federation, p.endpoint(k, host, port), k.admin.cert, k.admin.key)
	if err != nil {
		return nil, err
	}
	out := []*kube.Object{apply.NewNamespace(p.Namespace()), p.authoritySecret(k), p.apiSecret(k), p.etcdSecret(k), p.adminSecret(k, admin)}
	return append(out, objects...), nil
}

// A Waiter is told what is waited for.
type Waiter func(what string)

// Create sets the API up, or up again, and gives the operator's kubeconfig once it
// is ready. What is there is kept where it can be: authorities and keys always.
func (p Plan) Create(ctx context.Context, l *apply.Applied, now time.Time, say Waiter) (admin []byte, err error) {
	if err := l.Namespace(ctx, p.Namespace()); err != nil {
		return nil, err
	}
	if p.formed, err = p.formedBefore(ctx, l.API); err != nil {
		return nil, err
	}
	k, err := p.readKeys(ctx, l.API)
	if err != nil {
		return nil, err
	}
	// The Services first: the certificates name their addresses.
	drafts, err := p.workloads(k)
	if err != nil {
		return nil, err
	}
	for _, o := range drafts {
		if o.GetKind() == builtin.Services.Name {
			if _, err := l.Apply(ctx, o); err != nil {
				return nil, err
			}
		}
	}
	host, port, err := p.address(ctx, l.API, say)
	if err != nil {
		return nil, err
	}
	if err := k.complete(p.Federation, p.names(host), p.etcdNames(), now); err != nil {
		return nil, err
	}
	if admin, err = kubeconfig.ForCertificate(p.Federation, p.endpoint(k, host, port), k.admin.cert, k.admin.key); err != nil {
		return nil, err
	}
	objects, err := p.workloads(k)
	if err != nil {
		return nil, err
	}
	if p.Storage != "" {
		for _, name := range p.claimNames() {
			if _, err := l.API.Get(ctx, builtin.VolumeClaims, p.Namespace(), name); kube.Missing(err) {
				l.Record(builtin.VolumeClaims, p.Namespace(), name)
			}
		}
	}
	for _, o := range append([]*kube.Object{p.authoritySecret(k), p.apiSecret(k), p.etcdSecret(k), p.adminSecret(k, admin)}, objects...) {
		if o.GetKind() == builtin.Services.Name {
			continue
		}
		if _, err := l.Apply(ctx, o); err != nil {
			return nil, err
		}
	}
	return admin, p.ready(ctx, l.API, admin, say)
}

// There reads how a federation's API stands in a host: whether it is, and with several of each.
func There(ctx context.Context, api *kube.API, federation string) (there, ha bool, err error) {
	p := Plan{Federation: federation}
	o, err := api.Get(ctx, builtin.StatefulSets, p.Namespace(), p.EtcdName())
	if kube.Missing(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("StatefulSet %s/%s: %w", p.Namespace(), p.EtcdName(), err)
	}
	return true, number(o, "spec", "replicas") > 1, nil
}

// formedBefore says whether all etcds of an API have been ready: they know each other then.
func (p Plan) formedBefore(ctx context.Context, api *kube.API) (bool, error) {
	if !p.HA {
		return false, nil
	}
	o, err := api.Get(ctx, builtin.StatefulSets, p.Namespace(), p.EtcdName())
	switch {
	case kube.Missing(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("StatefulSet %s/%s: %w", p.Namespace(), p.EtcdName(), err)
	case o.GetAnnotations()[v1alpha1.EtcdFormed] != "":
		return true, nil
	}
	return number(o, "status", "readyReplicas") >= etcds, nil
}

// readKeys reads what an earlier run made.
func (p Plan) readKeys(ctx context.Context, api *kube.API) (*keys, error) {
	k := &keys{}
	var list, only []byte
	for _, s := range []struct {
		name string
		into map[string]*[]byte
	}{
		{p.authorityName(), map[string]*[]byte{"ca.crt": &k.ca.cert, "ca.key": &k.ca.key, "etcd-ca.crt": &k.etcdCA.cert, "etcd-ca.key": &k.etcdCA.key}},
		{p.APIName(), map[string]*[]byte{"tls.crt": &k.server.cert, "tls.key": &k.server.key, "etcd-client.crt": &k.etcdClient.cert, "etcd-client.key": &k.etcdClient.key, "service-accounts.key": &k.accounts, "encryption.keys": &list, "encryption.key": &only}},
		{p.EtcdName(), map[string]*[]byte{"tls.crt": &k.etcd.cert, "tls.key": &k.etcd.key}},
		{p.adminName(), map[string]*[]byte{"tls.crt": &k.admin.cert, "tls.key": &k.admin.key}},
	} {
		o, err := api.Get(ctx, builtin.Secrets, p.Namespace(), s.name)
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("secret %s/%s: %w", p.Namespace(), s.name, err)
		}
		data := kube.SecretData(o)
		for key, into := range s.into {
			*into = data[key]
		}
	}
	var err error
	if k.encryption, err = encryptionOf(list, only); err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", p.Namespace(), p.APIName(), err)
	}
	return k, nil
}

// look is between two looks at what isn't ready.
const look = 250 * time.Millisecond

// await asks until there is nothing missing. When ctx ends, the error says what
// still was.
func await(ctx context.Context, say Waiter, missing func(context.Context) (what, help string, err error)) error {
	what, help := "the first word from there", ""
	err := wait.PollUntilContextCancel(ctx, look, true, func(ctx context.Context) (bool, error) {
		now, aid, err := missing(ctx)
		switch {
		case err == nil && now == "":
			return true, nil
		case ctx.Err() != nil: // it is the end that is missing
			return false, ctx.Err()
		case err == nil:
			what, help = now, aid
			say(what)
		}
		return false, err
	})
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return advice.Errorf(help, "%s", what)
	}
	return context.Cause(ctx)
}

// address waits for the address that the API is reached at.
func (p Plan) address(ctx context.Context, api *kube.API, say Waiter) (host, port string, err error) {
	host, port = p.advertised()
	if host != "" && (p.ServiceType != NodePort || port != "") {
		return host, port, nil
	}
	if p.ServiceType == ClusterIP {
		return p.APIName() + "." + p.Namespace() + ".svc", "", nil
	}
	err = await(ctx, say, func(ctx context.Context) (string, string, error) {
		o, err := api.Get(ctx, builtin.Services, p.Namespace(), p.APIName())
		if err != nil {
			return "", "", fmt.Errorf("service %s: %w", p.APIName(), err)
		}
		if p.ServiceType == NodePort {
			if port = nodePort(o); port == "" {
				return fmt.Sprintf("service %s has no node port", p.APIName()), "", nil
			}
			return "", "", nil
		}
		if host = balancer(o); host == "" {
			return fmt.Sprintf("service %s has no load-balancer address", p.APIName()),
				"where nobody hands them out, use --api-server-service-type NodePort --api-server-advertise-address ADDRESS", nil
		}
		return "", "", nil
	})
	return host, port, err
}

func nodePort(service *kube.Object) string {
	for _, port := range entries(service, "spec", "ports") {
		if n, ok, _ := unstructured.NestedInt64(port, "nodePort"); ok {
			return fmt.Sprint(n)
		}
	}
	return ""
}

func balancer(service *kube.Object) string {
	for _, entry := range entries(service, "status", "loadBalancer", "ingress") {
		for _, key := range []string{"ip", "hostname"} {
			if s, _, _ := unstructured.NestedString(entry, key); s != "" {
				return s
			}
		}
	}
	return ""
}

// entries are the maps of a list at a path of an object; none, where there is no list yet.
func entries(o *kube.Object, path ...string) (out []map[string]any) {
	list, _, _ := unstructured.NestedSlice(o.Object, path...)
	for _, item := range list {
		if entry, ok := item.(map[string]any); ok {
			out = append(out, entry)
		}
	}
	return out
}

// number is what stands at a path of an object; 0, where nothing does yet.
func number(o *kube.Object, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, path...)
	return n
}

// ready waits for the pods, and for the API to say that it is ready, asked from
// here.
func (p Plan) ready(ctx context.Context, api *kube.API, admin []byte, say Waiter) error {
	for _, w := range []struct {
		kind kube.Kind
		name string
		app  string
		want int64
	}{{builtin.StatefulSets, p.EtcdName(), "etcd", int64(p.Etcds())}, {builtin.Deployments, p.APIName(), "kube-apiserver", int64(p.APIServers())}} {
		err := await(ctx, say, func(ctx context.Context) (string, string, error) {
			o, err := api.Get(ctx, w.kind, p.Namespace(), w.name)
			if err != nil {
				return "", "", fmt.Errorf("%s %s: %w", w.kind.Name, w.name, err)
			}
			// What ran before doesn't count: it has the certificates of before. Nor may it be there still: it
			// doesn't know the keys that others write with next.
			ready := min(number(o, "status", "readyReplicas"), number(o, "status", "updatedReplicas"))
			if number(o, "status", "observedGeneration") >= o.GetGeneration() && ready >= w.want && number(o, "status", "replicas") <= w.want {
				return "", "", nil
			}
			why, err := p.stuck(ctx, api, "app.kubernetes.io/name="+w.app)
			if err != nil {
				return "", "", err
			}
			what := w.name + " has no ready pod"
			if ready > 0 {
				what = fmt.Sprintf("%s has %d of %d pods ready", w.name, min(ready, w.want), w.want)
			}
			if claim, err := p.classless(ctx, api); err != nil || claim != "" {
				return fmt.Sprintf("%s: its claim %s has no storage class, and the cluster has no default one", what, claim),
					"--etcd-storage-class CLASS says which; kubectl get storageclass lists them", err
			}
			return what + why, fmt.Sprintf("kubectl -n %s describe pods -l app.kubernetes.io/name=%s", p.Namespace(), w.app), nil
		})
		if err != nil {
			return err
		}
	}
	own, err := kube.Open(kube.Config{Content: admin, Agent: "fedctl"})
	if err != nil {
		return err
	}
	defer own.Close()
	return await(ctx, say, func(ctx context.Context) (string, string, error) {
		if err := own.Ready(ctx); err != nil {
			return fmt.Sprintf("%s isn't ready: %v", own.Server, err), "--api-server-advertise-address says where it is reached from here", nil
		}
		return "", "", nil
	})
}

// classless is a claim of etcd's that waits for ever; "": there is none. An API server gives a claim
// that says no class the default one, as soon as there is one.
func (p Plan) classless(ctx context.Context, api *kube.API) (string, error) {
	if p.Storage == "" || p.StorageClass != "" {
		return "", nil
	}
	for _, name := range p.claimNames() {
		o, err := api.Get(ctx, builtin.VolumeClaims, p.Namespace(), name)
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("PersistentVolumeClaim %s: %w", name, err)
		}
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		if class, _, _ := unstructured.NestedString(o.Object, "spec", "storageClassName"); class == "" && phase == "Pending" {
			return name, nil
		}
	}
	return "", nil
}

// stuck says what the pods wait for, as Kubernetes has it.
func (p Plan) stuck(ctx context.Context, api *kube.API, which string) (string, error) {
	pods, err := api.List(ctx, builtin.Pods, p.Namespace(), which+","+apply.Federation+"="+p.Federation)
	if err != nil {
		return "", fmt.Errorf("pods: %w", err)
	}
	var why []string
	for _, pod := range pods {
		for _, c := range entries(&pod, "status", "containerStatuses") {
			if reason, _, _ := unstructured.NestedString(c, "state", "waiting", "reason"); reason != "" {
				why = append(why, reason)
			}
		}
		for _, c := range entries(&pod, "status", "conditions") {
			message, _, _ := unstructured.NestedString(c, "message")
			if c["type"] == "PodScheduled" && c["status"] == "False" && message != "" {
				why = append(why, message)
			}
		}
	}
	if len(why) == 0 {
		return "", nil
	}
	return ": " + strings.Join(why, "; "), nil
}

// Delete removes what Raise made, the volume too.
func Delete(ctx context.Context, api *kube.API, federation string) (kept string, err error) {
	var errs []error
	for _, k := range []kube.Kind{builtin.Deployments, builtin.StatefulSets, builtin.Services, builtin.NetworkPolicies, builtin.Budgets, builtin.VolumeClaims, builtin.Secrets} {
		_, err := apply.DeleteAllOwned(ctx, api, k, v1alpha1.System, federation)
		errs = append(errs, err)
	}
	// Of these kinds a member has others there.
	programs := Plan{Federation: federation}.programsName()
	for _, k := range []kube.Kind{builtin.ConfigMaps, builtin.ServiceAccounts} {
		errs = append(errs, apply.DeleteOwned(ctx, api, federation, apply.Named{Kind: k, Namespace: v1alpha1.System, Name: programs}))
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return apply.DeleteOwnedNamespace(ctx, api, v1alpha1.System)
}

// Admin gives the operator's kubeconfig of a federation that stands in a host.
func Admin(ctx context.Context, api *kube.API, federation string) ([]byte, error) {
	o, err := api.Get(ctx, builtin.Secrets, v1alpha1.System, Plan{Federation: federation}.adminName())
	if err != nil {
		return nil, err
	}
	return kube.SecretData(o)[v1alpha1.KubeconfigKey], nil
}
