// Package inputfile reads the files that these programs are given: orders, secrets, zone
// files, manifests, kubeconfigs.
//
// Who may write into a folder may put anything there. A pipe has its reader wait for
// somebody to write, a link leads to what only the reader may see, and a file can be larger
// than memory. So only regular files are read, up to a size, and links only within the
// folder: those of a volume that Kubernetes has made of a ConfigMap or a Secret are such.
// It is looked at what was opened, not at what had the name before.
package inputfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The sizes, in bytes, of files that are read whole. Each is ten times what the largest
// federation that was tried needs, or more.
const (
	Orders     = 4 << 20   // 20,000 of them
	Secrets    = 64 << 10  // as cookies have them, of some 70 bytes each
	Kubeconfig = 4 << 20   // with some 1,000 clusters
	Manifests  = 256 << 20 // 10,000 Services with their slices are 20 MB
	Zone       = 256 << 20 // two million records
	Members    = 256 << 20 // of a registry, each with its kubeconfig
	Database   = 4 << 30   // of where clients are; the largest that are sold have 0.5 GB
)

// Any is for files that are read bit by bit.
const Any = 1<<63 - 1

// Open opens a regular file of at most so many bytes.
func Open(path string, most int64) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, named(err, path)
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Base(path), os.O_RDONLY|nonblocking, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path); err != nil {
			return nil, named(err, path) // a link to itself, say
		}
		// A link may spell the folder that it is in.
		name, within := inside(path)
		if !within {
			return nil, wrong(path, "is a link that leads out of its folder: name what it leads to")
		}
		f, err = root.OpenFile(name, os.O_RDONLY|nonblocking, 0)
	}
	if err != nil {
		return nil, named(err, path)
	}
	return checked(f, path, most)
}

// Append opens a regular file to write on behind what it has, and makes it if it isn't there: of a pipe that nobody
// reads, the writer would wait. Links lead nowhere out of its folder.
func Append(path string) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, named(err, path)
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Base(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY|nonblocking, 0o600)
	if err != nil {
		return nil, named(err, path)
	}
	return checked(f, path, Any)
}

// checked is a file that was opened, if it is a regular one of at most so many bytes.
func checked(f *os.File, path string, most int64) (*os.File, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		err = named(err, path)
	case !info.Mode().IsRegular():
		err = wrong(path, "is %s, not a regular file", kind(info.Mode()))
	case info.Size() > most:
		err = tooLong(path, most)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// Read reads a regular file of at most so many bytes, also of one that grows meanwhile.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil {
		b.Grow(int(info.Size()) + bytes.MinRead) // at once: there are large ones
	}
	switch n, err := b.ReadFrom(io.LimitReader(f, most+1)); {
	case err != nil:
		return nil, named(err, path)
	case n > most:
		return nil, tooLong(path, most)
	}
	return b.Bytes(), nil
}

func tooLong(path string, most int64) error {
	return wrong(path, "has more than %d bytes, as many as are read", most)
}

// wrong is an error about a file that is there.
func wrong(path, format string, v ...any) error {
	return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf(format, v...)}
}

// named is an error about a file in the words of package os for whoever opens it by its path.
func named(err error, path string) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return &fs.PathError{Op: "open", Path: path, Err: at.Err}
	}
	return err
}

// inside is what a path leads to, from its folder; false: it isn't below that.
func inside(path string) (name string, within bool) {
	real, err := resolved(path)
	folder, err2 := resolved(filepath.Dir(path))
	if err != nil || err2 != nil {
		return filepath.Base(path), true // opening it says what is wrong
	}
	name, err = filepath.Rel(folder, real)
	return name, err == nil && filepath.IsLocal(name)
}

// resolved is a path from the root, without links.
func resolved(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// kind is what a file is that is none.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
