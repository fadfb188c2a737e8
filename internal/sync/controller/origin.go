package controller

import (
	"context"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
)

// compared is how often it is asked whether an API's objects are still of the same
// origin: two calls for one object each.
var compared = 10 * time.Second // a variable for tests

// guard ends a loop whose federation's API comes back with another origin: a new one
// knows nothing, and does nothing before it has seen all there is.
func (l *loop) guard(ctx context.Context) {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	was, failed, asked := l.hub.origin, false, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		call, end := context.WithTimeout(ctx, heartbeat)
		err := l.api.Ready(call)
		end()
		if failed = failed || err != nil; err != nil || !failed && time.Since(asked) < compared {
			continue
		}
		call, end = context.WithTimeout(ctx, heartbeat)
		now, err := l.api.Origin(call, builtin.Namespaces)
		end()
		if err != nil {
			continue
		}
		if what := was.Another(now); what != "" {
			l.hub.Log.Error("the federation's API has lost what it held, or was restored from an older copy (" + what + "): all is listed anew, and nothing that is missing there is deleted")
			l.renew()
			return
		}
		was, failed, asked = was.Next(now), false, time.Now()
	}
}
