package kube

import (
	"context"
	"time"
)

// Pause waits before an API is asked again, and says whether it still is to be: false: ctx has ended.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
