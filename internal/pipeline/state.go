package pipeline

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/state"
)

const (
	// markPeriod is how often the state says how fresh it is: a restart can't tell
	// the age of what it finds better than that.
	markPeriod = 5 * time.Second
	// stateRetry follows a write that failed, of a full disk for example.
	stateRetry = 10 * time.Second
	// serialSlack is for publications that were shown when the server was killed,
	// and not written yet.
	serialSlack = 2
)

// A keeper keeps the state of one federation on disk. All of it belongs to the
// worker, but for the making of a base.
type keeper struct {
	dir     string
	journal *state.Journal
	pending []state.Record // learned since the last publication
	early   []state.Record // learned of clusters that have not been listed yet
	making  bool           // a base is being made
	anew    bool           // the file tells of a member that has left
	since   []state.Record // published while it is
	retry   time.Time      // when to try again
	failed  string         // why it has to be tried
}

// A based is a base that has been made, or not.
type based struct {
	base *state.Base
	err  error
}

// restore gives the tables what the disk knows of clusters that nothing else is
// known of. They are silent for as long as they have not been heard.
func (w *worker) restore(i int) {
	f := w.federations[i]
	snapshot, err := state.Load(f.State, f.Name)
	if err != nil {
		stateErrors.WithLabelValues(f.Name).Inc()
		w.log.Error(err.Error())
	}
	if s := snapshot.Serial; s != 0 && int32(s+serialSlack-w.estate.Serial) > 0 {
		w.estate.Serial = s + serialSlack
	}
	for name, addrs := range snapshot.Hosts {
		w.saved[name] = addrs
	}
	n := 0
	var oldest time.Duration
	for j, m := range f.Members { // those that sit down after this
		saved := snapshot.Clusters[m.Identity]
		if saved == nil || w.tables[i].Complete(j) {
			continue
		}
		for _, r := range saved.Records {
			for _, c := range r.Changes {
				w.tables[i].Apply(j, c)
			}
		}
		age := max(time.Since(saved.Heard()), 0) // a clock that was set back makes nothing younger
		w.tables[i].Silence(j, Now()-age)
		oldest = max(oldest, age)
		n++
	}
	w.tables[i].Hush()
	if n > 0 {
		w.log.Info("federation "+f.Name+": answers from the state on disk until clusters are listed", "clusters", n, "oldest", oldest.Round(time.Second))
	}
}

// learn notes what a report says for the state.
func (w *worker) learn(r report) {
	k := w.keepers[r.federation]
	if k == nil {
		return
	}
	rec := state.Record{At: time.Now()}
	if r.host != "" {
		rec.Hosts = map[string][]netip.Addr{r.host: r.addrs}
		k.pending = append(k.pending, rec)
		return
	}
	rec.Cluster = r.from.Identity
	for _, c := range r.changes {
		switch c := c.(type) {
		case shard.Silent:
			rec.Silent = c.For
		case shard.Fresh:
		default:
			rec.Changes = append(rec.Changes, c)
		}
	}
	k.pending = append(k.pending, rec)
	if !w.tables[r.federation].Complete(r.cluster) {
		k.early = append(k.early, rec)
	}
}

// forget drops what hasn't been written of a member that has left, and has the rest
// go with the next base: should it join again, nothing is known of it.
func (k *keeper) forget(identity string) {
	of := func(r state.Record) bool { return r.Cluster == identity }
	k.pending, k.early, k.since = slices.DeleteFunc(k.pending, of), slices.DeleteFunc(k.early, of), slices.DeleteFunc(k.since, of)
	k.anew = true
}

// mark notes how fresh the clusters are.
func (w *worker) mark() {
	for i, k := range w.keepers {
		if k == nil {
			continue
		}
		for j, m := range w.seated(i) {
			if w.tables[i].Complete(j) {
				k.pending = append(k.pending, state.Record{Cluster: m.Identity, At: time.Now(), Silent: w.quiet(i, j)})
			}
		}
		w.keep(i)
	}
}

func (w *worker) quiet(i, j int) time.Duration {
	if since, silent := w.tables[i].Silent(j); silent {
		return Now() - since
	}
	return 0
}

// keep writes what has been published. It comes after the publication: an answer
// doesn't wait for a disk.
func (w *worker) keep(i int) {
	k := w.keepers[i]
	if k == nil {
		return
	}
	k.pending = append(k.pending, state.Record{At: time.Now(), Serial: w.board.Load().Serial})
	if k.journal != nil {
		if err := k.journal.Append(k.pending); err != nil {
			w.stateFailed(i, err)
		}
	}
	if k.making {
		k.since = append(k.since, k.pending...)
	}
	k.pending = nil
	if !k.making && (k.journal == nil && !time.Now().Before(k.retry) || k.journal != nil && (k.anew || k.journal.Outgrown())) {
		w.makeBase(i)
	}
}

// makeBase begins a file of all that is known now.
func (w *worker) makeBase(i int) {
	k, f := w.keepers[i], w.federations[i]
	records := []state.Record{{At: time.Now(), Hosts: w.tables[i].Resolutions(), Serial: w.board.Load().Serial}}
	for j, m := range w.seated(i) {
		if w.tables[i].Complete(j) {
			records = append(records, state.Record{Cluster: m.Identity, At: time.Now(), Silent: w.quiet(i, j), Changes: w.tables[i].Holdings(j)})
		}
	}
	if len(records) == 1 {
		return // nothing is known, and an older file may know more
	}
	// Half a list makes no base; it is what the journal begins with.
	k.early = slices.DeleteFunc(k.early, func(r state.Record) bool {
		return w.listed(i, r.Cluster)
	})
	k.making, k.anew, k.since = true, false, slices.Clone(k.early)
	w.wg.Go(func() {
		base, err := state.NewBase(k.dir, f.Name, records)
		if !w.send(w.ctx, report{federation: i, based: &based{base, err}}) && base != nil {
			base.Discard()
		}
	})
}

// listed says whether the cluster of an identity has been listed.
func (w *worker) listed(i int, identity string) bool {
	for j, m := range w.seated(i) {
		if m.Identity == identity {
			return w.tables[i].Complete(j)
		}
	}
	return false
}

// based puts a base in place.
func (w *worker) based(i int, b *based) {
	k := w.keepers[i]
	k.making = false
	if b.err != nil {
		w.stateFailed(i, b.err)
		return
	}
	j, err := b.base.Journal(k.since)
	k.since = nil
	if err != nil {
		w.stateFailed(i, err)
		return
	}
	if k.journal != nil {
		k.journal.Close()
	}
	k.journal = j
	if k.failed != "" {
		w.log.Info("federation " + w.federations[i].Name + ": its state can be kept again")
		k.failed = ""
	}
}

// stateFailed costs the persistence only, and is tried again.
func (w *worker) stateFailed(i int, err error) {
	k := w.keepers[i]
	if k.journal != nil {
		k.journal.Close() // a line may have been written in part: nothing can follow it
		k.journal = nil
	}
	k.retry, k.since = time.Now().Add(stateRetry), nil
	stateErrors.WithLabelValues(w.federations[i].Name).Inc()
	if k.failed != err.Error() {
		k.failed = err.Error()
		w.log.Error("federation " + w.federations[i].Name + ": its state can't be kept: " + k.failed)
	}
}
