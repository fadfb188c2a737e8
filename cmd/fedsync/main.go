// Command fedsync keeps the objects of a federation in all its clusters.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/logging"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/internal/sync/controller"

	// The authorities of the public, for where the system has none, as in the image.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is set by the Makefile.
var version = "devel"

// gcPercent is how much garbage may lie about, in percent of what lives: a list of
// thousands of objects leaves much behind, once.
const gcPercent = 50

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "fedsync: error: %v\nfedsync: hint: fedsync --help lists the flags\n", err)
		os.Exit(2)
	}
	for _, name := range o.old {
		fmt.Fprintf(os.Stderr, "fedsync: hint: -%s is --%s now\n", name, name)
	}
	// What libraries say has the same form.
	klog.SetSlogLogger(o.Log)
	logging.Standard(os.Stderr)
	switch err := run(ctx, o); {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		o.Log.Info("ended by a signal")
	default:
		fmt.Fprintln(os.Stderr, "[FATAL] "+kube.Plain(err))
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	controller.Config
	dryRun, version, debug bool
	pull                   bool
	listen                 string
	deadline               time.Duration
	old                    []string // flags that were written with one dash
}

// newCommand is fedsync as its help tells of it; its flags are read into o.
func newCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:  "fedsync",
		Long: "fedsync keeps the objects of a federation in all its clusters.\n",
		Example: `# Keep them
fedsync --kubeconfig federation.kubeconfig

# What would be done, field by field
fedsync --kubeconfig federation.kubeconfig --dry-run`,
		Run: func(*cobra.Command, []string) {},
	}
	f := command.Flags()
	f.StringVar(&o.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "`file` that leads to the federation's API; default $KUBECONFIG")
	f.BoolVar(&o.pull, "pull", false, "run in a cluster that pulls: do there what the fedsync of --federation asks for; --kubeconfig leads to that cluster, and by default it is that of its pod")
	f.StringVar(&o.Context, "context", "", "its context; default: the current one")
	f.StringVar(&o.Federation, "federation", "", "`name` of the federation; default: what the ConfigMap federation-system/federation says")
	f.IntVar(&o.MaxDeletes, "max-deletes", controller.DefaultMaxDeletes, "how many objects of a cluster may go in one pass before an operator has to confirm")
	f.Float32Var(&o.QPS, "qps", controller.DefaultQPS, "calls a second to each cluster")
	f.IntVar(&o.Burst, "burst", controller.DefaultBurst, "calls to a cluster that may come at once")
	f.DurationVar(&o.Lease, "lease", controller.DefaultLease, "how long a leader that is gone stays one; 0: there is only this one")
	f.DurationVar(&o.LostAfter, "lost-after", controller.DefaultLostAfter, "how long a cluster may be out of reach before the others get its replicas")
	f.StringVar(&o.listen, "listen", "127.0.0.1:10253", "`address` of /metrics and /healthz; empty: none")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and do nothing")
	f.DurationVar(&o.deadline, "deadline", 30*time.Second, "with --dry-run, how long clusters may take to say what they have")
	f.BoolVar(&o.version, "version", false, "print the version")
	f.BoolVar(&o.debug, "debug", false, "log each step")
	f.Func("kind", "a `group/version/Kind` to keep beside the usual ones; may be given several times; default: those that fedctl init was told of", func(s string) error {
		k, err := v1alpha1.ParseKind(s)
		if err == nil && k.Group == v1alpha1.Group {
			err = fmt.Errorf("%s is the federation's own, and isn't kept in clusters", k)
		}
		o.Kinds = append(o.Kinds, k)
		return err
	})
	return command
}

// parse reads the command line. Help is printed, and is pflag.ErrHelp.
func parse(args []string) (o options, err error) {
	command := newCommand(&o)
	f := command.Flags()
	if o.old, err = cli.Parse(f, args); errors.Is(err, pflag.ErrHelp) {
		cli.Help(os.Stdout, command, 0)
		return o, err
	} else if err != nil {
		return o, err
	}
	o.Version = version
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	o.Log = logging.New(os.Stderr, level)
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q isn't a flag", f.Arg(0))
	case o.MaxDeletes < 0:
		return o, fmt.Errorf("--max-deletes %d: has to be 0 or more", o.MaxDeletes)
	case o.QPS <= 0 || o.Burst <= 0:
		return o, errors.New("--qps and --burst have to be more than 0")
	case o.Lease != 0 && o.Lease < 3*time.Second:
		return o, fmt.Errorf("--lease %s: has to be 3s or more, for a busy API server to renew it, or 0", o.Lease)
	case o.pull && o.Federation == "":
		return o, errors.New("--pull needs --federation, which says whose part is pulled")
	case o.pull && o.dryRun:
		return o, errors.New("--pull with --dry-run: what would be done is planned by the federation's fedsync; fedctl plan says it")
	case o.LostAfter < 0:
		return o, fmt.Errorf("--lost-after %s: has to be 0s or more", o.LostAfter)
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	if o.version {
		fmt.Println("fedsync " + version)
		return nil
	}
	if o.Kubeconfig == "" && !o.pull {
		return errors.New("no kubeconfig is given: --kubeconfig FILE, or KUBECONFIG, says what leads to the federation's API")
	}
	if why := inputfile.Exposed(o.Kubeconfig); o.Kubeconfig != "" && why != "" {
		o.Log.Warn(why)
	}
	if o.dryRun {
		ctx, cancel := context.WithTimeout(ctx, o.deadline)
		defer cancel()
		p, err := controller.Plan(ctx, o.Config)
		if err == nil {
			err = p.Print(os.Stdout)
		}
		return err
	}
	o.Log.Info(fmt.Sprintf("fedsync %s (%s %s/%s), %s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, reaches(o)))
	if o.listen != "" {
		end, err := serve(o.listen, o.Log)
		if err != nil {
			return err
		}
		defer end()
	}
	if o.pull {
		return controller.Pull(ctx, o.Config)
	}
	return controller.Run(ctx, o.Config)
}

// reaches is what leads to the federation's API.
func reaches(o options) string {
	if o.Kubeconfig == "" {
		return "in its pod"
	}
	out := "kubeconfig " + o.Kubeconfig
	if o.Context != "" {
		out += ", context " + o.Context
	}
	return out
}

// serve answers /metrics and /healthz until end is called.
func serve(addr string, log *slog.Logger) (end func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %s", addr, kube.Cause(err))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(metric.Fedsync.Collectors()...)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics: " + err.Error())
		}
	}()
	return func() { _ = s.Close() }, nil // it is over either way
}
