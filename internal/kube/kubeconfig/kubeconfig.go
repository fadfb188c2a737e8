// Package kubeconfig reads and edits an operator's kubeconfigs, and makes those of
// service accounts.
//
// A context's name may be anything: cloud providers put colons, slashes and
// underscores into theirs. It never becomes the name of an object.
package kubeconfig

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/advice"
)

// Files are the kubeconfigs of an operator; the first that says something counts,
// as kubectl has it.
type Files struct {
	paths []string
	by    string // who named them; "": it is known
}

// Find says which: the one that was named, else $KUBECONFIG, else ~/.kube/config.
func Find(named string, getenv func(string) string) Files {
	if named != "" {
		return Files{[]string{named}, "--kubeconfig"}
	}
	if list := filepath.SplitList(getenv("KUBECONFIG")); len(list) > 0 {
		return Files{slices.DeleteFunc(list, func(p string) bool { return p == "" }), "KUBECONFIG"}
	}
	return Files{[]string{filepath.Join(getenv("HOME"), ".kube", "config")}, "the usual place"}
}

func (f Files) String() string { return strings.Join(f.paths, string(filepath.ListSeparator)) }

// A Context is one of a kubeconfig, cut out of it.
type Context struct {
	Name     string
	Content  []byte // a kubeconfig with this context alone, which needs no other file
	Endpoint Endpoint
}

// An Endpoint is how an API server is reached, by whomever.
type Endpoint struct {
	Server     string
	Authority  []byte // certificates, PEM; nil: those the system trusts
	ServerName string // that its certificate is for; "": the host of Server
	Proxy      string
	Insecure   bool // its certificate isn't looked at
}

// missing are the files if none of them is there.
func (f Files) missing() bool {
	return !slices.ContainsFunc(f.paths, func(p string) bool {
		_, err := os.Stat(p)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// origin is who named the files, behind what is wrong with them.
func (f Files) origin() string {
	if f.by == "" {
		return ""
	}
	return " (" + f.by + ")"
}

// unreadable says which of the files can't be read, and why.
func (f Files) unreadable() error {
	for _, p := range f.paths {
		content, err := os.ReadFile(p)
		var wrong *fs.PathError
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &wrong):
			return fmt.Errorf("kubeconfig %s: %w%s", p, wrong.Err, f.origin())
		case err != nil:
			return fmt.Errorf("kubeconfig %s: %w%s", p, err, f.origin())
		default:
			if _, err := clientcmd.Load(content); err != nil {
				return advice.Errorf("it has to be one of kind Config, in YAML or JSON, as kubectl config view prints it", "kubeconfig %s: it isn't a kubeconfig%s%s", p, at(err), f.origin())
			}
		}
	}
	return nil
}

// inLine is how a reader of YAML says where it stopped, and why.
var inLine = regexp.MustCompile(`yaml: (line \d+: [^\n]*)`)

// at is where a file stops to be YAML. What else a decoder says is about Go's types.
func at(err error) string {
	if m := inLine.FindStringSubmatch(err.Error()); m != nil {
		return ": " + m[1]
	}
	return ""
}

func (f Files) load() (*clientcmdapi.Config, error) {
	if err := f.unreadable(); err != nil {
		return nil, err
	}
	config, err := (&clientcmd.ClientConfigLoadingRules{Precedence: f.paths, WarnIfAllMissing: false}).Load()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", f, err)
	}
	return config, nil
}

// Has says whether there is a context of that name.
func (f Files) Has(name string) (bool, error) {
	config, err := f.load()
	return err == nil && config.Contexts[name] != nil, err
}

// A Choice says what of kubeconfigs is meant, as kubectl's flags of these names do; "" is
// what the context says, or the current context.
type Choice struct {
	Context, Cluster, User string
	As, AsUID              string
	AsGroups               []string
}

// Context cuts one out; "" is the current one.
func (f Files) Context(name string) (*Context, error) { return f.Choose(Choice{Context: name}) }

// Choose cuts out what is meant.
func (f Files) Choose(c Choice) (*Context, error) {
	config, err := f.load()
	if err != nil {
		return nil, err
	}
	if f.missing() {
		return nil, advice.Errorf("--kubeconfig FILE, or KUBECONFIG, says where it is", "kubeconfig %s isn't there%s", f, f.origin())
	}
	name := c.Context
	if name == "" {
		if name = config.CurrentContext; name == "" {
			return nil, advice.Errorf("--context names one; it has "+has(config), "kubeconfig %s: it has no current-context", f)
		}
	}
	context := config.Contexts[name]
	if context == nil {
		return nil, f.none("context", name, slices.Collect(maps.Keys(config.Contexts)))
	}
	if c.Cluster != "" {
		if context.Cluster = c.Cluster; config.Clusters[c.Cluster] == nil {
			return nil, f.none("cluster", c.Cluster, slices.Collect(maps.Keys(config.Clusters)))
		}
	}
	if c.User != "" {
		if context.AuthInfo = c.User; config.AuthInfos[c.User] == nil {
			return nil, f.none("user", c.User, slices.Collect(maps.Keys(config.AuthInfos)))
		}
	}
	cluster := config.Clusters[context.Cluster]
	if cluster == nil || cluster.Server == "" {
		return nil, fmt.Errorf("kubeconfig %s: context %q: its cluster %q has no server", f, name, context.Cluster)
	}
	if c.As != "" || c.AsUID != "" || len(c.AsGroups) > 0 {
		user := config.AuthInfos[context.AuthInfo]
		if user == nil {
			user = clientcmdapi.NewAuthInfo()
			config.AuthInfos[context.AuthInfo] = user
		}
		user.Impersonate, user.ImpersonateUID, user.ImpersonateGroups = c.As, c.AsUID, c.AsGroups
	}
	config.CurrentContext = name
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q: %w", f, name, err)
	}
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q: %w", f, name, err)
	}
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q: %w", f, name, err)
	}
	return &Context{name, content, endpoint(config.Clusters[context.Cluster])}, nil
}

// none says that kubeconfigs have no such thing, and what may be meant.
func (f Files) none(what, name string, all []string) error {
	slices.Sort(all)
	known := "known: " + cmp.Or(strings.Join(all, ", "), "none at all")
	if near := advice.Near(name, all); len(near) > 0 {
		known = "did you mean " + strings.Join(near, ", or ") + "? " + known
	}
	return advice.Errorf(known, "kubeconfig %s: %s %q isn't there", f, what, name)
}

// Names are those of all contexts, clusters and users.
func (f Files) Names() (contexts, clusters, users []string, err error) {
	config, err := f.load()
	if err != nil {
		return nil, nil, nil, err
	}
	return slices.Sorted(maps.Keys(config.Contexts)), slices.Sorted(maps.Keys(config.Clusters)), slices.Sorted(maps.Keys(config.AuthInfos)), nil
}

// has lists the contexts of a kubeconfig.
func has(config *clientcmdapi.Config) string {
	if len(config.Contexts) == 0 {
		return "none at all"
	}
	return strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", ")
}

// Pick reads what --api has: a context of these files, a kubeconfig (its current
// context is meant), or both with a slash between. Both paths and contexts have
// slashes, so whatever reading leads to a context that exists is taken, and there
// must be one only.
func (f Files) Pick(s string) (*Context, error) {
	type reading struct {
		files   Files
		context string
	}
	var readings []reading
	if has, err := f.Has(s); err != nil {
		return nil, err
	} else if has {
		readings = append(readings, reading{f, s})
	}
	isFile := func(p string) bool {
		info, err := os.Stat(p)
		return err == nil && !info.IsDir()
	}
	if isFile(s) {
		readings = append(readings, reading{Files{paths: []string{s}}, ""})
	}
	for i := range s {
		if s[i] != '/' || i == 0 || !isFile(s[:i]) {
			continue
		}
		in := Files{paths: []string{s[:i]}}
		if has, err := in.Has(s[i+1:]); err != nil {
			return nil, err
		} else if has {
			readings = append(readings, reading{in, s[i+1:]})
		}
	}
	switch len(readings) {
	case 1:
		return readings[0].files.Context(readings[0].context)
	case 0:
		return nil, advice.Errorf("KUBECONFIG/CONTEXT, or one of the two: a file, or a context of "+f.String(), "%q leads to no API", s)
	}
	return nil, advice.Errorf("KUBECONFIG/CONTEXT says which is meant", "%q is both a context and a file", s)
}

// ForToken makes a kubeconfig with one context, of whoever has a token.
func ForToken(name string, e Endpoint, token string) ([]byte, error) {
	return e.content(name, &clientcmdapi.AuthInfo{Token: token})
}

// In is a kubeconfig whose one context is of a namespace.
func In(content []byte, namespace string) ([]byte, error) {
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, err
	}
	for _, c := range config.Contexts {
		c.Namespace = namespace
	}
	return clientcmd.Write(*config)
}

// ForCertificate makes one of whoever has a certificate and its key.
func ForCertificate(name string, e Endpoint, certificate, key []byte) ([]byte, error) {
	return e.content(name, &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key})
}

func (e Endpoint) content(name string, user *clientcmdapi.AuthInfo) ([]byte, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server: e.Server, CertificateAuthorityData: e.Authority, TLSServerName: e.ServerName,
		ProxyURL: e.Proxy, InsecureSkipTLSVerify: e.Insecure,
	}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}

// one reads a kubeconfig with one context.
func one(content []byte) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo, error) {
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, nil, err
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil {
		return nil, nil, errors.New("a kubeconfig without a context")
	}
	user := config.AuthInfos[context.AuthInfo]
	if user == nil {
		user = clientcmdapi.NewAuthInfo()
	}
	return config.Clusters[context.Cluster], user, nil
}

// EndpointOf reads where the one context of a kubeconfig leads.
func EndpointOf(content []byte) (Endpoint, error) {
	cluster, _, err := one(content)
	if err != nil {
		return Endpoint{}, err
	}
	return endpoint(cluster), nil
}

func endpoint(c *clientcmdapi.Cluster) Endpoint {
	return Endpoint{Server: c.Server, Authority: c.CertificateAuthorityData, ServerName: c.TLSServerName, Proxy: c.ProxyURL, Insecure: c.InsecureSkipTLSVerify}
}
