package start

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// nobody is the user of the image.
const nobody = "65532"

// as is a command that runs what it is given as that user, with further options of setpriv.
func as(options ...string) []string {
	return append([]string{"setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups"}, options...)
}

// TestLowPort: port 53 without root is a matter of a capability or of a sysctl. Where
// neither is there, fedns ends at once, and says what is missing and both ways out.
func TestLowPort(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start fedns as somebody else, and give him a capability")
	}
	for _, tool := range []string{"setpriv", "setcap", "unshare", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	bin, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	// What others may read, too.
	dir, err := os.MkdirTemp("", "low")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	plain, permitted := filepath.Join(dir, "fedns"), filepath.Join(dir, "permitted")
	program, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, permitted} {
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// As the image has it: permitted by the file, and not put in force.
	if out, err := exec.Command("setcap", "cap_net_bind_service=+p", permitted).CombinedOutput(); err != nil {
		t.Skipf("this file system keeps no capabilities: %s", out)
	}
	inNamespace := []string{"unshare", "--net", "sh", "-c", `ip link set lo up && echo 53 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec "$0" "$@"`}
	if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no network of its own: %s", out)
	}
	withheld := as("--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
	for _, tt := range []struct {
		name    string
		command []string
		answers bool
	}{
		{"neither", slices.Concat(withheld, []string{plain}), false},
		{"with --share", slices.Concat(withheld, []string{plain, "--share"}), false},
		{"the file permits it, and its container doesn't", slices.Concat(withheld, []string{permitted}), false},
		{"the file permits it", append(as(), permitted), true},
		{"ambient", append(as("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"), plain), true},
		{"sysctl", slices.Concat(inNamespace, withheld, []string{plain}), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Nobody else has an address like this.
			host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
			corefile := filepath.Join(dir, host)
			text := strings.NewReplacer("ADDR", host, "PORT", "53", "zones/", filepath.Join(vector.Root(), "zones")+"/").Replace(block(""))
			if err := os.WriteFile(corefile, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			args := slices.Concat(tt.command, []string{"--conf", corefile})
			cmd := exec.Command(args[0], args[1:]...)
			var log server.Buffer
			cmd.Stdout, cmd.Stderr = &log, &log
			done, err := vector.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
				<-done
			}()
			ended := func() bool {
				select {
				case <-done:
					return true
				default:
					return false
				}
			}
			server.Eventually(t, 30*time.Second, "it answers, or ends", func() bool {
				return ended() || strings.Contains(log.String(), "answering on "+host+":53")
			})
			if tt.answers {
				if ended() {
					t.Fatalf("it says\n%s", log.String())
				}
				if !strings.Contains(log.String(), "fast path on") {
					t.Errorf("the fast path needs more:\n%s", log.String())
				}
				if tt.name == "sysctl" {
					return // it answers in a network of its own
				}
				m, err := dns.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), host+":53")
				if err != nil || len(server.Addrs(m)) != 1 {
					t.Errorf("%v, %v", m, err)
				}
				return
			}
			for _, want := range []string{
				"[FATAL] " + host + ":53/udp: user " + nobody + " may listen at no port below 1024", "NET_BIND_SERVICE", "AmbientCapabilities",
				"ip_unprivileged_port_start at 53 or less", "securityContext.sysctls",
			} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("it doesn't say %q:\n%s", want, log.String())
				}
			}
			if strings.Contains(log.String(), "listed") {
				t.Error("it waits for its members first")
			}
		})
	}
}
