package federation

import (
	"context"
	"log/slog"

	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/fedns/fedns/internal/logging"
)

// logger writes what the inner packages log as CoreDNS does, which knows how it
// has been configured.
func logger() *slog.Logger { return slog.New(handler{&logging.Handler{Emit: emit}}) }

var clogger = clog.NewWithPlugin(pluginName)

// A handler is plainlog's, with CoreDNS's own idea of which levels are wanted: the
// plugin debug may come with a reload.
type handler struct{ slog.Handler }

func (handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || clog.D.Value()
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler { return handler{h.Handler.WithAttrs(as)} }

func (h handler) WithGroup(string) slog.Handler { return h }

func emit(l slog.Level, line string) {
	switch {
	case l >= slog.LevelError:
		clogger.Error(line)
	case l >= slog.LevelWarn:
		clogger.Warning(line)
	case l >= slog.LevelInfo:
		clogger.Info(line)
	default:
		clogger.Debug(line)
	}
}
