package node

import (
	"strings"
	"testing"
	"time"
)

// RestartDNS has the cluster's DNS read its Corefile at once.
func (c *Cluster) RestartDNS(t testing.TB) {
	t.Helper()
	c.Kubectl(t, "-n", "kube-system", "rollout", "restart", "deployment/coredns")
	c.Kubectl(t, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=2m")
}

func (c *Cluster) corefile(t testing.TB) {
	t.Helper()
	text := `.:53 {
    errors
    health {
        lameduck 1s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    reload
    loadbalance
}
`
	c.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata:\n  Corefile: |\n"+
		"    "+strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")+"\n")
}

// startDNS starts the cluster's own DNS, in a pod.
func (c *Cluster) startDNS(t testing.TB) {
	t.Helper()
	c.corefile(t)
	c.Apply(t, strings.ReplaceAll(dns, "CLUSTERDNS", c.DNS()))
}

// awaitDNS waits until that answers.
func (c *Cluster) awaitDNS(t testing.TB) {
	t.Helper()
	eventually(t, 2*time.Minute, c.Name+"'s DNS is ready", func() error {
		_, err := c.TryKubectl(t, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=30s")
		return err
	})
}

const dns = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{kind: ServiceAccount, name: coredns, namespace: kube-system}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: CLUSTERDNS
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  replicas: 1
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      serviceAccountName: coredns
      dnsPolicy: Default
      containers:
      - name: coredns
        image: localhost/coredns:1
        imagePullPolicy: Never
        args: [-conf, /etc/coredns/Corefile]
        volumeMounts: [{name: config, mountPath: /etc/coredns}]
        readinessProbe: {httpGet: {path: /ready, port: 8181}, periodSeconds: 1}
      volumes: [{name: config, configMap: {name: coredns}}]
`
