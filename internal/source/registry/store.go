package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/override"
)

// What is kept on disk is what a start needs while the federation's API is down: the
// members, and what leads to them. That includes credentials, so that nobody else
// may read the file.
type kept struct {
	Format   string   `json:"format"`
	Version  int      `json:"version"`
	Registry string   `json:"registry"` // of whose members it tells
	Clusters []line   `json:"clusters"`
	Orders   []posted `json:"orders,omitempty"`
}

type line struct {
	Name       string               `json:"name"`
	Spec       v1alpha1.ClusterSpec `json:"spec"`
	Kubeconfig []byte               `json:"kubeconfig,omitempty"`
	Lost       bool                 `json:"lost,omitempty"`
}

const (
	format  = "fedns-registry"
	version = 1
)

// file is where the members of a federation are kept; "": nowhere.
func (c *Config) file() string {
	if c.State == "" {
		return ""
	}
	return filepath.Join(c.State, c.Federation+".registry")
}

// spell gives what the file is to hold: the same for what is the same.
func spell(of string, entries map[string]entry, orders []posted) ([]byte, error) {
	k := kept{Format: format, Version: version, Registry: of, Clusters: []line{}}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		k.Clusters = append(k.Clusters, line{name, e.spec, e.kubeconfig, e.lost})
	}
	for _, p := range orders {
		if p.Line != "" && !p.Dry {
			k.Orders = append(k.Orders, p)
		}
	}
	return json.Marshal(k)
}

// save writes the file, whole or not at all, in a folder that it makes where there is
// none (any more).
func save(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing, once it has been renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// stands says whether a file is there of the size of what was written. During a reload,
// another registry may have put its own there, which is as good.
func stands(path string, size int) bool {
	there, err := os.Stat(path)
	return err == nil && there.Size() == int64(size)
}

// load reads the file. One that can't be used is set aside, under a name that the
// error tells.
func load(path, of string) (map[string]entry, []posted, error) {
	text, err := inputfile.Read(path, inputfile.Members)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	entries, orders, err := parse(text, of)
	if err == nil {
		return entries, orders, nil
	}
	aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000"))
	if renamed := os.Rename(path, aside); renamed != nil {
		return nil, nil, fmt.Errorf("%q: %w; and it can't be set aside: %w", path, err, renamed)
	}
	return nil, nil, fmt.Errorf("%q: %w; set aside as %q", path, err, aside)
}

func parse(text []byte, of string) (map[string]entry, []posted, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, nil, err
	}
	switch {
	case k.Format != format:
		return nil, nil, errors.New("it isn't what fedns keeps of a registry")
	case k.Version != version:
		return nil, nil, fmt.Errorf("it is of version %d; this server knows version %d", k.Version, version)
	case k.Registry != of:
		return nil, nil, fmt.Errorf("it is of the registry %s, not of %s", k.Registry, of)
	}
	out := map[string]entry{}
	for _, l := range k.Clusters {
		good, wrong := take(v1alpha1.ClusterSpec{}, word{spec: l.Spec})
		out[l.Name] = entry{spec: good, kubeconfig: l.Kubeconfig, wrong: wrong, lost: l.Lost}
	}
	for i := range k.Orders {
		p := &k.Orders[i]
		read, err := override.Parse(p.Line)
		if err != nil || len(read) != 1 {
			return nil, nil, fmt.Errorf("order %s: %q isn't an order: %w", p.Name, p.Line, err)
		}
		p.order = read[0]
	}
	return out, k.Orders, nil
}
