package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	clog "github.com/coredns/coredns/plugin/pkg/log"
)

// A corefile is the one that this process goes by, as it is before it is read for
// good.
type corefile struct {
	path string // absolute
	text []byte
}

// find finds the Corefile that --conf names, or the usual one.
func find(conf string) (*corefile, error) {
	name := conf
	if name == "" {
		name = caddy.DefaultConfigFile
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && conf == "":
		return nil, fmt.Errorf("there is no %s here, in %s; --conf FILE names one, such as corefile.example", name, filepath.Dir(path))
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the Corefile %s isn't there (--conf)", conf)
	case isFolder(path):
		return nil, fmt.Errorf("the Corefile %s is a directory; --conf names a file%s", name, inside(path))
	case err != nil:
		return nil, fmt.Errorf("the Corefile %s: %w (--conf)", conf, bare(err))
	case len(bytes.TrimSpace(text)) == 0:
		return nil, fmt.Errorf("the Corefile %s is empty; corefile.example shows what can stand in it", name)
	}
	return &corefile{path, text}, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// inside proposes the Corefile in a folder, if there is one.
func inside(folder string) string {
	path := filepath.Join(folder, caddy.DefaultConfigFile)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return ", such as " + path
}

// bare is what is wrong with a file, without its name.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// settle makes relative paths in the Corefile those of its own folder: for every
// plugin alike, which all take them from the working directory. What else is named on
// the command line stays what it is.
func (c *corefile) settle() error {
	if err := flag.Set("conf", c.path); err != nil {
		return err
	}
	if caddy.PidFile != "" {
		path, err := filepath.Abs(caddy.PidFile)
		if err != nil {
			return err
		}
		caddy.PidFile = path
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	folder := filepath.Dir(c.path)
	if folder == here {
		return nil
	}
	if c.elsewhere(folder, here) {
		clog.Infof("relative paths of Corefile %s are those of the working directory, %s: what it names is there, and nothing of it in its own folder", c.path, here)
		return nil
	}
	return os.Chdir(folder)
}

// paths are the properties and plugins whose first value is a path.
var paths = map[string]bool{
	"kubeconfig": true, "manifests": true, "registry": true, "apex": true, "state": true, "overrides": true, "geo": true, "cookies": true,
	"file": true, "root": true, "tls": true,
}

// elsewhere says whether a Corefile was written for the working directory, as all
// once had to be: something that it names is there, and nothing of it beside it.
func (c *corefile) elsewhere(folder, here string) bool {
	blocks, err := caddyfile.Parse(c.path, bytes.NewReader(c.text), nil)
	if err != nil {
		return false // it is said when it is read for good
	}
	found := false
	for _, b := range blocks {
		for _, tokens := range b.Tokens {
			for i, t := range tokens {
				if !paths[t.Text] || i > 0 && tokens[i-1].Line == t.Line && tokens[i-1].File == t.File {
					continue // a value
				}
				if i+1 == len(tokens) || tokens[i+1].Line != t.Line || filepath.IsAbs(tokens[i+1].Text) {
					continue
				}
				name := tokens[i+1].Text
				if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
					return false
				}
				if _, err := os.Stat(filepath.Join(here, name)); err == nil {
					found = true
				}
			}
		}
	}
	return found
}
