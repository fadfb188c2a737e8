package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Everything a test may ask of a bed, once, on clusters it shares: what takes
// time is starting them.
func TestBed(t *testing.T) {
	start := time.Now()
	b := New(t)
	apis := b.APIs(t, "paris", "lyon", "oslo")
	t.Logf("three API servers: %v", time.Since(start))
	member := b.Member(t, "rome")
	t.Logf("and a member: %v", time.Since(start))

	t.Run("member", func(t *testing.T) {
		member.AddNode(t, "node-1", "eu", "eu-a")
		member.Expose(t, "shop", "web", "192.0.2.10")
		member.Deploy(t, "shop", "web", 3)
		member.WaitReady(t, "shop", "web", 3)
		member.Scale(t, "shop", "web", 0)
		member.WaitReady(t, "shop", "web", 0)
		member.Scale(t, "shop", "web", 2)
		member.WaitReady(t, "shop", "web", 2)

		svc, err := member.Client.CoreV1().Services("shop").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if in := svc.Status.LoadBalancer.Ingress; len(in) != 1 || in[0].IP != "192.0.2.10" {
			t.Errorf("the Service's addresses are %v, want 192.0.2.10", in)
		}
		slices, err := member.Client.DiscoveryV1().EndpointSlices("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "fedns.io/export=true"})
		if err != nil {
			t.Fatal(err)
		}
		if len(slices.Items) != 1 || *slices.Items[0].Endpoints[0].Zone != "eu-a" {
			t.Errorf("the exported slices are %v, want one in zone eu-a", slices.Items)
		}
	})

	t.Run("slices by hand", func(t *testing.T) {
		c := apis[0]
		c.Expose(t, "shop", "web", "192.0.2.20")
		c.Slice(t, "shop", "web", "eu-b", true)
		c.WaitReady(t, "shop", "web", 1)
		c.Slice(t, "shop", "web", "eu-b", false)
		c.WaitReady(t, "shop", "web", 0)
		c.Expose(t, "shop", "web", "")
		// One etcd, but to each its own objects.
		if _, err := apis[1].Client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the neighbour's namespace: %v, want not found", err)
		}
	})

	t.Run("pause", func(t *testing.T) {
		c := apis[0]
		c.Pause()
		if err := services(t, c.Client); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a paused API server said %v, want silence", err)
		}
		c.Resume()
		if err := services(t, c.Client); err != nil {
			t.Errorf("resumed: %v", err)
		}
	})

	t.Run("kill", func(t *testing.T) {
		c := apis[1]
		c.Apply(t, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
`)
		c.Kill(t)
		if err := services(t, c.Client); err == nil {
			t.Error("a killed API server answered")
		}
		c.Resume() // of no use, and no harm
		c.Start(t)
		// The same client: address, certificate and objects are as they were.
		if _, err := c.Client.NetworkingV1().Ingresses("default").Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
			t.Errorf("started again: %v", err)
		}
	})

	t.Run("kill a member", func(t *testing.T) {
		member.Kill(t)
		member.Start(t)
		// The controllers, the scheduler and kwok find it again.
		member.Scale(t, "shop", "web", 5)
		member.WaitReady(t, "shop", "web", 5)
	})

	t.Run("read only", func(t *testing.T) {
		c := apis[2]
		reader := connect(t, c.ReadOnly(t))
		if err := services(t, reader); err != nil {
			t.Error(err)
		}
		if _, err := reader.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("listing secrets: %v, want forbidden", err)
		}
		if err := reader.CoreV1().Services("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("deleting a service: %v, want forbidden", err)
		}
		c.Revoke(t)
		if err := services(t, reader); !apierrors.IsForbidden(err) {
			t.Errorf("revoked: %v, want forbidden", err)
		}
		c.Restore(t)
		if err := services(t, reader); err != nil {
			t.Errorf("restored: %v", err)
		}
	})

	t.Run("kubeconfig", func(t *testing.T) {
		for _, c := range append(apis, member) {
			config, err := clientcmd.LoadFromFile(c.Kubeconfig)
			if err != nil {
				t.Fatal(err)
			}
			if config.CurrentContext != c.Name || config.Contexts[c.Name] == nil {
				t.Errorf("cluster %q: its kubeconfig's context is %q", c.Name, config.CurrentContext)
			}
			if err := services(t, connect(t, c.Kubeconfig)); err != nil {
				t.Errorf("cluster %q: %v", c.Name, err)
			}
		}
	})
}

// services lists the Services, for the sake of the error, and gives up soon.
func services(t *testing.T, c kubernetes.Interface) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := c.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	return err
}

func connect(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
