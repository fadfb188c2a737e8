package federation

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/kube"
)

const (
	// reviewed is how long an API's word on who may look is gone by: a page asks for a dozen things at
	// once, and a right that is taken away mustn't be long in use.
	reviewed = 10 * time.Second
	// mostReviewed bounds of how many words at once.
	mostReviewed = 1000
	// mostReviews is how many are asked for at once: who shows one wrong token after another must not
	// keep the API busy.
	mostReviews = 4
	// reviewPatience is for one.
	reviewPatience = 5 * time.Second
)

// A reviewer has an API of Kubernetes say who may look.
type reviewer struct {
	kubeconfig, context string

	mu    sync.Mutex
	api   *kube.API
	known map[[sha256.Size]byte]review
	turns chan struct{}
}

func newReviewer(kubeconfig, context string) *reviewer {
	return &reviewer{kubeconfig: kubeconfig, context: context, turns: make(chan struct{}, mostReviews)}
}

type review struct {
	kube.Review
	until time.Time
}

// may says whose a token is, and whether that one may get a path.
func (r *reviewer) may(ctx context.Context, token, path string) (kube.Review, error) {
	key := sha256.Sum256([]byte(path + "\x00" + token))
	now := time.Now()
	r.mu.Lock()
	if k, ok := r.known[key]; ok && now.Before(k.until) {
		r.mu.Unlock()
		return k.Review, nil
	}
	if r.api == nil {
		api, err := kube.Open(kube.Config{Kubeconfig: r.kubeconfig, Context: r.context, Agent: "fedns"})
		if err != nil {
			r.mu.Unlock()
			return kube.Review{}, err
		}
		r.api = api
	}
	api := r.api
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reviewPatience)
	defer cancel()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return kube.Review{}, ctx.Err()
	}
	said, err := api.Review(ctx, token, "get", path)
	if err != nil {
		return said, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= mostReviewed {
		r.known = map[[sha256.Size]byte]review{}
	}
	r.known[key] = review{said, now.Add(reviewed)}
	return said, nil
}
