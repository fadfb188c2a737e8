// Command argocd prints, line by line, what Argo CD makes of the health of objects: their kind,
// their name, the status and its message. It reads a list of them, as kubectl get -o yaml prints
// it, and decides nothing itself.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var list unstructured.UnstructuredList
	if err := yaml.Unmarshal(text, &list); err != nil {
		return err
	}
	for i := range list.Items {
		o := &list.Items[i]
		h, err := health.GetResourceHealth(o, nil)
		switch {
		case err != nil:
			return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		case h == nil: // it is healthy as soon as it is there
			h = &health.HealthStatus{Status: health.HealthStatusHealthy}
		}
		fmt.Fprintln(out, o.GetKind(), o.GetName(), h.Status, h.Message)
	}
	return nil
}
