package ctl

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// dnsPods are those of the chart that answer.
const dnsPods = "app.kubernetes.io/name=fedns,app.kubernetes.io/component=dns"

// page shows the status page of a server: of the one that fedctl asks, or of a pod.
type pageOf struct {
	reaching
	asking
	print, tls               bool
	namespace, pod, selector string
	port                     string
}

func (c *pageOf) declare(fs *pflag.FlagSet) {
	c.at(fs)
	c.reaching.declare(fs)
	fs.Lookup("context").Usage = "`CONTEXT` of the cluster in which fedns runs as pods; default: the page of --server"
	fs.BoolVar(&c.print, "print", false, "print where it is, and open no browser")
	fs.StringVarP(&c.namespace, "namespace", "n", v1alpha1.System, "`NAMESPACE` of the pods")
	fs.StringVarP(&c.selector, "selector", "l", dnsPods, "`LABELS` of the pods, of which the first that is ready is taken")
	fs.StringVar(&c.pod, "pod", "", "the `POD`, instead of one that is ready")
	fs.BoolVar(&c.tls, "tls", false, "the status in it speaks TLS")
	fs.StringVar(&c.port, "port", "8053", "the `PORT` of the status in it")
}

func (c *pageOf) run(ctx context.Context) error {
	call := c.reaching.call
	if !call.given["context"] && !call.given["pod"] {
		return c.show(call, c.base()+"/")
	}
	api, cut, err := c.open(c.chosen())
	if err != nil {
		return err
	}
	if c.pod == "" {
		all, err := api.List(ctx, builtin.Pods, c.namespace, c.selector)
		if err != nil {
			return fmt.Errorf("pods of namespace %s: %w", c.namespace, err)
		}
		if c.pod, err = readyPod(all); err != nil {
			return advice.Errorf("--namespace and --selector say which pods are fedns's", "context %s, namespace %s: %w", cut.Name, c.namespace, err)
		}
	}
	args := []string{"--context", cut.Name, "--namespace", c.namespace, "port-forward", "--address", "127.0.0.1", "pod/" + c.pod, ":" + c.port}
	if file := *c.flags.KubeConfig; file != "" {
		args = append([]string{"--kubeconfig", file}, args...)
	}
	return c.forward(ctx, call, args)
}

// readyPod is the first that is ready, by name.
func readyPod(all []kube.Object) (string, error) {
	var ready []string
	for i := range all {
		list, _, _ := unstructured.NestedSlice(all[i].Object, "status", "conditions")
		for _, x := range list {
			if m, ok := x.(map[string]any); ok && m["type"] == "Ready" && m["status"] == "True" {
				ready = append(ready, all[i].GetName())
			}
		}
	}
	if len(ready) == 0 {
		return "", fmt.Errorf("of %d pods none is ready", len(all))
	}
	return slices.Min(ready), nil
}

// forwarding is what kubectl says once it is.
var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward has kubectl forward a port of this host until ctx ends: it knows the ways of APIs and of
// what stands in front of them.
func (c *pageOf) forward(ctx context.Context, call *call, args []string) error {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return advice.Errorf("install kubectl, or forward port "+c.port+" otherwise, and then: fedctl page --server http://127.0.0.1:PORT", "page: kubectl isn't there, which forwards a port to the pod")
	}
	cmd := exec.CommandContext(ctx, kubectl, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("kubectl: %w", err)
	}
	scan := bufio.NewScanner(out)
	shown := false
	for scan.Scan() {
		if m := forwarding.FindStringSubmatch(scan.Text()); m != nil && !shown {
			shown = true
			scheme := "http"
			if c.tls {
				scheme = "https"
			}
			if err := c.show(call, scheme+"://"+m[1]+"/"); err != nil {
				call.hint(err.Error())
			}
			call.hint("Ctrl-C ends it")
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil // whoever looks ends it so
	}
	text, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	return advice.Errorf("try it alone: kubectl "+strings.Join(args, " "), "kubectl forwards no port: %s", cmp.Or(text, fmt.Sprint(err)))
}

// show prints where a page is, and opens it.
func (c *pageOf) show(call *call, url string) error {
	call.printf("%s\n", url)
	if c.print {
		return nil
	}
	opens := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if opens == nil {
		opens = []string{"xdg-open"}
	}
	if err := exec.Command(opens[0], append(opens[1:], url)...).Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			call.hint("no browser can be opened from here: open that address in one")
			return nil
		}
		return fmt.Errorf("%s: %w", opens[0], err)
	}
	return nil
}

var pageCommand = command{
	name: "page",
	what: "the page on which a running fedns shows what stands, why, and what has happened",
	long: "Opens the status page of a running fedns in a browser: of the one at --server, or with --context of a pod in a cluster, to which kubectl forwards a port until Ctrl-C.",
	example: `# Of the fedns of this host
fedctl page

# Of one that runs as pods, wherever
fedctl page --context us-central1

# Only where it is
fedctl page --print`,
	make: func(c *call) action { return &pageOf{reaching: newReaching(c), asking: asking{call: c}} },
}
