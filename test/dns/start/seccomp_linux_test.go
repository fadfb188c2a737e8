package start

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/bpf"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// confine is set, to a file of instructions, for this program to run another one that may make no other system calls.
const confine = "FEDNS_TEST_CONFINE"

func init() {
	path := os.Getenv(confine)
	if path == "" {
		return
	}
	err := confined(path)
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "confine:", err)
	os.Exit(1)
}

// confined makes the kernel go by instructions of this thread, and of what it becomes.
func confined(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var raw []bpf.RawInstruction
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	return server.Confine(raw)
}

// What the kernel is told to do (seccomp(2)), and where it finds what is asked of it.
const (
	kill  = 0x80000000 // the process: nothing that isn't in the profile passes without being seen
	errno = 0x00050000
	allow = 0x7fff0000

	call     = 0
	argument = 16 // the first, its lower half
)

// profile is the one of the chart, as runtimes read it.
type profile struct {
	DefaultAction string `json:"defaultAction"`
	Syscalls      []struct {
		Names    []string `json:"names"`
		Action   string   `json:"action"`
		ErrnoRet uint32   `json:"errnoRet"`
		Args     []struct {
			Value    uint32 `json:"value"`
			ValueTwo uint32 `json:"valueTwo"`
			Op       string `json:"op"`
		} `json:"args"`
	} `json:"syscalls"`
}

// instructions are those of a profile, but that what it refuses by default ends the program.
func instructions(t *testing.T, p profile, numbers map[string]uint32) []bpf.RawInstruction {
	t.Helper()
	load := bpf.LoadAbsolute{Off: call, Size: 4}
	out := []bpf.Instruction{load}
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			n, known := numbers[name]
			if !known {
				continue // another architecture has it
			}
			verdict := bpf.RetConstant{Val: allow}
			if s.Action == "SCMP_ACT_ERRNO" {
				verdict.Val = errno | s.ErrnoRet
			}
			switch {
			case len(s.Args) == 0:
				out = append(out, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: n, SkipTrue: 1}, verdict)
			case len(s.Args) == 1 && s.Args[0].Op == "SCMP_CMP_MASKED_EQ":
				out = append(out,
					bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: n, SkipTrue: 5},
					bpf.LoadAbsolute{Off: argument, Size: 4},
					bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: s.Args[0].Value},
					bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: s.Args[0].ValueTwo, SkipTrue: 1},
					verdict,
					load,
				)
			default:
				t.Fatalf("%s: the arguments of a profile can't be read", name)
			}
		}
	}
	raw, err := bpf.Assemble(append(out, bpf.RetConstant{Val: kill}))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// numbers are those of the system calls here.
func numbers(t *testing.T) map[string]uint32 {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+runtime.GOARCH+".go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*= (\d+)$`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.ToLower(m[1])] = uint32(n)
	}
	if len(out) < 250 {
		t.Fatalf("%d system calls are known", len(out))
	}
	return out
}

// TestSeccomp: fedns does all that it does with the system calls of the chart's profile. Any other would end it here.
func TestSeccomp(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vector.Root(), "deploy", "charts", "fedns", "files", "seccomp.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p profile
	if err := json.Unmarshal(text, &p); err != nil || p.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Fatalf("%v; by default it says %q", err, p.DefaultAction)
	}
	calls := numbers(t)
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			for _, bad := range []string{"bpf", "ptrace", "mount", "setns", "unshare", "keyctl", "io_uring_setup", "perf_event_open", "userfaultfd", "process_vm_writev", "init_module", "kexec_load", "reboot", "pivot_root", "chroot"} {
				if name == bad {
					t.Errorf("it allows %s", name)
				}
			}
		}
	}
	list, err := json.Marshal(instructions(t, p, calls))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(confine, write("instructions", string(list)))
	overrides := write("overrides", "")
	const manifest = "{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web, labels: {fedns.io/export: \"true\"}}, spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}, status: {loadBalancer: {ingress: [{ip: %s}]}}}\n---\n" +
		"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]}\n"
	write("web.yaml", fmt.Sprintf(manifest, "192.0.2.1"))
	s := server.Launch(t, fmt.Sprintf(`example.com:PORT {
	bind ADDR
	federation fed {
		cluster a {
			manifests %s
		}
		state %s
		overrides %s
	}
	prometheus METRICS
	ready READY
	errors
	reload 2s
}
`, dir, filepath.Join(dir, "state"), overrides), os.Args[0])
	s.WaitReady(t)
	const name = "web.shop.fed.svc.example.com"
	is := func(want string) {
		t.Helper()
		server.Eventually(t, time.Minute, want+" is answered", func() bool {
			a := server.Addrs(s.Ask(t, name, dns.TypeA))
			return len(a) == 1 && a[0] == want
		})
	}
	is("192.0.2.1")
	over := dns.Client{Net: "tcp", Timeout: time.Minute}
	m := new(dns.Msg)
	if a, _, err := over.Exchange(m.SetQuestion(name+".", dns.TypeA), s.Addr); err != nil || len(server.Addrs(a)) != 1 {
		t.Errorf("over TCP: %v, %v", a, err)
	}
	write("web.yaml", fmt.Sprintf(manifest, "192.0.2.2"))
	is("192.0.2.2")
	server.Eventually(t, time.Minute, "there is a fast path", func() bool { return s.Metric(t, "coredns_federation_fast_path{") == 1 })
	// Killed, it would be gone without a word.
	reloads := strings.Count(s.Log(), "Reloading complete")
	if err := syscall.Kill(s.Pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	server.Eventually(t, time.Minute, "the Corefile is read anew", func() bool { return strings.Count(s.Log(), "Reloading complete") > reloads })
	is("192.0.2.2")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid))
	if err != nil || !strings.Contains(string(status), "Seccomp:\t2") {
		t.Errorf("it isn't confined: %v", err)
	}
	s.Stop()
	if !strings.Contains(s.Log(), "SIGTERM: Shutting down servers then terminating") {
		t.Error("it didn't end as it should")
	}
}
