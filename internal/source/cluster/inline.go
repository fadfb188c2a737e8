package cluster

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// An InlineKubeconfig is a kubeconfig that comes from somebody else, over a network, and may
// change. All of it must stand in the text: who writes it is not who runs this
// server, and must not have it read files or run programs.
type InlineKubeconfig struct {
	origin  string // for errors: whose it is
	changed chan struct{}

	mu      sync.Mutex // guards content
	content []byte
}

// NewInlineKubeconfig is one without content: a Watcher waits for it. origin says in errors
// where it comes from.
func NewInlineKubeconfig(origin string) *InlineKubeconfig {
	return &InlineKubeconfig{origin: origin, changed: make(chan struct{}, 1)}
}

// Set gives it content that Check has nothing against.
func (g *InlineKubeconfig) Set(content []byte) {
	g.mu.Lock()
	g.content = content
	g.mu.Unlock()
	select {
	case g.changed <- struct{}{}:
	default: // it is looked at soon anyway
	}
}

func (g *InlineKubeconfig) get() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.content
}

// Check says what is wrong with the content of an InlineKubeconfig.
func Check(content []byte) error {
	a, err := newAPI(credentials{inline: true, content: content}, "")
	if err != nil {
		return err
	}
	a.close()
	return nil
}

// selfContained finds what reaches out of a kubeconfig. Contexts that aren't used count
// too: they may be by the next change.
func selfContained(c *clientcmdapi.Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		if c.Clusters[name].CertificateAuthority != "" {
			return fmt.Errorf("cluster %q: certificate-authority names a file; certificate-authority-data has to hold it", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.AuthInfos)) {
		u := c.AuthInfos[name]
		for _, f := range []struct{ value, key, instead string }{
			{u.ClientCertificate, "client-certificate", "client-certificate-data"},
			{u.ClientKey, "client-key", "client-key-data"},
			{u.TokenFile, "tokenFile", "token"},
		} {
			if f.value != "" {
				return fmt.Errorf("user %q: %s names a file; %s has to hold it", name, f.key, f.instead)
			}
		}
		switch {
		case u.Exec != nil:
			return fmt.Errorf("user %q: exec runs a program here, which a Secret's author can't ask for; it needs a token or a certificate", name)
		case u.AuthProvider != nil:
			return fmt.Errorf("user %q: auth-provider %q may run a program here, which a Secret's author can't ask for; it needs a token or a certificate", name, u.AuthProvider.Name)
		}
	}
	return nil
}
