package cluster

import "sync"

// An InlineKubeconfig is a kubeconfig that comes from somebody else, over a network, and may
// change. All of it must stand in the text: who writes it is not who runs this
// server, and must not have it read files or run programs.
type InlineKubeconfig struct {
	origin  string // for errors: whose it is
	changed chan struct{}

	mu      sync.Mutex // guards content
	content []byte
}

// NewInlineKubeconfig is one without content: a Watcher waits for it. origin says in errors
// where it comes from.
func NewInlineKubeconfig(origin string) *InlineKubeconfig {
	return &InlineKubeconfig{origin: origin, changed: make(chan struct{}, 1)}
}

// Set gives it content that Check has nothing against.
func (g *InlineKubeconfig) Set(content []byte) {
	g.mu.Lock()
	g.content = content
	g.mu.Unlock()
	select {
	case g.changed <- struct{}{}:
	default: // it is looked at soon anyway
	}
}

func (g *InlineKubeconfig) get() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.content
}

// Check says what is wrong with the content of an InlineKubeconfig.
func Check(content []byte) error {
	a, err := newAPI(credentials{inline: true, content: content}, "")
	if err != nil {
		return err
	}
	a.close()
	return nil
}
