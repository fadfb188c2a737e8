// Package hosted is the API of a federation as it stands in a host cluster: an etcd,
// a kube-apiserver, and what the two need. Nothing there runs pods.
package hosted

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// What is run unless it is said otherwise: the versions that the tests run.
const (
	APIServerImage = "registry.k8s.io/kube-apiserver:v1.36.3"
	EtcdImage      = "registry.k8s.io/etcd:3.6.8-0"
)

// Types of the Service in front.
const (
	LoadBalancer = "LoadBalancer"
	NodePort     = "NodePort"
	ClusterIP    = "ClusterIP"
)

// A Plan says what to set up.
type Plan struct {
	Federation string
	APIImage   string
	EtcdImage  string
	// ServiceType is how the API is reached: LoadBalancer, NodePort or ClusterIP.
	ServiceType string
	// Advertise is the address or name it is reached at, with a port if that isn't
	// the Service's own; "": what the Service comes to.
	Advertise    string
	NodePort     int    // 0: the cluster chooses
	Storage      string // of etcd, such as 10Gi; "": none, what is there goes with its pod
	StorageClass string // "": the cluster's default
	// HA is that it goes on without any one node: three etcds, which are two without one,
	// and two API servers.
	HA bool

	formed bool // its etcds have found each other before
}

// How many there are with HA.
const (
	etcds      = 3
	apiServers = 2
)

// Etcds is how many etcds there are.
func (p Plan) Etcds() int {
	if p.HA {
		return etcds
	}
	return 1
}

// APIServers is how many API servers there are.
func (p Plan) APIServers() int {
	if p.HA {
		return apiServers
	}
	return 1
}

// etcdPods are the names of etcd's pods.
func (p Plan) etcdPods() (out []string) {
	for n := range p.Etcds() {
		out = append(out, fmt.Sprintf("%s-%d", p.EtcdName(), n))
	}
	return out
}

// Peers is how its etcds find each other.
func (p Plan) Peers() string {
	var out []string
	for _, pod := range p.etcdPods() {
		out = append(out, fmt.Sprintf("%s=https://%s.%s.%s.svc:2380", pod, pod, p.EtcdName(), p.Namespace()))
	}
	return strings.Join(out, ",")
}

// EtcdServers is where the API servers find them: each of several, so that a client knows which one doesn't answer.
func (p Plan) EtcdServers() string {
	service := p.EtcdName() + "." + p.Namespace() + ".svc:2379"
	if !p.HA {
		return "https://" + service
	}
	var out []string
	for _, pod := range p.etcdPods() {
		out = append(out, "https://"+pod+"."+service)
	}
	return strings.Join(out, ",")
}

// ClusterState is what an etcd without data begins as.
func (p Plan) ClusterState() string {
	if p.formed {
		return "existing"
	}
	return "new"
}

// APIName is that of the API server's Service, Deployment and Secret.
func (p Plan) APIName() string { return p.Federation + "-apiserver" }

// EtcdName is that of etcd's Service, StatefulSet and Secret.
func (p Plan) EtcdName() string { return p.Federation + "-etcd" }

// Namespace is where all of it is.
func (p Plan) Namespace() string { return v1alpha1.System }

// authorityName and adminName are Secrets that no pod sees.
func (p Plan) authorityName() string { return p.Federation + "-ca" }
func (p Plan) adminName() string     { return p.Federation + "-admin" }

// claimNames are those of the volumes that etcd's StatefulSet asks for.
func (p Plan) claimNames() (out []string) {
	for _, pod := range p.etcdPods() {
		out = append(out, "data-"+pod)
	}
	return out
}

// advertised splits Advertise; the port is "" where it has none.
func (p Plan) advertised() (host, port string) {
	if h, port, err := net.SplitHostPort(p.Advertise); err == nil {
		return h, port
	}
	return strings.Trim(p.Advertise, "[]"), ""
}

// Check says what is wrong with a plan.
func (p Plan) Check() error {
	switch p.ServiceType {
	case LoadBalancer, ClusterIP:
		if p.NodePort != 0 {
			return fmt.Errorf("a node port is for --api-server-service-type %s", NodePort)
		}
	case NodePort:
		if p.Advertise == "" {
			return fmt.Errorf("--api-server-service-type %s needs --api-server-advertise-address: an address of a node", NodePort)
		}
	default:
		return fmt.Errorf("--api-server-service-type %q is none of %s, %s and %s", p.ServiceType, LoadBalancer, NodePort, ClusterIP)
	}
	if p.HA && p.Storage == "" {
		return fmt.Errorf("--ha needs --etcd-storage: an etcd that has lost what it knew isn't taken back by the others")
	}
	if _, port := p.advertised(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("--api-server-advertise-address %q: %q is not a port", p.Advertise, port)
		}
	}
	return nil
}

//go:embed host.yaml
var manifests string

var manifest = template.Must(template.New("host.yaml").Funcs(template.FuncMap{"q": strconv.Quote}).Parse(manifests))

// workloads are the Services and what runs behind them.
func (p Plan) workloads(k *keys) ([]*kube.Object, error) {
	var b strings.Builder
	err := manifest.Execute(&b, struct {
		Plan
		APIHash, EtcdHash string
	}{p, digest(p.apiSecret(k)), digest(p.etcdSecret(k))})
	if err != nil {
		return nil, err
	}
	objects, err := kube.Parse(b.String())
	if err != nil {
		return nil, fmt.Errorf("host.yaml: %w", err)
	}
	for _, o := range objects {
		apply.Mark(o, p.Federation)
	}
	return objects, nil
}

// names are those the API server's certificate is for.
func (p Plan) names(endpoint string) []string {
	service := p.APIName() + "." + p.Namespace()
	names := []string{p.APIName(), service, service + ".svc", service + ".svc.cluster.local", "localhost", "127.0.0.1"}
	for _, n := range []string{first(p.advertised()), endpoint} {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

func first(s, _ string) string { return s }

func (p Plan) etcdNames() []string {
	service := p.EtcdName() + "." + p.Namespace()
	names := []string{p.EtcdName(), service, service + ".svc", "localhost", "127.0.0.1"}
	if p.HA {
		for _, pod := range p.etcdPods() {
			names = append(names, pod+"."+service+".svc") // by which it is called, and known when it calls
		}
	}
	return names
}

// endpoint is how the API is reached at an address.
func (p Plan) endpoint(k *keys, host, port string) kubeconfig.Endpoint {
	if port == "443" {
		port = ""
	}
	server := "https://" + host
	if strings.Contains(host, ":") {
		server = "https://[" + host + "]"
	}
	if port != "" {
		server = "https://" + net.JoinHostPort(host, port)
	}
	return kubeconfig.Endpoint{Server: server, Authority: k.ca.cert}
}

func (p Plan) authoritySecret(k *keys) *kube.Object {
	return p.secret(p.authorityName(), map[string][]byte{
		"ca.crt": k.ca.cert, "ca.key": k.ca.key, "etcd-ca.crt": k.etcdCA.cert, "etcd-ca.key": k.etcdCA.key,
	})
}

func (p Plan) apiSecret(k *keys) *kube.Object {
	return p.secret(p.APIName(), map[string][]byte{
		"ca.crt": k.ca.cert, "tls.crt": k.server.cert, "tls.key": k.server.key,
		"etcd-ca.crt": k.etcdCA.cert, "etcd-client.crt": k.etcdClient.cert, "etcd-client.key": k.etcdClient.key,
		"service-accounts.key": k.accounts, "encryption.keys": k.encryption.text(), "encryption.yaml": k.encryption.config(),
		"authentication.yaml": []byte(authentication), "audit.yaml": []byte(audit),
	})
}

func (p Plan) etcdSecret(k *keys) *kube.Object {
	return p.secret(p.EtcdName(), map[string][]byte{"ca.crt": k.etcdCA.cert, "tls.crt": k.etcd.cert, "tls.key": k.etcd.key})
}

func (p Plan) adminSecret(k *keys, content []byte) *kube.Object {
	return p.secret(p.adminName(), map[string][]byte{"tls.crt": k.admin.cert, "tls.key": k.admin.key, v1alpha1.KubeconfigKey: content})
}

func (p Plan) secret(name string, data map[string][]byte) *kube.Object {
	o := kube.NewSecret(p.Namespace(), name, data)
	apply.Mark(o, p.Federation)
	return o
}

// digest changes with what is in a Secret, so that pods do, too.
func digest(secret *kube.Object) string {
	h := sha256.New()
	data := kube.SecretData(secret)
	for _, k := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(h, "%s %d\n", k, len(data[k]))
		h.Write(data[k])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
