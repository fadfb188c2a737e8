package federation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	clog "github.com/coredns/coredns/plugin/pkg/log"
)

// logger writes what the inner packages log as CoreDNS does, which knows how it
// has been configured.
func logger() *slog.Logger { return slog.New(handler{}) }

var clogger = clog.NewWithPlugin(pluginName)

type handler struct{ attrs string }

func (handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || clog.D.Value()
}

func (h handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(format(a))
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		clogger.Error(b.String())
	case r.Level >= slog.LevelWarn:
		clogger.Warning(b.String())
	case r.Level >= slog.LevelInfo:
		clogger.Info(b.String())
	default:
		clogger.Debug(b.String())
	}
	return nil
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		h.attrs += format(a)
	}
	return h
}

// WithGroup is there for slog; nobody here groups.
func (h handler) WithGroup(string) slog.Handler { return h }

func format(a slog.Attr) string { return fmt.Sprintf(" %s=%q", a.Key, a.Value) }
