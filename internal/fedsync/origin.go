package fedsync

import (
	"context"
	"time"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/workload"
)

var namespaces = fedapi.Kind{Version: "v1", Name: "Namespace", Resource: "namespaces"}

// An origin is where the objects of an API come from. Its watches have to begin
// anew if that is another one, since they wait for revisions that it may not reach
// for years.
type origin struct {
	// identity is the UID of the namespace kube-system, by which clusters are told
	// apart; "": it may not be asked for.
	identity string
	revision string
}

// originOf asks for it.
func originOf(ctx context.Context, api *kube.API) (o origin, err error) {
	ns, err := api.Get(ctx, namespaces, "", "kube-system")
	switch {
	case err == nil:
		o.identity = string(ns.GetUID())
	case !kube.Refused(err) && !kube.Missing(err):
		return o, err
	}
	o.revision, err = api.Revision(ctx, namespaces)
	if kube.Refused(err) {
		err = nil
	}
	return o, err
}

// lost says whether what was known at an origin isn't what is there now.
func (o origin) lost(now origin) bool {
	return o.identity != "" && now.identity != "" && o.identity != now.identity ||
		now.revision != "" && workload.Older(now.revision, o.revision)
}

// compared is how often it is asked whether an API's objects are still of the same
// origin: two calls for one object each.
const compared = 10 * time.Second

// guard ends a loop whose federation's API comes back with another origin: a new one
// knows nothing, and does nothing before it has seen all there is.
func (l *loop) guard(ctx context.Context) {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	was, failed, asked := l.origin, false, time.Now()
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
		now, err := originOf(ctx, l.api)
		if err != nil {
			continue
		}
		if was.lost(now) {
			l.Log.Error("the federation's API has lost what it held, or was restored from an older copy: all is listed anew, and nothing that is missing there is deleted")
			l.forgotten.Store(true)
			l.end()
			return
		}
		was, failed, asked = now, false, time.Now()
	}
}
