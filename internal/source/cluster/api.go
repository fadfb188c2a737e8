package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
)

// dialTimeout is how long an API server may take to accept a connection. A path
// that drops packets is noticed, and tried again, well before a hold runs out;
// client-go's 30 s would be one attempt in all that time.
const dialTimeout = 5 * time.Second

// An api is the way to a cluster that one state of its kubeconfig gives.
type api struct {
	http       *http.Client
	heart      *http.Client // for readyz and version, with connections of its own
	readyz     string       // URL
	versions   string       // URL of what it says of itself
	core       rest.Interface
	networking rest.Interface
	discovery  rest.Interface
	metadata   metadata.Interface
	dynamic    dynamic.Interface
}

// Credentials are the content of a kubeconfig, with where it is from.
type credentials struct {
	path    string // of the file; what it names may be files beside it
	inline  bool   // it isn't a file, and can't name any
	content []byte
	plugin  *apireply.Plugin // for a user by exec; nil: nobody else shares it
	dial    dialer           // nil: TCP
}

// A dialer connects to an address.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func (k *credentials) String() string {
	if k.inline {
		return "kubeconfig"
	}
	return fmt.Sprintf("kubeconfig %q", k.path)
}

// newAPI reads credentials. It does not call anybody.
func newAPI(k credentials, context string) (*api, error) {
	if k.plugin == nil {
		k.plugin = &apireply.Plugin{}
	}
	config, err := k.rest(context)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", &k, err)
	}
	a := &api{readyz: base.JoinPath("readyz").String(), versions: base.JoinPath("version").String()}
	heart := rest.CopyConfig(config)
	k.connect(heart)
	// A request that times out leaves an HTTP/2 connection as it is, and the next
	// would try its luck with the same dead one. HTTP/1.1 begins with a new one.
	heart.NextProtos = []string{"http/1.1"}
	for _, make := range []func() error{
		func() (err error) { a.http, err = rest.HTTPClientFor(config); return },
		func() (err error) { a.heart, err = rest.HTTPClientFor(heart); return },
		func() (err error) { a.core, err = typed(config, a.http, corev1.SchemeGroupVersion); return },
		func() (err error) { a.networking, err = typed(config, a.http, networkingv1.SchemeGroupVersion); return },
		func() (err error) { a.discovery, err = typed(config, a.http, discoveryv1.SchemeGroupVersion); return },
		func() (err error) { a.dynamic, err = dynamic.NewForConfigAndClient(config, a.http); return },
		func() (err error) { a.metadata, err = metadata.NewForConfigAndClient(config, a.http); return },
	} {
		if err := make(); err != nil {
			return nil, fmt.Errorf("%s: %w", &k, err)
		}
	}
	if config.ExecProvider != nil {
		a.http.Transport, a.heart.Transport = k.plugin.Outer(a.http.Transport), k.plugin.Outer(a.heart.Transport)
	}
	return a, nil
}

// close lets go of connections that nobody uses any more.
func (a *api) close() {
	utilnet.CloseIdleConnectionsFor(a.http.Transport)
	utilnet.CloseIdleConnectionsFor(a.heart.Transport)
}

// connect gives a dialer of its own to a config, which also means a transport of its
// own. Connections that are silent are found out by client-go's HTTP/2 pings:
// 30 s, and 15 s more.
func (k *credentials) connect(config *rest.Config) {
	if config.Dial = k.dial; k.dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
}

func (k *credentials) rest(context string) (*rest.Config, error) {
	kubeconfig, err := clientcmd.Load(k.content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	has := slices.Sorted(maps.Keys(kubeconfig.Contexts))
	if context == "" {
		context = kubeconfig.CurrentContext
	}
	switch {
	case len(has) == 0:
		return nil, fmt.Errorf("%s: it has no contexts", k)
	case context == "":
		return nil, fmt.Errorf("%s: it has no current-context; name one of: %s", k, strings.Join(has, ", "))
	case kubeconfig.Contexts[context] == nil:
		return nil, fmt.Errorf("%s: context %q isn't there; it has: %s", k, context, strings.Join(has, ", "))
	}
	c := kubeconfig.Contexts[context]
	switch server := kubeconfig.Clusters[c.Cluster]; {
	case server == nil:
		return nil, fmt.Errorf("%s: context %q: cluster %q isn't there", k, context, c.Cluster)
	case server.Server == "": // client-go would turn to localhost
		return nil, fmt.Errorf("%s: cluster %q: it has no server", k, c.Cluster)
	case c.AuthInfo != "" && kubeconfig.AuthInfos[c.AuthInfo] == nil:
		return nil, fmt.Errorf("%s: context %q: user %q isn't there", k, context, c.AuthInfo)
	}
	if k.inline {
		err = kube.SelfContained(kubeconfig)
	} else { // certificates, tokens and programs may be files beside it
		// An absolute path even of the folder that is worked in: "./plugin" joined to
		// "." is "plugin", which would be looked for in $PATH.
		var folder string
		if folder, err = filepath.Abs(filepath.Dir(k.path)); err == nil {
			err = clientcmd.ResolveConfigPaths(kubeconfig, folder)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: context %q: %w", k, context, err)
	}
	config.UserAgent = "fedns"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	// A handful of calls after an outage, and each waits for its own backoff: a limit on
	// top would only make recovery slower.
	config.QPS = -1
	config.Wrap(apireply.NameThrottling)
	config.Wrap(apireply.Check)
	if config.ExecProvider != nil {
		config.Wrap(k.plugin.Inner)
	}
	k.connect(config)
	return config, nil
}
