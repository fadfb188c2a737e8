package federation

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// isFolder says what is wrong with a path that is to be a folder's. That there is none
// is no fault: it is made. Nor is it one that it can't be made or written to: what lies
// there is answered from, and that nothing is kept is said, and tried again, by who keeps it.
func isFolder(path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file, not a directory; it needs a folder, which is made where there is none", path)
	}
	return reachable(path, "a folder")
}

// isFile says what is wrong with a path that is to be a file's. That there is none is
// no fault: it may come.
func isFile(path string) error {
	switch info, err := os.Stat(path); {
	case err != nil:
	case info.IsDir():
		return fmt.Errorf("%s is a folder; it needs a file, such as %s", path, filepath.Join(path, "overrides"))
	case info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return fmt.Errorf("%s is a pipe or a socket; it needs a file", path)
	}
	return reachable(path, "a file")
}

// reachable finds a file where a path needs a folder on its way.
func reachable(path, what string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s: %s is a file, not a directory, and nothing can be in it; it needs %s in a folder", path, dir, what)
		case err == nil, dir == filepath.Dir(dir):
			return nil
		}
	}
}

// exposed warns of files with secrets that others may read.
func (s *stanza) exposed() {
	files := []string{s.registry}
	if s.guards.Cookies != "off" {
		files = append(files, s.guards.Cookies)
	}
	for _, p := range s.publish {
		files = append(files, p.kubeconfig)
	}
	for _, c := range s.clusters {
		files = append(files, c.kubeconfig)
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		if why := inputfile.Exposed(file); file != "" && why != "" {
			observe.Log.Warningf("federation %s: %s", s.name, why)
		}
	}
}
