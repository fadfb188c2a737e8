package ctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/controller"
)

// confirm shows the deletions that wait, and lets them go.
type confirm struct {
	steering
	out     output
	yes     bool
	timeout time.Duration
}

func (c *confirm) declare(fs *pflag.FlagSet) {
	c.steering.declare(fs)
	fs.BoolVar(&c.yes, "yes", false, "confirm what is shown, unasked")
	c.out.declare(fs, dataForms)
	fs.DurationVar(&c.timeout, "timeout", time.Minute, "`DURATION` that fedsync may take to hear of it")
}

// A waitlist is what waits, as fedsync wrote it.
type waitlist struct {
	Digest   string              `json:"digest"`
	Clusters map[string][]string `json:"clusters"` // an object and why, a line each
	version  string
}

func (w *waitlist) size() (n int) {
	for _, lines := range w.Clusters {
		n += len(lines)
	}
	return n
}

// overlaps says whether anything waits in both.
func (w *waitlist) overlaps(o *waitlist) bool {
	for c, lines := range w.Clusters {
		for _, l := range lines {
			if slices.Contains(o.Clusters[c], l) {
				return true
			}
		}
	}
	return false
}

// waits reads the list; an empty one is none.
func waits(ctx context.Context, api *kube.API) (*waitlist, error) {
	w := &waitlist{Clusters: map[string][]string{}}
	o, err := api.Get(ctx, builtin.ConfigMaps, v1alpha1.System, controller.WaitingName)
	if kube.Missing(err) {
		return w, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, controller.WaitingName, err)
	}
	w.Digest, w.version = o.GetAnnotations()[v1alpha1.DigestOf], o.GetResourceVersion()
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, controller.WaitingName, err)
	}
	for cluster, text := range data {
		for l := range strings.Lines(text) {
			w.Clusters[cluster] = append(w.Clusters[cluster], strings.TrimSuffix(l, "\n"))
		}
	}
	return w, nil
}

func (c *confirm) run(ctx context.Context) error {
	api, err := c.home(ctx)
	if err != nil {
		return err
	}
	w, err := waits(ctx, api)
	if err != nil {
		return err
	}
	if c.out.data() {
		if err := c.put(c.out, w); err != nil || !c.yes {
			return err
		}
	} else {
		c.show(w)
	}
	n := w.size()
	switch {
	case n == 0:
		return nil
	case w.Digest == "":
		return fmt.Errorf("ConfigMap %s/%s has no %s: it isn't fedsync's", v1alpha1.System, controller.WaitingName, v1alpha1.DigestOf)
	case !c.yes && c.Stdin == nil:
		fmt.Fprintln(c.Stderr, "nothing is confirmed; --yes confirms exactly these")
		return nil
	case !c.yes && !c.agreed(fmt.Sprintf("Delete %s?", cli.Plural(n, "object"))):
		fmt.Fprintln(c.Stderr, "nothing is confirmed")
		return nil
	}
	// Only if the list is still the one that was shown.
	_, err = api.Merge(ctx, builtin.ConfigMaps, v1alpha1.System, controller.WaitingName, map[string]any{"metadata": map[string]any{
		"resourceVersion": w.version, "annotations": map[string]any{v1alpha1.Confirmed: w.Digest},
	}}, agent, "")
	if kube.Conflict(err) || kube.Missing(err) {
		return errChanged
	}
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, controller.WaitingName, err)
	}
	p := c.progress()
	defer p.end()
	err = p.until(ctx, c.timeout, func(ctx context.Context) (bool, string, error) {
		now, err := waits(ctx, api)
		switch {
		case err != nil:
			return false, err.Error(), nil // the API may be away for a moment
		case now.Digest == w.Digest:
			return false, fmt.Sprintf("%s confirmed; fedsync hasn't taken them yet", cli.Plural(n, "deletion")), nil
		case now.overlaps(w):
			return false, "", errChanged
		}
		return true, "", nil
	})
	if errors.Is(err, errInterrupted) || errors.Is(err, errChanged) {
		return err
	}
	if err != nil {
		return advice.Errorf("does fedsync run? It takes what was confirmed when it does, if the list is still the same", "%w", err)
	}
	p.end()
	if !c.out.data() {
		c.printf("%s confirmed\n", cli.Plural(n, "deletion"))
	}
	return nil
}

var errChanged = advice.Errorf("look again: fedctl confirm", "the list has changed meanwhile; nothing is confirmed")

func (c *confirm) show(w *waitlist) {
	if w.size() == 0 {
		c.printf("no deletion waits\n")
		return
	}
	for _, cluster := range slices.Sorted(maps.Keys(w.Clusters)) {
		lines := w.Clusters[cluster]
		c.printf("cluster %s: %s\n", cluster, cli.Plural(len(lines), "deletion"))
		for _, l := range lines {
			c.printf("  %s\n", l)
		}
	}
}

var confirmCommand = command{
	name: "confirm",
	what: "show the deletions that wait for an operator, and let them go",
	example: `# Show them, and ask
fedctl confirm --context myfederation`,
	make: func(c *call) action { return &confirm{steering: steering{reaching: newReaching(c)}} },
}
