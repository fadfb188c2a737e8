//go:build !linux

package node

import (
	"errors"
	"io"
	"os"
)

func openTUN(_, _ string) (*os.File, error) { return nil, errors.ErrUnsupported }

func relay(Link, io.ReadWriteCloser, io.ReadWriteCloser) (stop func()) { return func() {} }
