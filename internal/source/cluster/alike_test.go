package cluster

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/test/framework/sourcetest"
)

// Both sources make the same of what a cluster has; test/dns/live runs the same through a real API.
func TestSourcesAlike(t *testing.T) {
	t.Parallel()
	s := serve(t)
	selector, _ := labels.Parse("fedns.io/export=true")
	apply := func(d sourcetest.Deed) {
		if d.Gone() {
			s.remove(d.Resource, d.Name)
			return
		}
		text, err := json.Marshal(d.Object(t))
		if err != nil {
			t.Fatal(err)
		}
		s.set(d.Resource, d.Name, string(text[1:len(text)-1]))
	}
	folder := func(dir string) sourcetest.Source {
		f, err := NewFolder(FolderConfig{Federation: "fed", Cluster: "onprem", Dir: dir, Selector: selector, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return f.Run
	}
	api := func() sourcetest.Source {
		w, _ := s.watcher(t, func(c *Config) { choosing(c); c.Nodes = false })
		return w.Run
	}
	sourcetest.Alike(t, apply, folder, api)
}
