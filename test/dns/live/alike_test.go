package live

import (
	"fmt"
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	source "github.com/fedns/fedns/internal/source/cluster"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/sourcetest"
)

// TestSourcesAlike is that a folder and a real API come to the same, whatever labels
// EndpointSlices have and lose, whoever they say made them, and whichever Service they name.
func TestSourcesAlike(t *testing.T) {
	c := cluster.New(t).API(t, "paris")
	for _, ns := range []string{sourcetest.Home, sourcetest.Away} {
		c.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %q}\n", ns))
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(d sourcetest.Deed) {
		t.Helper()
		gv, err := schema.ParseGroupVersion(sourcetest.Kinds[d.Resource].APIVersion)
		if err != nil {
			t.Fatal(err)
		}
		namespace, name := d.Key()
		r := client.Resource(gv.WithResource(d.Resource)).Namespace(namespace)
		if d.Gone() {
			if err := r.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			return
		}
		o := &unstructured.Unstructured{Object: d.Object(t)}
		status, has := o.Object["status"]
		o, err = r.Apply(t.Context(), name, o, metav1.ApplyOptions{FieldManager: "staff", Force: true})
		if err == nil && has {
			o.Object["status"] = status
			_, err = r.UpdateStatus(t.Context(), o, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatalf("%s: %v", d.Fields, err)
		}
	}
	selector, err := source.ParseSelector("fedns.io/export=true")
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	source.SilenceClientGo()
	kubeconfig := c.ReadOnly(t)
	folder := func(dir string) sourcetest.Source {
		f, err := source.NewFolder(source.FolderConfig{Federation: "fed", Cluster: "paris", Dir: dir, Selector: selector, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return f.Run
	}
	api := func() sourcetest.Source {
		w, err := source.NewWatcher(source.Config{Federation: "fed", Cluster: "paris", Kubeconfig: kubeconfig, Selector: selector, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return w.Run
	}
	sourcetest.Alike(t, apply, folder, api)
}
