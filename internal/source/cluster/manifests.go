package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// poll is how often a folder is looked at. Looking, rather than being told by
// inotify: notifications don't cross NFS and bind mounts, stay with the inode
// where a ConfigMap's symlinks are swapped or an editor renames, and can be lost.
// A change is read at the second look that sees it, so it is answered in well
// under the second that is promised; a stat of a hundred files costs 0.2 ms.
const poll = 100 * time.Millisecond

// away is for how long a folder may be out of sight before the cluster is silent:
// longer than it takes to mount it anew, or to swap it for another.
const away = 5 * time.Second

// FolderConfig says which folder stands for which cluster.
type FolderConfig struct {
	Federation string
	Cluster    topology.ClusterName
	Dir        string
	Selector   labels.Selector // of Services and Ingresses; nil: all
	Local      bool            // the cluster's own domain is answered here
	Log        *slog.Logger    // nil: the default one
}

// A Folder follows manifests as if they were a cluster's API.
type Folder struct {
	FolderConfig
	away    time.Duration
	files   map[string]*file
	broken  string             // what is wrong with the folder itself
	twice   map[[2]string]bool // pairs of files that have been said to hold the same
	gripes  warnings
	heard   atomic.Int64 // Unix nanoseconds
	changed atomic.Int64 // the same
}

// A file is one manifest of the folder.
type file struct {
	seen   os.FileInfo // at the last look; nil: it wasn't there
	read   os.FileInfo // as it was read; nil: it hasn't been
	broken string
	content
}

// content is what a file holds, or held when it could be read last.
type content struct {
	services []chosen[*shard.Service]
	fronts   []chosen[*shard.Frontend]
	slices   []*shard.Slice
	nodes    []shard.Node
	classes  []shard.Class
	unread   []string // what has been left out, said once for a kind and version
	shadow   bool     // something is in a namespace with the federation's name, or is it
}

// A chosen object is one that the selector has looked at. Those it doesn't want
// are remembered by name: they still stand in for what an earlier file says.
type chosen[T any] struct {
	object T
	wanted bool
}

// NewFolder checks that the folder is there. It reads nothing yet.
func NewFolder(c FolderConfig) (*Folder, error) {
	info, err := os.Stat(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("manifests %q: not a folder", c.Dir)
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Selector == nil {
		c.Selector = labels.Everything()
	}
	f := &Folder{FolderConfig: c, away: away, files: map[string]*file{}, twice: map[[2]string]bool{}}
	f.gripes.init(c.Log, "cluster "+string(c.Cluster)+": ")
	return f, nil
}

// Heard is when the folder was last looked at without an error; zero: never.
func (f *Folder) Heard() time.Time { return moment(&f.heard) }

// Changed is when the folder or a file that counts was changed last; zero: it isn't known.
func (f *Folder) Changed() time.Time { return moment(&f.changed) }

// date notes when what is reported was changed. That files come and go is a change of the
// folder.
func (f *Folder) date() {
	var infos []os.FileInfo
	if info, err := os.Stat(f.Dir); err == nil {
		infos = append(infos, info)
	}
	for _, file := range f.files {
		if file.read != nil {
			infos = append(infos, file.read)
		}
	}
	for _, info := range infos {
		f.changed.Store(max(f.changed.Load(), info.ModTime().UnixNano()))
	}
}

// Run reports what the manifests say, until ctx ends. It can be called once.
func (f *Folder) Run(ctx context.Context, report func(...shard.Change)) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	seen, silent := time.Now(), false
	for listed := false; ; {
		changed, quiet := f.look()
		switch {
		case f.broken == "":
			seen = time.Now()
		case !silent && time.Since(seen) >= f.away:
			silent = true
			f.Log.Error(fmt.Sprintf("cluster %s: silent for %s: what is known of it stays", f.Cluster, round(time.Since(seen))))
			report(shard.Silent{For: time.Since(seen)})
		}
		if silent {
			// Once it is back, all of it is told again, but not before what has
			// changed meanwhile has been read.
			changed = quiet
		}
		// Files that can't be read at first are like objects that aren't there: the
		// others can be served, and there is nothing older to keep. A folder that
		// can't be looked at is not like an empty one.
		if first := !listed && !f.Heard().IsZero(); first || changed {
			m := f.merge()
			if first {
				f.Log.Info(fmt.Sprintf("cluster %s: listed %d services, %d ingresses, %d slices, %d nodes",
					f.Cluster, len(m.services), len(m.ingresses), len(m.slices), len(m.nodes)))
			}
			f.tell(m, report)
			listed, silent = true, false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *Folder) tell(m *whole, report func(...shard.Change)) {
	f.date()
	for _, resource := range []string{"services", "ingresses", "slices", "nodes"} {
		clusterLists.WithLabelValues(f.Federation, string(f.Cluster), resource).Inc()
	}
	if f.Local {
		report(shard.Shadowed{Is: m.shadow})
	}
	changes := []shard.Change{shard.ServiceList{Kind: snapshot.Svc, Services: m.services}}
	for _, k := range shard.GatewayAPI { // before what makes the cluster known
		changes = append(changes, shard.FrontendList{Kind: k, Frontends: m.fronts[k]})
	}
	for _, text := range m.unread {
		changes = append(changes, shard.SourceNotice{Kind: shard.Unread, Text: "manifests " + f.Dir + ": " + text})
	}
	report(append(changes,
		shard.ClassList{Kind: shard.Ingress, Classes: m.classes[shard.Ingress]},
		shard.ClassList{Kind: shard.Gateway, Classes: m.classes[shard.Gateway]},
		shard.StandbyList{Services: m.standby},
		shard.ServiceList{Kind: snapshot.Ing, Services: m.ingresses},
		shard.SliceList{Slices: m.slices},
		shard.NodeList{Nodes: m.nodes},
		shard.Fresh{},
	)...)
}

// look finds the files that have changed, reads them, and says whether anything
// did. A change is acted upon once the file has been still from one look to the
// next, so that a file is not often met half-written, and one that an editor
// removes before it writes it anew is not missed. At the first look there is
// nothing to serve instead, and no waiting. When all is quiet, no such change is
// on its way.
func (f *Folder) look() (changed, quiet bool) {
	first := f.Heard().IsZero()
	now, err := f.list()
	if err != nil {
		f.complain(&f.broken, err)
		return false, false
	}
	f.heard.Store(time.Now().UnixNano())
	f.relieve(&f.broken, f.Dir)
	for name := range now {
		if f.files[name] == nil {
			f.files[name] = &file{}
		}
	}
	quiet = true
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		at, file := now[name], f.files[name]
		if at.err != nil {
			f.complain(&file.broken, at.err)
			continue
		}
		still := first || same(at.info, file.seen)
		file.seen = at.info
		switch {
		case !still:
			quiet = false
		case at.info == nil:
			delete(f.files, name)
			changed = true
		case !same(at.info, file.read):
			changed = f.read(filepath.Join(f.Dir, name), file) || changed
			if first && time.Since(at.info.ModTime()) < poll {
				file.read = nil // it may be being written this very moment: once more
			}
		}
	}
	return changed, quiet
}

// A seenFile is a file at a look.
type seenFile struct {
	info os.FileInfo
	err  error
}

func (f *Folder) list() (map[string]seenFile, error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	out := map[string]seenFile{}
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" && ext != ".json" {
			continue
		}
		path := filepath.Join(f.Dir, name)
		info, err := os.Stat(path) // of what a symlink leads to
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			out[name] = seenFile{err: err}
		case info.Mode().IsRegular():
			out[name] = seenFile{info: info}
		case f.files[name] != nil || !info.IsDir(): // where a file was, something else doesn't say that what it held is gone
			r, err := inputfile.Open(path, inputfile.Manifests)
			if err == nil { // it is one by now
				r.Close()
				err = fmt.Errorf("manifests: read %s: it changes", path)
			}
			out[name] = seenFile{err: err}
		}
	}
	return out, nil
}

// read takes in a file, or keeps what it held before if it is no good.
func (f *Folder) read(path string, file *file) (changed bool) {
	r, err := inputfile.Open(path, inputfile.Manifests)
	switch {
	case errors.Is(err, fs.ErrNotExist): // since the look; the next will know
		return false
	case err != nil:
		f.complain(&file.broken, err)
		return false // and it is tried again: no stat tells when it can be opened
	}
	defer r.Close()
	var c content
	err = decode(path, r, func(o *object) { f.take(&c, o) })
	var wrong *lineError
	switch {
	case errors.As(err, &wrong):
		f.complain(&file.broken, fmt.Errorf("%s:%w", path, err))
		file.read = file.seen
		return false
	case err != nil:
		f.complain(&file.broken, err)
		return false
	}
	f.relieve(&file.broken, path)
	c.keep(&file.content)
	file.content, file.read = c, file.seen
	return true
}

// keep has what is as it was before be the same object, which others share: else there would be each twice after every change of
// a file. Lists are no longer than they need to be.
func (c *content) keep(old *content) {
	services := make(map[snapshot.Key]*shard.Service, len(old.services))
	for _, s := range old.services {
		services[s.object.Key] = s.object
	}
	c.services = slices.Clone(c.services)
	for i := range c.services {
		if s := &c.services[i]; services[s.object.Key] != nil && services[s.object.Key].Equal(s.object) {
			s.object = services[s.object.Key]
		}
	}
	endpoints := make(map[shard.SliceKey]*shard.Slice, len(old.slices))
	for _, s := range old.slices {
		endpoints[s.Key] = s
	}
	c.slices = slices.Clone(c.slices)
	for i, s := range c.slices {
		if was := endpoints[s.Key]; was != nil && was.Equal(s) {
			c.slices[i] = was
		}
	}
}

func (f *Folder) take(c *content, o *object) {
	wanted := f.Selector.Matches(labels.Set(o.Metadata.Labels))
	if o.Metadata.Namespace == f.Federation || o.Kind == "Namespace" && o.Metadata.Name == f.Federation {
		c.shadow = true
	}
	if o.strange() {
		if text := o.unread(); !slices.Contains(c.unread, text) {
			c.unread = append(c.unread, text)
		}
		return
	}
	switch o.Kind {
	case "Service", "Ingress":
		s := &shard.Service{}
		var problems []string
		switch {
		case !wanted && o.Kind == "Ingress":
			s.Key = snapshot.Key{Namespace: intern(o.Metadata.Namespace), Name: o.Metadata.Name, Kind: snapshot.Ing}
		case !wanted:
			s = standby(o.service())
		case o.Kind == "Service":
			s, problems = service(o.service(), f.Local)
		default:
			s, problems = ingress(o.ingress())
		}
		f.gripes.say(s.Key.String(), problems)
		c.services = append(c.services, chosen[*shard.Service]{s, wanted})
	case "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "ListenerSet", "XListenerSet":
		s, problems := o.front()
		if wanted {
			f.gripes.say(s.Key.String(), problems)
		}
		c.fronts = append(c.fronts, chosen[*shard.Frontend]{s, wanted})
	case "EndpointSlice":
		e := o.slice()
		if s, ok := slice(e, f.Local && headless(&e.ObjectMeta)); ok {
			c.slices = append(c.slices, s)
		}
	case "Node":
		c.nodes = append(c.nodes, o.node())
	case "IngressClass", "GatewayClass":
		m := o.meta()
		k, problems := class(shard.FrontendKind(intern(strings.TrimSuffix(o.Kind, "Class"))), &m)
		f.gripes.say(o.Kind+" "+m.Name, problems)
		c.classes = append(c.classes, k)
	}
}

// complain logs an error and counts it, unless it is what was wrong already.
func (f *Folder) complain(broken *string, err error) {
	if *broken != err.Error() {
		*broken = err.Error()
		f.Log.Error("manifests: " + *broken)
		manifestErrors.WithLabelValues(f.Federation, string(f.Cluster)).Inc()
	}
}

func (f *Folder) relieve(broken *string, path string) {
	if *broken != "" {
		*broken = ""
		f.Log.Info("manifests: " + path + " can be read again")
	}
}
