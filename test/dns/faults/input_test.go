package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
)

// Bad input for the properties of health: the program ends, and says why, with
// file, line and property.
func TestBadInput(t *testing.T) {
	t.Parallel()
	ms := folders(t)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	begin := time.Now()
	rows := []struct{ property, want string }{
		{"heartbeat", "needs a period and a timeout"},
		{"heartbeat 2s", "needs a period and a timeout"},
		{"heartbeat 50ms 5s", "too short; at least 100ms"},
		{"heartbeat 2s 50ms", "too short; at least 100ms"},
		{"heartbeat -1s 5s", "too short"},
		{"heartbeat 5s 2s", "shorter than the period"},
		{"heartbeat often enough", "not a duration"},
		{"hold", "needs a duration"},
		{"hold 5", "not a duration"},
		{"hold 500ms", "too short"},
		{"hold -5m", "too short"},
		{"hold 5m 6m", "needs a duration"},
		{"silence", "needs withdraw or keep"},
		{"silence perhaps", "needs withdraw or keep"},
		{"silence keep keep", "needs withdraw or keep"},
		{"probe", "none, tcp, http or https"},
		{"probe icmp", `"icmp" is not a kind of probe`},
		{"probe none tcp", "follows none"},
		{"probe tcp /healthz", "can't stand here"},
		{"probe tcp interval 999ms", "out of range: from 1s"},
		{"probe tcp timeout 50ms", "out of range: from 100ms"},
		{"probe tcp interval 1s timeout 2s", "longer than the interval"},
		{"probe tcp interval", "has no value"},
		{"probe tcp annotations yes", "neither off nor on"},
		{"probe tcp ports http", "not a number"},
		{"probe tcp port 22 ports 80,443", "isn't among the ports"},
		{"probe tcp paths /healthz", "annotations on lets them count"},
		{"probe tcp allow localhost", "not a range of addresses"},
		{"probe tcp rates 0,1,1", "not a number of probes a second"},
		{"probe tcp interval 1s interval 2s", "stands twice"},
		{"probe tcp fall 0", "out of range: from 1 to 100"},
		{"probe tcp rise 101", "out of range: from 1 to 100"},
		{"probe tcp fall three", "not a number"},
		{"probe tcp port 0", "out of range: from 1 to 65535"},
		{"probe tcp port 65536", "out of range: from 1 to 65535"},
		{"probe http /healthz 99", "not a status"},
		{"probe http /healthz 399-200", "not a status"},
		{`probe http "/a#b"`, "can't stand in it"},
		{"panic", "needs a share"},
		{"panic 101%", "not a percentage"},
		{"panic -1%", "not a percentage"},
		{"panic half", "not a percentage"},
		{"guard", "needs a share"},
		{"guard on", "needs a share"},
		{"guard 50%", "needs a share"},
		{"guard 101% 10s", "not a percentage"},
		{"guard -1 10s", "not a percentage"},
		{"guard 50% 10ms", "too short; at least 1s"},
		{"guard 50% ten", "not a duration"},
		{"guard 50% 10s -1", "not a number of addresses"},
		{"guard 50% 10s many", "not a number of addresses"},
		{"guard 50% 10s 20 30", "needs a share"},
		{"state", "needs a folder"},
		{"state " + file, "not a directory"},
		{"state " + file + "/below", "not a directory"},
		{"overrides", "needs a file"},
		{"overrides a b", "needs a file"},
	}
	for _, r := range rows {
		t.Run(r.property, func(t *testing.T) {
			s := server.Launch(t, corefile(r.property, ms...))
			select {
			case <-s.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("it started")
			}
			name, _, _ := strings.Cut(r.property, " ")
			if log := s.Log(); !strings.Contains(log, r.want) || !strings.Contains(log, "Corefile:") || !strings.Contains(log, name+": ") {
				t.Errorf("it says\n%s\nwhich lacks %q, or the file, line and property", log, r.want)
			}
		})
	}
	row(t, fmt.Sprintf("%d kinds of bad input for properties of health", len(rows)), "the program ends and says why, with file, line and property", fmt.Sprintf("failed: %v", t.Failed()), time.Since(begin))
}
