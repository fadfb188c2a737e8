package tools

import (
	"os"
	"strings"
	"testing"
)

// most is how many modules each program may be linked from. Why each group of them stays:
//
//   - CoreDNS and what its server itself is made of (core/dnsserver, coremain): caddy, go-shlex, miekg/dns, quic-go, qpack, grpc,
//     genproto, opentracing, grpc-opentracing, go-proxyproto, golang-lru, automaxprocs. It can't be had without them.
//   - exporter-toolkit, go-systemd, vsock, socket, go-conntrack, backoff, jwt, uuid, x/sync: what CoreDNS's prometheus serves by.
//     cache and forward import the same package for the name of a server, so that another plugin in its place wouldn't rid us of them.
//   - dnstap, framestream (forward), go-cidr (reverse zones), go-trees (acl), expr (view): of plugins that users have in their Corefiles.
//   - client_golang, client_model, common, procfs, perks, xxhash, goautoneg, protobuf: metrics.
//   - api, apimachinery, client-go, and what these are made of, down to go-spew and go-difflib: the APIs of Kubernetes. Where objects
//     are written, too, in fedsync and fedctl, go-openapi, kube-openapi, gnostic-models, go-restful and json-patch.
//   - cli-runtime, and what it brings in fedctl (kustomize, diskv, btree, moby/term, tabwriter, semver, treeprint, go-errors,
//     go-gitignore): flags and output as kubectl has them.
//   - cilium/ebpf: the program at an interface that sorts out questions (xdp), without C or a compiler for it.
//   - cobra and pflag (commands), maxminddb (where clients are), siphash (cookies), and what Go's own repositories have.
var most = map[string]int{"fedns": 68, "fedsync": 56, "fedctl": 69}

// TestModules: what is linked is what docs/reference/modules.md says, and no more than was
// decided once. Who needs another module says here why.
func TestModules(t *testing.T) {
	if out, code := run(t, at(), nil, "go", "run", "./test/tools/licences", "-check"); code != 0 {
		t.Error(out)
	}
	page, err := os.ReadFile(at("docs", "reference", "modules.md"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	var programs []string
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 {
			continue
		}
		if programs == nil {
			programs = cells[3:]
			continue
		}
		for i, c := range cells[3:] {
			if strings.TrimSpace(c) == "x" {
				got[strings.TrimSpace(programs[i])]++
			}
		}
	}
	for program, n := range most {
		if got[program] == 0 || got[program] > n {
			t.Errorf("%s is linked from %d modules; %d are allowed", program, got[program], n)
		}
	}
}
