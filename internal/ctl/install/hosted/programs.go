package hosted

import (
	"context"
	"fmt"
	"strings"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
)

// Programs are fedns and fedsync, as they run beside the API of a federation: what the chart
// makes of its values, with names that are this federation's.
func (p Plan) Programs(domain, image string) ([]*kube.Object, error) {
	objects, err := kube.Parse(deploy.Hosted)
	if err != nil {
		return nil, fmt.Errorf("deploy: hosted.yaml: %w", err)
	}
	for _, o := range objects {
		o.Object = p.named(o.Object, domain, image).(map[string]any)
		apply.Mark(o, p.Federation)
	}
	return objects, nil
}

// What the chart was given where a name of this federation is to be.
const (
	someImage      = "image.invalid:x"
	someDomain     = "domain.invalid"
	someFederation = "federation"
)

// named says the names. What an operator says replaces whole values, or parts of what is no YAML any more, so
// that it stays a value whatever stands in it.
func (p Plan) named(v any, domain, image string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if k != "helm.sh/chart" { // it isn't Helm that keeps it up
				out[k] = p.named(e, domain, image)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = p.named(e, domain, image)
		}
		return out
	case string:
		switch {
		case v == someImage:
			return image
		case v == "Helm":
			return apply.Manager
		case v == someFederation:
			return p.Federation
		case v == p.Namespace():
			return v
		}
		if rest, ok := strings.CutPrefix(v, someFederation+"-"); ok && !strings.ContainsAny(rest, " \n") {
			return p.Federation + "-" + rest
		}
		// The Corefile.
		return strings.NewReplacer(someDomain, domain, "federation "+someFederation+" {", "federation "+p.Federation+" {").Replace(v)
	}
	return v
}

// programsName is that of fedns's Deployment, Service, ConfigMap and ServiceAccount.
func (p Plan) programsName() string { return p.Federation + "-fedns" }

// Run has the programs run beside the API, and waits until they do.
func (p Plan) Run(ctx context.Context, l *apply.Applied, domain, image string, say Waiter) error {
	objects, err := p.Programs(domain, image)
	if err != nil {
		return err
	}
	var deployments []*kube.Object
	for _, o := range objects {
		got, err := l.Apply(ctx, o)
		if err != nil {
			return err
		}
		if o.GetKind() == builtin.Deployments.Name {
			deployments = append(deployments, got)
		}
	}
	for _, d := range deployments {
		err := await(ctx, say, func(ctx context.Context) (string, string, error) {
			o, err := l.API.Get(ctx, builtin.Deployments, p.Namespace(), d.GetName())
			if err != nil {
				return "", "", fmt.Errorf("%s %s: %w", builtin.Deployments.Name, d.GetName(), err)
			}
			if number(o, "status", "observedGeneration") >= o.GetGeneration() && number(o, "status", "readyReplicas") > 0 && number(o, "status", "updatedReplicas") > 0 {
				return "", "", nil
			}
			why, err := p.stuck(ctx, l.API, "app.kubernetes.io/instance="+p.programsName())
			if err != nil {
				return "", "", err
			}
			return d.GetName() + " has no ready pod" + why, fmt.Sprintf("kubectl -n %s describe pods -l app.kubernetes.io/instance=%s", p.Namespace(), p.programsName()), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
