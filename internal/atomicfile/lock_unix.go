//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/fedns/fedns/internal/advice"
)

const (
	// lockPatience is for another fedctl, which holds the lock while it asks for a
	// preview.
	lockPatience = 10 * time.Second
	lockRetry    = 20 * time.Millisecond
)

// Lock takes a lock beside the file that is to be edited: the file itself is
// replaced. It is the kernel's, and gone with whoever held it; its file stays, for
// removing it would let two in at once.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("%s: somebody else is editing: %w", path, err)
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

// sameOwner gives f the owner of another file: root must not make the server's
// file its own.
func sameOwner(of fs.FileInfo, f *os.File) error {
	want, ok := of.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !ok {
		return err
	}
	if have, ok := info.Sys().(*syscall.Stat_t); ok && have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return advice.Errorf("run fedctl as who owns the file, or as root", "%s: would change its owner: %w", of.Name(), err)
	}
	return nil
}
