// Package observe is how the plugin's packages are seen from outside: by CoreDNS's log and
// metrics, under one name.
package observe

import (
	"context"
	"log/slog"

	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/fedns/fedns/internal/logging"
)

// PluginName is the plugin's, in Corefiles, logs and metrics.
const PluginName = "federation"

// Logger writes what the inner packages log as CoreDNS does, which knows how it
// has been configured.
func Logger() *slog.Logger { return slog.New(handler{&logging.Handler{Emit: emit}}) }

// Log is CoreDNS's log, with the plugin's name before each line.
var Log = clog.NewWithPlugin(PluginName)

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
		Log.Error(line)
	case l >= slog.LevelWarn:
		Log.Warning(line)
	case l >= slog.LevelInfo:
		Log.Info(line)
	default:
		Log.Debug(line)
	}
}
