package cluster

import (
	"context"
	"encoding/json"
	"regexp"
	"time"
)

const (
	// versionAge is how long an API is believed to be of the version that it said: upgrades take
	// minutes, and an API that was away is asked anew.
	versionAge = 10 * time.Minute
	// largestVersion is more than any says of itself.
	largestVersion = 64 << 10
)

// spelled is what a version looks like: whatever else somebody calls himself is shown to nobody.
var spelled = regexp.MustCompile(`^v?[0-9][-+.0-9A-Za-z]{0,63}$`)

// Version is what the API says that it is, such as v1.36.3; "": that isn't known. Nothing depends on it.
func (w *Watcher) Version() string {
	if v := w.version.Load(); v != nil {
		return *v
	}
	return ""
}

// learnVersion asks the API which version it is. Whoever doesn't say has said nothing new.
func (w *Watcher) learnVersion(ctx context.Context, a *api) {
	var said struct{ GitVersion string }
	body, _, err := a.get(ctx, min(w.Heartbeat.Period, w.Heartbeat.Timeout)/2, a.versions, largestVersion)
	if err == nil && json.Unmarshal(body, &said) == nil && spelled.MatchString(said.GitVersion) {
		w.version.Store(&said.GitVersion)
	}
}
