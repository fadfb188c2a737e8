package cluster

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// A process is one program of a control plane. It can be killed and started
// again, with the same arguments.
type process struct {
	name string // unique in its bed: "paris-kube-apiserver"
	path string
	args []string
	home string
	log  string // file; restarts append to it

	cmd  *exec.Cmd
	gone <-chan struct{} // closed when cmd has been reaped
}

// launch starts a program of b, and kills it when t ends. A test that failed
// is shown the end of its log; the whole of it stays under `go test -artifacts`.
func (b *Bed) launch(t testing.TB, owner, program string, args ...string) *process {
	t.Helper()
	p := &process{
		name: owner + "-" + program,
		path: filepath.Join(b.programs, program),
		args: args,
		home: b.dir,
	}
	p.log = filepath.Join(t.ArtifactDir(), p.name+".log")
	p.start(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: the end of its log:\n%s", p.name, p.tail())
		}
		p.kill()
	})
	return p
}

// start runs the program.
func (p *process) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// Nothing of the developer's own: kwok reads ~/.kwok, and any client may
	// read KUBECONFIG or a proxy's address.
	cmd.Env = []string{"HOME=" + p.home}

	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.cmd, p.gone = cmd, gone
}

// kill ends the program and waits until it is gone. By SIGKILL: an API server
// whose etcd has gone hangs in its graceful shutdown and keeps the port.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.gone
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// await is the same as the function, but does not wait for the dead.
func (p *process) await(t testing.TB, what string, ask func(context.Context) error) {
	t.Helper()
	what = p.name + ": " + what
	await(t, what, func(ctx context.Context) error {
		select {
		case <-p.gone:
			t.Fatalf("%s: %v", what, p.cmd.ProcessState)
		default:
		}
		return ask(ctx)
	})
}

// tail is the last lines of the log: more of them where the program is gone,
// which is likely what the test failed of, than where it is one of many that
// may have nothing to do with it.
func (p *process) tail() []byte {
	lines := 4
	select {
	case <-p.gone:
		lines = 20
	default:
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	text = bytes.TrimRight(text, "\n")
	end := len(text)
	for range lines {
		if end = bytes.LastIndexByte(text[:end], '\n'); end < 0 {
			return text
		}
	}
	return text[end+1:]
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
