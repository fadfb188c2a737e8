package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pool gives a cluster's Services of type LoadBalancer their addresses, and leads each to the
// nodes that have pods of it, as load balancers do. An Ingress gets the address of the Service
// that its first rule leads to, which has one backend then.
type pool struct {
	cluster *Cluster
	given   map[string]string // by Service
	led     map[string]string // what is set of an address's ways, by address
}

// startPool runs one until the test ends.
func (c *Cluster) startPool(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	p := pool{c, map[string]string{}, map[string]string{}}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			all, err := c.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
			if err == nil {
				for _, s := range all.Items {
					if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil {
						p.serve(ctx, &s)
					}
				}
			}
			if all, err := c.Client.NetworkingV1().Ingresses("").List(ctx, metav1.ListOptions{}); err == nil {
				for _, i := range all.Items {
					p.front(ctx, &i)
				}
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// serve sees to one Service. What fails is tried again soon.
func (p *pool) serve(ctx context.Context, s *corev1.Service) {
	key := s.Namespace + "/" + s.Name
	if p.given[key] == "" {
		p.given[key] = fmt.Sprintf("10.97.%d.%d", p.cluster.number, 1+len(p.given))
	}
	address := p.given[key]
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		patch := fmt.Appendf(nil, `{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, address)
		_, _ = p.cluster.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}, "status")
	}
	if len(p.cluster.Nodes) > 1 && s.Spec.HealthCheckNodePort != 0 {
		p.lead(ctx, address, s.Spec.HealthCheckNodePort)
	}
}

// front sees to one Ingress.
func (p *pool) front(ctx context.Context, i *networkingv1.Ingress) {
	if len(i.Status.LoadBalancer.Ingress) > 0 || len(i.Spec.Rules) == 0 || i.Spec.Rules[0].HTTP == nil || i.Spec.Rules[0].HTTP.Paths[0].Backend.Service == nil {
		return
	}
	if address := p.given[i.Namespace+"/"+i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name]; address != "" {
		patch := fmt.Appendf(nil, `{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, address)
		_, _ = p.cluster.Client.NetworkingV1().Ingresses(i.Namespace).Patch(ctx, i.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}, "status")
	}
}

// lead leads an address to the nodes whose kube-proxy says that they have ready pods of the
// Service; where none does, it stays as it was.
func (p *pool) lead(ctx context.Context, address string, port int32) {
	var ways []string
	for _, n := range p.cluster.Nodes {
		if healthy(ctx, fmt.Sprintf("http://%s:%d/healthz", n.Address, port)) {
			ways = append(ways, "nexthop", "via", n.Address)
		}
	}
	if len(ways) == 0 || p.led[address] == strings.Join(ways, " ") {
		return
	}
	if _, err := try(p.cluster.bed.netns, "ip", append([]string{"route", "replace", address + "/32"}, ways...)...); err == nil {
		p.led[address] = strings.Join(ways, " ")
	}
}

func healthy(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	q.Close = true
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}
