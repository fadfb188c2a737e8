package kube

import (
	"fmt"
	"maps"
	"slices"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// SelfContained finds what reaches out of a kubeconfig that somebody else has written, over a
// network: who may write a Secret must not have files read here, nor programs run, nor
// have credentials and answers go by way of somebody that he names. Contexts that aren't used
// count too: they may be by the next change.
func SelfContained(c *clientcmdapi.Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		switch s := c.Clusters[name]; {
		case s.CertificateAuthority != "":
			return fmt.Errorf("cluster %q: certificate-authority names a file; certificate-authority-data has to hold it", name)
		case s.ProxyURL != "":
			return fmt.Errorf("cluster %q: proxy-url has all that is said go through somebody whom a Secret's author can't choose; HTTPS_PROXY in the environment of this program can", name)
		case s.InsecureSkipTLSVerify:
			return fmt.Errorf("cluster %q: insecure-skip-tls-verify has anybody on the way be believed, and given the credentials; certificate-authority-data has to hold who signs its certificate", name)
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
