package docs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// typed gives the commands that runbooks have somebody type.
func typed(t *testing.T) (commands []string) {
	t.Helper()
	for _, b := range blocksOf(t, "sh") {
		if b.page == "docs/runbooks.md" {
			for command := range strings.Lines(b.text) {
				commands = append(commands, strings.TrimSpace(command))
			}
		}
	}
	return commands
}

// What a runbook has somebody type who has only the server's host does run there.
func TestRunbookCommands(t *testing.T) {
	d := newDesk(t)
	n := 0
	for _, command := range typed(t) {
		if command == "fedctl check" || strings.Contains(command, "--context") {
			continue // a delegation, and APIs, aren't here
		}
		n++
		if out, err := d.run(command); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if n < 5 {
		t.Errorf("only %d commands found", n)
	}
}

// What a runbook has somebody type who has credentials for the federation's API does run, over a
// federation that fedctl made, with a fedns and a fedsync.
func TestRunbookContexts(t *testing.T) {
	bed := cluster.New(t)
	apis := bed.APIs(t, "federation", "lyon")
	d := &desk{dir: t.TempDir(), path: filepath.Dir(build(t, "fedctl")), at: fmt.Sprint("127.0.0.1:", vector.Port(t))}
	t.Setenv("KUBECONFIG", apis[0].Kubeconfig+":"+apis[1].Kubeconfig)
	for _, command := range []string{
		"fedctl init fed --api federation --dns-zone-name example.com",
		"fedctl join lyon --context fed --cluster-context lyon",
	} {
		if out, err := d.run(command); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	server.Start(t, "example.com:PORT {\n    bind ADDR\n    ready READY\n    federation fed {\n        registry "+apis[0].Kubeconfig+"\n        status "+d.at+"\n    }\n    errors\n}\n")
	w := &federation.World{Fed: apis[0], Log: &server.Buffer{}}
	t.Cleanup(w.Stop)
	w.Start(t)
	server.Eventually(t, time.Minute, "both have been heard", func() bool {
		out, err := d.run("fedctl get clusters --context fed")
		return err == nil && strings.Contains(out, "Ready")
	})
	n := 0
	for _, command := range typed(t) {
		command, has := strings.CutSuffix(command, "--context CONTEXT")
		if !has {
			if command != "fedctl check" {
				continue // TestRunbookCommands has it
			}
			command += " "
		}
		n++
		out, err := d.run(command + "--context fed")
		if strings.HasPrefix(command, "fedctl check") {
			// Nobody delegates example.com to this machine, which is an error.
			if !strings.Contains(out, "lyon") || strings.Contains(out, "usage:") {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if n < 8 {
		t.Errorf("only %d commands found", n)
	}
}
