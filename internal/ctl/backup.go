package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/atomicfile"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/ctl/install/backup"
)

// standard is what FILE says for what the command prints, or is given.
const standard = "-"

// backupMode is that of a backup, which has the credentials of all clusters in it.
const backupMode = 0o600

type backups struct {
	reaching
	timeout time.Duration
}

func (c *backups) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.DurationVar(&c.timeout, "timeout", 5*time.Minute, "`DURATION` after which it is given up")
}

func (c *backups) run(ctx context.Context) error {
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		api, _, err := c.open(c.chosen())
		if err != nil {
			return err
		}
		f, err := backup.Take(ctx, api, c.Version, c.Now(), p.say)
		if err != nil {
			return err
		}
		text, err := f.Bytes()
		if err != nil {
			return err
		}
		p.end()
		path := c.positional[0]
		if path == standard {
			_, err := c.Stdout.Write(text)
			return err
		}
		// What was there may be read by others: not what is written over it.
		if err := os.Chmod(path, backupMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := atomicfile.Replace(path, string(text), backupMode); err != nil {
			return err
		}
		c.printf("%s has federation %s: %s, with the credentials of its clusters; whoever can read it can do what fedsync can\n", path, f.Federation, cli.Plural(len(f.Objects), "object"))
		return nil
	})
}

var backupCommand = command{
	name: "backup", args: "FILE", min: 1, max: 1,
	what: "write what the API of a federation holds into a file",
	long: "Write what the API of a federation holds into one file, as it is at one moment: Clusters, Orders, all federated objects, their Secrets, and the clusters' credentials. " +
		"Only you may read the file; with \"-\" it goes to standard output, to be encrypted on its way.",
	example: `# Each night
fedctl backup myfederation.backup --context myfederation

# To what encrypts it
fedctl backup - --context myfederation`,
	make: func(c *call) action { return &backups{reaching: newReaching(c)} },
}

// describe says in words what a file is.
func describe(f *backup.File) string {
	return fmt.Sprintf("backup of federation %s, of %s: %s", f.Federation, f.Taken.Format(time.RFC3339), cli.Plural(len(f.Objects), "object"))
}
