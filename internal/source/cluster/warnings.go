package cluster

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/fedns/fedns/internal/kube"
)

// warnings are the problems of objects, each said once: lists repeat them.
type warnings struct {
	log    *slog.Logger
	prefix string

	mu   sync.Mutex // guards said
	said map[string]string
}

func (g *warnings) init(log *slog.Logger, prefix string) {
	g.log, g.prefix, g.said = log, prefix, map[string]string{}
}

// say logs the problems of an object, unless they are those said last.
func (g *warnings) say(object string, problems []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(problems) == 0 {
		delete(g.said, object)
		return
	}
	text := strings.Join(problems, "; ")
	if g.said[object] != text {
		g.said[object] = text
		g.log.Warn(fmt.Sprintf("%s%s: %s", g.prefix, object, text))
	}
}

// keep forgets what was said of a resource's objects that aren't there any more.
func (g *warnings) keep(resource string, there *kube.Listing[seen]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for object := range g.said {
		of, key, _ := strings.Cut(object, " ")
		if _, ok := there.Get(key); of == resource && !ok {
			delete(g.said, object)
		}
	}
}
