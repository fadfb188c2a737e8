package check

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
)

// expiring is how long before its end a token is told of: a week is enough to renew it by hand. Of one
// that fedsync renews it is when a third of its life is left: it was to be renewed long before.
const expiring = 7 * 24 * time.Hour

// API is what the API of a federation has.
type API struct {
	Federation string
	Clusters   []unstructured.Unstructured
	Servers    []v1alpha1.Server
	Secrets    map[string][]byte           // kubeconfigs, by their Secret; nil: they may not be read
	Services   []unstructured.Unstructured // of fedns's chart, where the API is that of a cluster with pods
	// Certificates are those of the way to the API.
	Certificates []Certificate
	Hosted       bool // fedctl made it, and renews them
	// Refused are clusters that pull whose credential is taken by nobody: what it is bound to is gone.
	Refused map[string]bool
	Now     time.Time
}

// Objects judges it.
func Objects(a *API) []Finding {
	f := findings{group: "api"}
	for i := range a.Clusters {
		o := &a.Clusters[i]
		well := true
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		if len(conditions) == 0 {
			f.warn("does a fedns follow this federation (option registry)?", "Cluster %s: nobody says how it stands", o.GetName())
			well = false
		}
		for _, c := range conditions {
			m, _ := c.(map[string]any)
			kind, status, message := text(m["type"]), text(m["status"]), text(m["message"])
			switch {
			case kind == v1alpha1.Valid && status == "False":
				f.err("kubectl edit cluster "+o.GetName(), "Cluster %s: its spec is wrong: %s", o.GetName(), message)
			case kind == v1alpha1.Heard && status == "False":
				f.err("see to its API, or to the credentials in its Secret: fedctl join again renews them", "Cluster %s: fedns doesn't hear from it: %s", o.GetName(), message)
				f.see("FednsClusterSilent")
			case kind == v1alpha1.Ready && status != "True":
				fix := "see to its API, or to the credentials in its Secret: fedctl join again renews them"
				pull, _, _ := unstructured.NestedBool(o.Object, "spec", "pull")
				switch {
				case pull && a.Refused[o.GetName()]:
					message = "its credential is worth nothing: Secret " + v1alpha1.PartOf(o.GetName()) + "/" + v1alpha1.BoundTo(v1alpha1.AgentName) + " is gone"
					fix = "fedctl join " + o.GetName() + " --pull gives it another"
				case pull:
					fix = "see to the fedsync that runs in it, and to the way from there to the federation's API: fedctl join --pull again gives it another credential"
				}
				f.err(fix, "Cluster %s isn't ready: %s", o.GetName(), message)
			default:
				continue
			}
			well = false
		}
		if well {
			f.ok("Cluster %s is as it should be", o.GetName())
		}
	}
	live := 0
	versions := map[string]bool{}
	for _, s := range a.Servers {
		if s.Live(a.Now) {
			live++
			versions[s.Version] = true
		}
	}
	switch {
	case live == 0:
		f.err("the kubeconfig of Secret "+a.Federation+"-fedns is the file of the option registry", "no fedns follows federation %s", a.Federation)
	case len(versions) > 1:
		f.warn("upgrade the others: docs/operate.md", "%d fedns follow the federation, of versions %s", live, strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
	default:
		f.ok("%d fedns follow federation %s", live, a.Federation)
	}
	f.services(a)
	f.tokens(a)
	f.certificates(a)
	return f.all
}

// pending is how long a Service may be without an address: clouds take a minute or two.
const pending = 3 * time.Minute

// services judges whether those that wait for a load balancer have one.
func (f *findings) services(a *API) {
	for i := range a.Services {
		o := &a.Services[i]
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "type")
		addresses, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress")
		switch age := a.Now.Sub(o.GetCreationTimestamp().Time); {
		case kind != "LoadBalancer":
		case len(addresses) > 0:
			f.ok("Service %s has an address", o.GetName())
		case age >= pending:
			f.err("kubectl -n "+o.GetNamespace()+" describe service "+o.GetName()+" has the events; where nobody hands out addresses: service.type=NodePort or kind=DaemonSet; where not one for UDP and TCP together: service.split=true (docs/install.md)",
				"Service %s has been waiting for a load balancer's address for %s", o.GetName(), cli.Span(age.Seconds()))
		}
	}
}

// A Certificate is one that ends.
type Certificate struct {
	Of   string // whose, in words
	Ends time.Time
}

// renewable is how long before its end a certificate is told of: fedctl init makes those anew
// that end within 90 days, so that there are two months in which to type it.
const renewable = 30 * 24 * time.Hour

// certificates judges until when those of the way to the API hold.
func (f *findings) certificates(a *API) {
	fix := "whoever runs that API renews it"
	if a.Hosted {
		fix = "fedctl init " + a.Federation + " again, as it was typed the first time, renews it"
	}
	well := 0
	for _, c := range a.Certificates {
		switch left := c.Ends.Sub(a.Now); {
		case left <= 0:
			f.err(fix, "%s ended on %s", c.Of, c.Ends.UTC().Format(time.DateOnly))
		case left < renewable:
			f.warn(fix, "%s ends on %s, in %s", c.Of, c.Ends.UTC().Format(time.DateOnly), cli.Span(left.Seconds()))
		default:
			well++
		}
	}
	if well > 0 && well == len(a.Certificates) {
		f.ok("the certificates of the API, and of its operator, hold for a month and longer")
	}
}

// tokens judges until when the credentials of clusters hold.
func (f *findings) tokens(a *API) {
	if a.Secrets == nil {
		f.warn("ask with rights to read Secrets in "+v1alpha1.System, "until when the clusters' credentials hold isn't known: the Secrets may not be read")
		return
	}
	ends := 0
	for _, name := range slices.Sorted(maps.Keys(a.Secrets)) {
		end, life, has := tokenEnd(a.Secrets[name])
		left := end.Sub(a.Now)
		cluster := strings.TrimSuffix(strings.TrimSuffix(name, v1alpha1.WriterSuffix), ".cluster")
		switch {
		case !has:
			continue
		case left <= 0:
			f.err("fedctl join "+cluster+" again renews it", "the credentials in Secret %s have ended %s ago", name, cli.Span(-left.Seconds()))
		case left < min(expiring, life/3):
			f.warn("fedctl join "+cluster+" again renews it", "the credentials in Secret %s end in %s", name, cli.Span(left.Seconds()))
		default:
			continue
		}
		ends++
	}
	if ends == 0 && len(a.Secrets) > 0 {
		f.ok("the credentials in %d Secrets hold for a week and longer", len(a.Secrets))
	}
}

// tokenEnd reads until when the token of a kubeconfig holds (RFC 7519 section 4.1.4), and for how long
// it was made; has is false where it has none, or one without an end.
func tokenEnd(kubeconfig []byte) (end time.Time, life time.Duration, has bool) {
	var c struct {
		Users []struct{ User struct{ Token string } }
	}
	if yaml.Unmarshal(kubeconfig, &c) != nil {
		return end, 0, false
	}
	for _, u := range c.Users {
		parts := strings.Split(u.User.Token, ".")
		if len(parts) != 3 {
			continue
		}
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			continue
		}
		var said struct{ Exp, Iat float64 }
		if json.Unmarshal(claims, &said) == nil && said.Exp > 0 {
			return time.Unix(int64(said.Exp), 0), time.Duration(said.Exp-said.Iat) * time.Second, true
		}
	}
	return end, 0, false
}

func text(v any) string { s, _ := v.(string); return s }
