package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"

	"k8s.io/client-go/tools/clientcmd"
)

// Path gives the file that a context is in, and its name; "" is the current one.
func (f Files) Path(name string) (path, context string, err error) {
	cut, err := f.Context(name)
	if err != nil {
		return "", "", err
	}
	for _, p := range f.paths {
		c, err := clientcmd.LoadFromFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", fmt.Errorf("kubeconfig %s: %w", p, err)
		}
		if c.Contexts[cut.Name] != nil {
			return p, cut.Name, nil
		}
	}
	return "", "", fmt.Errorf("kubeconfig %s: context %q has gone", f, cut.Name)
}
