package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/ctl/install/backup"
)

type restoring struct {
	reaching
	timeout time.Duration
	dry     bool
}

func (c *restoring) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.DurationVar(&c.timeout, "timeout", 10*time.Minute, "`DURATION` after which it is given up; it can be run again, and goes on")
	fs.BoolVar(&c.dry, "dry-run", false, "write nothing; say whether the file is whole, and can be restored there")
}

func (c *restoring) run(ctx context.Context) error {
	path := c.positional[0]
	f, err := c.read(path)
	if err != nil {
		return err
	}
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		api, _, err := c.open(c.chosen())
		if err != nil {
			return err
		}
		if c.dry {
			if err := f.Check(ctx, api); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			c.printf("%s can be restored into %s: %s\nnothing is done\n", path, api.Server, describe(f))
			return nil
		}
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this host's name: %w", err)
		}
		res, err := f.Restore(ctx, api, fmt.Sprintf("fedctl-restore-%s-%d-%d", host, os.Getpid(), c.Now().UnixNano()), p.say)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		p.end()
		c.printf("federation %s has %s of it again, and %s\n", f.Federation, cli.Plural(res.Objects, "object"), cli.Plural(res.Clusters, "cluster"))
		if res.Deleted > 0 {
			c.printf("%s that were being deleted go on being so\n", cli.Plural(res.Deleted, "object"))
		}
		if res.Unsaid > 0 {
			c.printf("the API doesn't take the status of %s; fedsync tells it anew\n", cli.Plural(res.Unsaid, "object"))
		}
		c.printf("%s\n", c.typed("next: fedctl --context="+f.Federation+" get clusters"))
		return nil
	})
}

// read reads a file, or what the command is given.
func (c *restoring) read(path string) (*backup.File, error) {
	in := c.Input
	if path == standard {
		if in == nil {
			return nil, misused(&c.command, "restore: there is no standard input")
		}
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, unread(path, err)
		}
		defer f.Close()
		in = f
	}
	f, err := backup.Read(in)
	if err != nil {
		return nil, unread(path, err)
	}
	return f, nil
}

// unread says why a file can't be restored.
func unread(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: there is no file of this name", path)
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is said
	}
	return fmt.Errorf("%s: %w", path, err)
}

var restoreCommand = command{
	name: "restore", args: "FILE", min: 1, max: 1,
	what: "put a backup into the API of a federation",
	long: "Put a backup into the API of the federation that it is of, which fedctl init has set up anew. The clusters go on meanwhile with what they have: nothing in them is deleted, or made twice. " +
		"fedsync stays away until all of it is there.",
	example: `# Into what init has set up
fedctl restore myfederation.backup --context myfederation

# Is the file whole, and can it be restored?
fedctl restore myfederation.backup --context myfederation --dry-run

# From what decrypts it
fedctl restore - --context myfederation`,
	make: func(c *call) action { return &restoring{reaching: newReaching(c)} },
}
