package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/atomicfile"
)

// Set writes the one context of content as name, and says into which file. Others
// stay as they are, the current one too. A context of that name that leads to
// another server is somebody's, and isn't overwritten.
func (f Files) Set(ctx context.Context, name string, content []byte) (path string, err error) {
	cluster, user, err := one(content)
	if err != nil {
		return "", err
	}
	path, err = f.home(name)
	if err != nil {
		return "", err
	}
	return path, edit(ctx, path, func(c *clientcmdapi.Config) (bool, error) {
		if old := c.Contexts[name]; old != nil {
			if at := c.Clusters[old.Cluster]; at != nil && at.Server != cluster.Server {
				return false, advice.Errorf("kubectl config delete-context "+name+", if it isn't needed any more", "kubeconfig %s: context %q is there, and leads to %s, not %s", path, name, at.Server, cluster.Server)
			}
		}
		for other, used := range c.Contexts {
			if other != name && (used.Cluster == name || used.AuthInfo == name) {
				return false, advice.Errorf("give them other names", "kubeconfig %s: context %q uses a cluster or a user named %q, which would change", path, other, name)
			}
		}
		c.Clusters[name], c.AuthInfos[name] = cluster, user
		namespace := ""
		if old := c.Contexts[name]; old != nil {
			namespace = old.Namespace
		}
		c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
		return true, nil
	})
}

// Remove takes a context of that name out, with its cluster and its user, if it
// leads to that server.
func (f Files) Remove(ctx context.Context, name, server string) (removed bool, err error) {
	path, err := f.home(name)
	if err != nil {
		return false, err
	}
	err = edit(ctx, path, func(c *clientcmdapi.Config) (bool, error) {
		old := c.Contexts[name]
		if old == nil || c.Clusters[old.Cluster] == nil || c.Clusters[old.Cluster].Server != server {
			return false, nil
		}
		removed = true
		delete(c.Contexts, name)
		shared := func(uses func(*clientcmdapi.Context) bool) bool {
			for _, other := range c.Contexts {
				if uses(other) {
					return true
				}
			}
			return false
		}
		if !shared(func(o *clientcmdapi.Context) bool { return o.Cluster == old.Cluster }) {
			delete(c.Clusters, old.Cluster)
		}
		if !shared(func(o *clientcmdapi.Context) bool { return o.AuthInfo == old.AuthInfo }) {
			delete(c.AuthInfos, old.AuthInfo)
		}
		if c.CurrentContext == name {
			c.CurrentContext = ""
		}
		return true, nil
	})
	return removed, err
}

// home is the file a context is in or would be written into: as kubectl has it,
// the first that is there, or the last that could be made.
func (f Files) home(name string) (string, error) {
	if len(f.paths) == 0 {
		return "", errors.New("there is no kubeconfig to write; --kubeconfig names one")
	}
	first := ""
	for _, p := range f.paths {
		c, err := clientcmd.LoadFromFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("kubeconfig %s: %w", p, err)
		}
		if c.Contexts[name] != nil {
			return p, nil
		}
		if first == "" {
			first = p
		}
	}
	if first == "" {
		first = f.paths[len(f.paths)-1]
	}
	return first, nil
}

// edit changes a kubeconfig, alone and in one step. It is readable by its owner
// only where it is made here: what is in it opens clusters.
func edit(ctx context.Context, path string, change func(*clientcmdapi.Config) (bool, error)) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		config, err = clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	if changed, err := change(config); err != nil || !changed {
		return err
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return atomicfile.Replace(path, string(text), 0o600)
}

const (
	// lockPatience is for kubectl, which holds the lock while it writes a file.
	lockPatience = 10 * time.Second
	lockRetry    = 50 * time.Millisecond
)

// lock keeps kubectl and other fedctls out. It is the lock kubectl takes: a file
// that nobody else may have made. (One that the kernel lets go of, as fedctl's
// other files have, would stay, and kubectl takes that for a lock.)
func lock(ctx context.Context, path string) (unlock func(), err error) {
	over := wait.PollUntilContextTimeout(ctx, lockRetry, lockPatience, true, func(context.Context) (bool, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			f.Close()
			return true, nil
		case errors.Is(err, fs.ErrExist):
			return false, nil
		}
		return false, err
	})
	switch {
	case over == nil:
		return func() { os.Remove(path) }, nil
	case wait.Interrupted(over) && ctx.Err() == nil:
		return nil, advice.Errorf("remove it if no kubectl and no fedctl is running", "kubeconfig: %s is there: somebody else is editing", path)
	}
	return nil, over
}
