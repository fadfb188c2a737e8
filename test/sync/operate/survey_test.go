package operate

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/sync/controller"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
)

// What fedctl waits for is what the clusters themselves say, one that is away left
// out.
func TestFollow(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris")
	lyon, paris := all[0], all[1]
	w := newWorld(t, b, all...)
	w.Fed.Apply(t, shop)
	w.settle(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := controller.Config{Federation: "prod", LostAfter: controller.DefaultLostAfter, Log: slog.New(slog.DiscardHandler)}
	const (
		begun = iota
		ready
		away
	)
	stage := begun
	err := controller.Follow(ctx, open(t, w.Fed), config, 50*time.Millisecond, func(s controller.Survey) bool {
		if len(s.Workloads) != 1 || len(s.Workloads[0].In) != 2 || s.Workloads[0].Total != 7 {
			t.Errorf("%+v", s)
			return true
		}
		in := s.Workloads[0].In
		switch stage {
		case begun:
			if in[0].Cluster != "lyon" || in[0].State != workload.Applied || in[0].Wanted+in[1].Wanted != 7 || in[0].There != in[0].Wanted || !in[0].Waits() || len(s.Unknown) > 0 {
				t.Errorf("at first %+v, unknown %v", in, s.Unknown)
			}
			status := []byte(`{"status": {"observedGeneration": 1, "replicas": 4, "readyReplicas": 4, "availableReplicas": 4}}`)
			if _, err := lyon.Client.AppsV1().Deployments("shop").Patch(ctx, "web", types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
				t.Error(err)
			}
			stage = ready
		case ready:
			if in[0].Ready == 4 {
				if in[0].Waits() != (in[0].Wanted != 4) || !in[1].Waits() {
					t.Errorf("then %+v", in)
				}
				paris.Kill(t)
				stage = away
			}
		case away:
			return s.Unknown["paris"] != "" && in[1].State == workload.Unreachable && !in[1].Waits()
		}
		return false
	})
	if err != nil || stage != away {
		t.Errorf("stage %d: %v", stage, err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := controller.Follow(ended, open(t, w.Fed), config, time.Second, func(controller.Survey) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
