//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package atomicfile

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/fedns/fedns/internal/advice"
)

// Lock makes a file that nobody else may have made. It is left behind by whoever
// is killed meanwhile.
func Lock(_ context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, advice.Errorf("remove it if no other fedctl is running", "%s: somebody else is editing", path)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		f.Close()
		os.Remove(path)
	}, nil
}

func sameOwner(fs.FileInfo, *os.File) error { return nil }
