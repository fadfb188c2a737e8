package logging

import (
	"bytes"
	"log"
	"log/slog"
	"testing"
)

// Lines of all levels and origins have one form.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := New(&b, slog.LevelDebug)
	l.Debug("step", "step", "create Service shop/web")
	l.With("cluster", "paris").Info("heard again", "after", 12)
	l.Warn("two\nlines\n")
	l.Error("gone")
	std := log.New(Lines{&b}, "", 0)
	std.Print("[INFO] SIGUSR1: Reloading")
	std.Print("[FATAL] one\ntwo")
	std.Print("http: TLS handshake error")
	want := `[DEBUG] step step="create Service shop/web"
[INFO] heard again cluster="paris" after="12"
[WARNING] two\nlines
[ERROR] gone
[INFO] SIGUSR1: Reloading
[FATAL] one\ntwo
[WARNING] http: TLS handshake error
`
	if b.String() != want {
		t.Errorf("it writes\n%s\nnot\n%s", b.String(), want)
	}
}

func TestLevel(t *testing.T) {
	var b bytes.Buffer
	New(&b, nil).Debug("not for everybody")
	New(&b, slog.LevelError).Warn("neither")
	if b.Len() > 0 {
		t.Errorf("it writes %q", b.String())
	}
}
