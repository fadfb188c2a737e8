package mmdb

import (
	"context"
	"os"
	"time"
)

// poll is how often a file is looked at. A look is one system call, and sees what
// notifications miss: a volume mounted anew, a symbolic link that is switched, a file
// on a network.
const poll = time.Second

// Watch reads a database at once, and again whenever its file has changed, until ctx is
// done. It reports what it read or why it couldn't, once for each change, from the
// goroutine it is called in. After an error, the database before is as good as it was.
//
// A change counts when two looks have found the file the same: one that is being written
// is neither read nor complained about, and neither is one that is missing just between
// the old and the new.
func Watch(ctx context.Context, path string, report func(*DB, error)) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()

	var known *state                  // what was reported of
	last, settled := look(path), true // at first there is nothing to wait for
	for ctx.Err() == nil {
		if settled && (known == nil || !known.same(last)) {
			db, err := Open(path)
			if look(path).same(last) { // else it changed meanwhile
				known = new(last)
				report(db, err)
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			now := look(path)
			last, settled = now, now.same(last)
		}
	}
}

// A state is what a look at a file tells.
type state struct {
	info os.FileInfo
	err  error
}

func look(path string) state {
	info, err := os.Stat(path)
	return state{info, err}
}

// same says whether nothing has happened between two looks.
func (s state) same(t state) bool {
	if s.err != nil || t.err != nil {
		return s.err != nil && t.err != nil && s.err.Error() == t.err.Error()
	}
	return s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime()) && os.SameFile(s.info, t.info)
}
