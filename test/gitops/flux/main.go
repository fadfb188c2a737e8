// Command flux applies objects and waits until Flux holds them to be ready, as its
// kustomize-controller does with wait: true. It reads YAML, and takes a kubeconfig and how long
// to wait at most, such as 1m.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() {
	log.SetLogger(log.Log) // it has nothing to say
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: flux KUBECONFIG TIMEOUT <objects.yaml")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, timeout string, in io.Reader, out io.Writer) error {
	limit, err := time.ParseDuration(timeout)
	if err != nil {
		return err
	}
	objects, err := utils.ReadObjects(in)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	poller := polling.NewStatusPoller(c, c.RESTMapper(), polling.Options{})
	m := ssa.NewResourceManager(c, poller, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
	m.SetOwnerLabels(objects, "everything", "flux-system")
	changes, err := m.ApplyAllStaged(context.Background(), objects, ssa.DefaultApplyOptions())
	if err != nil {
		return err
	}
	wait := ssa.DefaultWaitOptions()
	wait.Timeout, wait.Interval, wait.FailFast = limit, time.Second, true
	if err := m.WaitForSet(changes.ToObjMetadataSet(), wait); err != nil {
		return err
	}
	for _, e := range changes.Entries {
		fmt.Fprintln(out, e.Action, e.Subject)
	}
	return nil
}
