package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// changeToBIND measures the time from the return of a write to an API server to the first answer of a BIND that
// fedns publishes on. Each change is of seven names, addresses that become CNAMEs and addresses again.
func changeToBIND(t *testing.T) {
	changes := 500
	if !*figures {
		changes = 10
	}
	const secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="
	dir, port := t.TempDir(), vector.Port(t)
	for name, text := range map[string]string{
		"zone": "$TTL 60\n@ SOA ns host 1 60 60 600 60\n@ NS ns\nns A 127.0.0.1\n",
		"named.conf": server.BINDConfig(dir, port, "recursion no; minimal-responses yes;") + `key "pub" { algorithm hmac-sha256; secret "` + secret + `"; };
zone "example.com" { type primary; file "zone"; update-policy { grant pub zonesub ANY; }; allow-transfer { key pub; }; };
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server.Program(t, server.Tool(t, "named"), "-g", "-c", filepath.Join(dir, "named.conf"))
	bind := fmt.Sprint("127.0.0.1:", port)

	c := cluster.New(t).API(t, "paris")
	c.AddNode(t, "node-1", "eu", "eu-a")
	c.Expose(t, "shop", "web", "192.0.2.1")
	c.Slice(t, "shop", "web", "eu-a", true)
	s := server.Start(t, fmt.Sprintf(`
example.com:PORT {
 bind ADDR
 tsig {
  secret pub. %s
 }
 federation myfederation {
  cluster paris {
   kubeconfig %s paris
  }
  publish update %s key pub
 }
 ready READY
 prometheus METRICS
 errors
}
`, secret, c.ReadOnly(t), bind))
	const name = "web.shop.myfederation.svc.eu-a.eu.example.com."
	server.Eventually(t, time.Minute, "it is published", func() bool {
		return s.Metric(t, `coredns_federation_published_total{federation="myfederation",outcome="done"`) > 0
	})
	is := [4]byte{192, 0, 2, 1}
	x := &subject{
		line:  dial(t, bind, name),
		slice: take(t, c, "web-x"),
		change: func(e *discoveryv1.Endpoint, i int) func([]byte) bool {
			ready := i%2 == 1
			e.Conditions.Ready = &ready
			return func(reply []byte) bool { return address(reply, is) == ready }
		},
	}
	x.line.until(t, "BIND has it", func(reply []byte) bool { return address(reply, is) })
	for i := range changes {
		time.Sleep(25*time.Millisecond + rand.N(15*time.Millisecond)) // as above
		x.measure(t, c, i)
	}
	if *figures {
		fmt.Printf("\nChange to another server's answer: an EndpointSlice is written, the write has returned -> BIND's answer on the wire, by an update with TSIG\n")
		fmt.Printf("  fedns, publish update          %s\n", spread(x.took))
	}
}
