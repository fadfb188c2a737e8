package federation

import (
	"context"
	"os"
	"time"

	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// filePoll is how often the files that are edited by hand are looked at.
const filePoll = time.Second

// A followedFile is a file that is read again when it has changed.
type followedFile struct {
	path string
	read func() error
	last stamp
}

// A stamp tells two states of a file apart.
type stamp struct {
	size int64
	mod  time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// files lists the files of f: those with static records and with secrets.
func (f *Federation) files(ctx context.Context) []followedFile {
	var out []followedFile
	for _, d := range f.Domains {
		if d.File == "" {
			continue
		}
		out = append(out, followedFile{path: d.File, read: func() error {
			a, err := zone.OpenStatic(d.Name, d.File, d.Reserved)
			if err != nil {
				return err
			}
			if err := f.Publish(d, a); err != nil {
				return err
			}
			f.pipe.UpdateStatic(ctx, f.static())
			observe.Log.Infof("apex file %q: %d static records of %s", d.File, len(a.Records), d.Name)
			return nil
		}})
	}
	if file := f.Guards.Cookies; file != "" && file != "off" {
		out = append(out, followedFile{path: file, read: func() error {
			jar, err := openKeyring(file)
			if err != nil {
				return err
			}
			f.Keyring.Store(jar)
			f.Rotate()
			observe.Log.Infof("cookies: %q: new secrets", file)
			return nil
		}})
	}
	for i := range out {
		out[i].last = stampOf(out[i].path)
	}
	return out
}

// follow takes in changes of those files until ctx ends. A file that has become
// wrong leaves what it said last.
func (f *Federation) follow(ctx context.Context) {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	files := f.files(ctx)
	f.signing.look(time.Now())
	signed := f.signing.editions(time.Now())
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f.signing.look(time.Now())
		if is := f.signing.editions(time.Now()); is != signed {
			signed = is
			f.pipe.UpdateStatic(ctx, f.static())
		}
		for i := range files {
			now := stampOf(files[i].path)
			if now == files[i].last {
				continue
			}
			files[i].last = now
			if err := files[i].read(); err != nil {
				observe.Log.Errorf("%v; what it said last stays", err)
			}
		}
	}
}
