package demo

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/ctl/install/hosted"
	"github.com/fedns/fedns/test/framework/node"
)

// nginx is the image of the article's pods. Its likeness here says on which node it runs.
const nginx = "docker.io/library/nginx:1.11.1-alpine"

// watched is a test that Ctrl-C ends.
type watched struct {
	testing.TB
	ctx context.Context
}

// Context implements testing.TB.
func (w watched) Context() context.Context { return w.ctx }

// start starts clusters whose pods run.
func (w *walk) start() {
	w.t.Helper()
	var places []node.Place
	for _, s := range sites {
		places = append(places, node.Place{Name: s.name, Region: s.region, Zone: s.zones[0], More: s.zones[1:]})
	}
	web, control := filepath.Join(w.dir, "nginx.tar"), filepath.Join(w.dir, "control.tar")
	node.WebArchive(w.t, web, nginx)
	node.ControlPlane(w.t, control, hosted.EtcdImage, hosted.APIServerImage)
	w.bed = node.New(watched{w.t, w.ctx}, places, web)
	w.ended()
	for i, c := range w.bed.Clusters {
		for j, zone := range sites[i].zones {
			w.nodes[zone] = c.Nodes[j].Name
		}
		if c.Name == host {
			c.Import(w.t, control)
		}
	}
	for _, archive := range []string{web, control} { // they are large, and whoever kills this cleans nothing up
		if err := os.Remove(archive); err != nil {
			w.t.Fatal(err)
		}
	}
}

// podsAsk has a pod ask for the service, while the pods of its own cluster go.
func (w *walk) podsAsk() {
	w.chapter("Pods ask")
	w.say("The DNS of a cluster gives fedns the questions for the federation's names.")
	w.run("fedctl stub --context="+central+" --domain=example.com --federation=myfederation --servers="+w.ip+" --apply", "coredns")
	w.quietly("kubectl --context="+central+" -n kube-system rollout restart deployment/coredns", has("restarted")) // it would read that by itself, in two minutes
	w.quietly("kubectl --context="+central+" -n kube-system rollout status deployment/coredns --timeout=60s", has("successfully"))
	w.say("A pod of gce-us-central1 gets one of its own cluster, which says on which node it runs.")
	w.run("kubectl --context="+central+" create deployment client --image=localhost/web:1", "created")
	w.quietly("kubectl --context="+central+" rollout status deployment/client --timeout=60s", has("successfully"))
	w.curls(central)
	w.say("Without pods there, it gets the closest cluster that has some.")
	w.prefer(`{"*": {"weight": 1}, "gce-us-central1": {}}`)
	w.replicas("asia-east1 4", "europe-west1 4", "us-central1 0", "us-east1 4")
	w.curls(east)
}

// curls shows what the pod gets, once that comes from a cluster.
func (w *walk) curls(from string) {
	w.t.Helper()
	w.until("kubectl --context="+central+" exec deployment/client -- /curl http://nginx.mynamespace.myfederation", func(out string) bool {
		return strings.HasPrefix(out, "node-"+from)
	})
}
