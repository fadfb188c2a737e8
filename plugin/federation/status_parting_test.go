package federation

import (
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/vector"
)

// Whoever drains a cluster learns when it is in no answer any more, and how long the
// last one may be remembered: that of services, too, that have no pods just now. An
// Ingress counts, and so does its host.
func TestStatusParting(t *testing.T) {
	w := shop(t)
	slow := vector.Service("shop", "slow", "192.0.2.3")
	slow["metadata"].(map[string]any)["annotations"] = map[string]any{"fedns.io/ttl": "20m"}
	vector.WriteManifest(t, w.dir+"/us/slow.json", slow, vector.Slice("shop", "slow", false, "us-a"))
	vector.WriteManifest(t, w.dir+"/eu/front.json", vector.Ingress("shop", "front", "192.0.2.4", [2]string{"shop.example.com", "web"}))
	file := w.write("overrides", "")
	s := w.telling("federation fed {\n" + both + "ttl 90s 1s\noverrides " + file + "\n}")
	get := func() (eu, us report.Cluster) {
		var all report.Clusters
		s.get(t, &all, "clusters")
		return all.Clusters[0], all.Clusters[1]
	}
	if eu, us := get(); eu.Answers != 3 || eu.TTL != 90 || eu.Order != "" || us.Answers != 0 || us.TTL != 1200 {
		t.Errorf("eu %+v, us %+v", eu, us)
	}
	const order = `drain cluster/eu until 2199-01-01T00:00:00Z reason "kernel"`
	w.write("overrides", order+"\n")
	for end := time.Now().Add(time.Minute); ; {
		eu, _ := get()
		if eu.Order == order && eu.Answers == 0 && eu.TTL == 90 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", eu)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}
