package fast

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/test/framework/server"
)

// deny is set for this program to run another one, whose sockets nobody steers.
const deny = "FEDNS_TEST_DENY_STEERING"

func init() {
	if os.Getenv(deny) == "" {
		return
	}
	err := denySteering()
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "deny steering:", err)
	os.Exit(1)
}

// denySteering makes the kernel refuse SO_ATTACH_REUSEPORT_CBPF to this thread and
// to what it becomes, as a container's seccomp profile may.
func denySteering() error {
	const (
		call   = 0        // of struct seccomp_data
		option = 16 + 2*8 // the third argument, its lower half
	)
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: call, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_SETSOCKOPT, SkipTrue: 3},
		bpf.LoadAbsolute{Off: option, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SO_ATTACH_REUSEPORT_CBPF, SkipTrue: 1},
		bpf.RetConstant{Val: 0x00050000 | uint32(unix.EPERM)}, // SECCOMP_RET_ERRNO
		bpf.RetConstant{Val: 0x7fff0000},                      // SECCOMP_RET_ALLOW
	})
	if err != nil {
		return err
	}
	return server.Confine(raw)
}

// Where the kernel refuses, the chain answers, and one line says why.
func TestRefused(t *testing.T) {
	t.Setenv(deny, "1")
	s := server.Launch(t, `example.com:PORT {
	bind ADDR
	federation myfederation {
		cluster a {
			manifests zones/clusters/gce-us-central1-a
		}
	}
	prometheus METRICS
	ready READY
}
`, os.Args[0])
	s.WaitReady(t)
	m := s.Ask(t, "nginx.mynamespace.myfederation.svc.example.com", dns.TypeA)
	if len(server.Addrs(m)) != 1 {
		t.Errorf("no answer:\n%v", m)
	}
	line := "no fast path on dns://" + s.Addr
	server.Eventually(t, 5*time.Second, "the log says so", func() bool { return strings.Contains(s.Log(), line) })
	if strings.Count(s.Log(), line) != 1 || !strings.Contains(s.Log(), "operation not permitted; the plugin chain answers") {
		t.Errorf("the log doesn't say once that there is %s, and why:\n%s", line, s.Log())
	}
	if on := s.Metric(t, "coredns_federation_fast_path{"); on != 0 {
		t.Errorf("fast_path is %v", on)
	}
}
