package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fedns/fedns/internal/pipeline/journal"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

const (
	// markPeriod is how often the state says how fresh it is: a restart can't tell
	// the age of what it finds better than that.
	markPeriod = 5 * time.Second
	// checkPeriod is how often it is looked whether the file is still there, where
	// nothing is written to it.
	checkPeriod = time.Second
	// stateRetry follows a write that failed, of a full disk for example.
	stateRetry = 5 * time.Second
	// A file that has been lost more than so often, each time within quarrel of the one
	// before, is written by somebody else too: to be quicker than he is leads nowhere.
	losses  = 3
	quarrel = time.Minute
)

// A stateWriter keeps the state of one federation on disk. All of it belongs to the
// worker, but for the making of a base.
type stateWriter struct {
	dir     string
	at      string // where the configuration says so
	name    string // of the federation
	journal *journal.Journal
	pending []journal.Record // learned since the last publication
	early   []journal.Record // learned of clusters that have not been listed yet
	making  bool             // a base is being made
	anew    bool             // the file tells of a member that has left
	since   []journal.Record // published while it is
	retry   time.Time        // when to try again
	failed  string           // why it has to be tried
	lost    time.Time        // when the file was last found to be lost
	losses  int              // how often so lately
	quiet   time.Time        // it isn't over before
	failing *atomic.Bool     // for the gauge
}

// writers are the state writers of this process by what they keep, the newest last: it is
// the one that writes. During a reload there are two of one file.
var writers struct {
	sync.Mutex
	list []*stateWriter
}

func (k *stateWriter) open() {
	writers.Lock()
	defer writers.Unlock()
	writers.list = append(writers.list, k)
}

func (k *stateWriter) close() {
	writers.Lock()
	writers.list = slices.DeleteFunc(writers.list, func(o *stateWriter) bool { return o == k })
	writers.Unlock()
	k.cease()
}

// cease lets go of the file.
func (k *stateWriter) cease() {
	if k.journal != nil {
		_ = k.journal.Close() // what was written was synced then, or said to have failed
		k.journal = nil
	}
}

// writes says whether the file is this writer's.
func (k *stateWriter) writes() bool {
	writers.Lock()
	defer writers.Unlock()
	for _, o := range slices.Backward(writers.list) {
		if o.dir == k.dir && o.name == k.name {
			return o == k
		}
	}
	return false
}

// restore gives the tables what the disk knows of clusters that nothing else is
// known of. They are silent for as long as they have not been heard.
func (w *worker) restore(i int) {
	f := w.federations[i]
	made, found, unfit := journal.Prepare(f.State, f.Name)
	switch {
	case unfit != nil: // that is said below; what there is can be read all the same
	case made:
		w.log.Info(fmt.Sprintf("federation %s: neither the folder of its state, %s, nor a state was there; both are made%s", f.Name, f.State, said(f.StateAt)))
	case !found:
		w.log.Info(fmt.Sprintf("federation %s: there was no state of it in %s; one is made%s", f.Name, f.State, said(f.StateAt)))
	}
	known, err := journal.Load(f.State, f.Name)
	if err != nil {
		stateErrors.WithLabelValues(f.Name).Inc()
		w.log.Error(err.Error())
	} else if known.Torn > 0 {
		w.log.Warn("federation "+f.Name+": the state on disk ends in the middle of a line, as if the server had been killed while it wrote, or the file been cut; it is used up to there", "bytes", known.Torn)
	}
	if err := journal.Sweep(f.State, f.Name); err != nil {
		w.log.Warn("federation " + f.Name + ": its state: " + err.Error())
	}
	if unfit != nil {
		w.stateFailed(i, unfit)
	}
	if known.Serial != 0 {
		before := snapshot.Version{Serial: known.Serial, Due: known.Serial, Digest: known.Digest}
		w.imported.Version, w.restored = w.imported.Version.Latest(before), true
	}
	for name, addrs := range known.Hosts {
		w.saved[name] = addrs
	}
	if _, ok := w.imported.Failovers[f.Name]; !ok { // else a reload knows better
		w.tables[i].RestoreFailovers(leadsOf(known.Leads))
	}
	if _, ok := w.imported.Recents[f.Name]; !ok {
		w.tables[i].RestoreRecents(recentsOf(known.Recent))
	}
	if _, ok := w.imported.Holders[f.Name]; !ok {
		w.tables[i].RestoreHolders(known.Holders)
	}
	if len(known.Clusters) > 0 {
		w.tables[i].Remember()
	}
	n := 0
	var oldest time.Duration
	for j, m := range f.Members { // those that are attached after this
		saved := known.Clusters[m.Identity]
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
		if saved.Doubtful() {
			w.tables[i].MarkPartial(j)
		}
		w.tables[i].MarkAnswered(j)
		oldest = max(oldest, age)
		n++
	}
	w.tables[i].DropAnnouncements()
	if n > 0 {
		w.log.Info("federation "+f.Name+": answers from the state on disk until clusters are listed", "clusters", n, "oldest", oldest.Round(time.Second))
	}
}

// learnHost notes the addresses of a load balancer's name for the state.
func (w *worker) learnHost(i int, host string, addrs []netip.Addr) {
	if k := w.keepers[i]; k != nil {
		k.pending = append(k.pending, journal.Record{At: time.Now(), Hosts: map[string][]netip.Addr{host: addrs}})
	}
}

// learnChanges notes what a source says for the state.
func (w *worker) learnChanges(i, j int, from *slot, changes []shard.Change) {
	k := w.keepers[i]
	if k == nil {
		return
	}
	rec := journal.Record{Cluster: from.Identity, At: time.Now()}
	for _, c := range changes {
		switch c := c.(type) {
		case shard.Silent:
			rec.Silent = c.For
		case shard.Fresh:
		default:
			rec.Changes = append(rec.Changes, c)
		}
	}
	k.pending = append(k.pending, rec)
	if !w.tables[i].Complete(j) {
		k.early = append(k.early, rec)
	}
}

// forget drops what hasn't been written of a member that has left, and has the rest
// go with the next base: should it join again, nothing is known of it.
func (k *stateWriter) forget(identity string) {
	of := func(r journal.Record) bool { return r.Cluster == identity }
	k.pending, k.early, k.since = slices.DeleteFunc(k.pending, of), slices.DeleteFunc(k.early, of), slices.DeleteFunc(k.since, of)
	k.anew = true
}

// ledOf gives leads the times of the wall clock.
func ledOf(leads map[snapshot.Key]shard.Failovers) (out []journal.Led) {
	wall, now := time.Now(), Now()
	for k, ls := range leads {
		l := journal.Led{Key: k}
		for f, lead := range ls {
			l.Policy = lead.Policy
			p := &l.Places[f]
			p.Active, p.Done = lead.Active, lead.Done
			for _, since := range lead.Since {
				at := time.Time{}
				if since != shard.Never {
					at = wall.Add(since - now).UTC()
				}
				p.Since = append(p.Since, at)
			}
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b journal.Led) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// leadsOf gives them back those of this program's clock. What a clock that was set back
// has in the future began now.
func leadsOf(list map[snapshot.Key]journal.Led) map[snapshot.Key]shard.Failovers {
	wall, now := time.Now(), Now()
	out := map[snapshot.Key]shard.Failovers{}
	for k, l := range list {
		var leads shard.Failovers
		for f, p := range l.Places {
			lead := shard.Failover{Active: p.Active, Policy: l.Policy, Done: p.Done}
			for _, at := range p.Since {
				since := shard.Never
				if !at.IsZero() {
					since = now - max(wall.Sub(at), 0)
				}
				lead.Since = append(lead.Since, since)
			}
			leads[f] = lead
		}
		out[k] = leads
	}
	return out
}

// recentOf gives what is remembered of shards that came or went the times of the wall clock.
func recentOf(all map[snapshot.Key][]snapshot.Recent) (out []journal.Recent) {
	wall, now := time.Now(), Now()
	for k, places := range all {
		r := journal.Recent{Key: k}
		for _, p := range places {
			r.Places = append(r.Places, journal.RecentPlace{Place: p.Place, Until: wall.Add(p.Until - now).UTC()})
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b journal.Recent) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// recentsOf gives it back those of this program's clock. By a clock that was set back none lasts
// longer than if the shard had come or gone now.
func recentsOf(all map[snapshot.Key][]journal.RecentPlace) map[snapshot.Key][]snapshot.Recent {
	wall, now := time.Now(), Now()
	out := map[snapshot.Key][]snapshot.Recent{}
	for k, places := range all {
		for _, p := range places {
			if left := p.Until.Sub(wall); left > 0 {
				out[k] = append(out[k], snapshot.Recent{Place: p.Place, Until: now + min(left, table.Settling)})
			}
		}
	}
	return out
}

// mark notes how fresh the clusters are.
func (w *worker) mark() {
	for i, k := range w.keepers {
		if k == nil {
			continue
		}
		for j, m := range w.slotsOf(i) {
			if w.tables[i].Complete(j) {
				k.pending = append(k.pending, journal.Record{Cluster: m.Identity, At: time.Now(), Silent: w.quiet(i, j)})
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
	pending := slices.Concat(k.pending, []journal.Record{w.versioned(journal.Record{
		At: time.Now(), Leads: ledOf(w.tables[i].ChangedFailovers()), Recent: recentOf(w.tables[i].ChangedRecents(Now())),
		Holders: w.tables[i].ChangedHolders(),
	})})
	k.pending = nil
	switch {
	case !k.writes():
		k.cease() // of a reload's, which knows all this too
		return
	case k.journal != nil:
		if err := k.journal.Append(pending); err != nil {
			k.cease() // a line may have been written in part: nothing can follow it
			w.stateFailed(i, err)
		}
	case k.failed != "" && !k.making:
		stateErrors.WithLabelValues(k.name).Inc()
	}
	if k.making {
		k.since = append(k.since, pending...)
	}
	w.renewBase(i)
}

// versioned is a record that says of which version what is answered is.
func (w *worker) versioned(r journal.Record) journal.Record {
	v := w.board.Load().Version
	r.Serial, r.Digest = v.Due, v.Digest
	return r
}

// checkStates finds out whether the files are still there, and tries again what has
// failed.
func (w *worker) checkStates() {
	for i, k := range w.keepers {
		if k == nil || !k.writes() {
			continue
		}
		if k.journal != nil {
			if err := k.journal.Check(); err != nil {
				k.cease()
				w.stateFailed(i, err)
			} else if !k.outdated() {
				w.stateKept(i)
			}
		}
		w.renewBase(i)
	}
}

// renewBase begins a base where one is needed.
func (w *worker) renewBase(i int) {
	k := w.keepers[i]
	if !k.making && !time.Now().Before(k.retry) && (k.journal == nil || k.outdated()) {
		w.makeBase(i)
	}
}

// outdated says whether there is a file that is good, but should be a shorter one.
func (k *stateWriter) outdated() bool { return k.anew || k.journal.Outgrown() }

// makeBase begins a file of all that is known now.
func (w *worker) makeBase(i int) {
	k, f := w.keepers[i], w.federations[i]
	records := []journal.Record{w.versioned(journal.Record{At: time.Now(), Hosts: w.tables[i].Resolutions()})}
	for j, m := range w.slotsOf(i) {
		if w.tables[i].Complete(j) {
			records = append(records, journal.Record{Cluster: m.Identity, At: time.Now(), Silent: w.quiet(i, j), Changes: w.tables[i].Export(j), Doubtful: w.tables[i].Partial(j)})
		}
	}
	if len(records) == 1 {
		return // nothing is known, and an older file may know more
	}
	for _, l := range ledOf(w.tables[i].Failovers()) {
		records = append(records, journal.Record{At: time.Now(), Leads: []journal.Led{l}}) // a line each
	}
	if held := w.tables[i].Holders(); len(held) > 0 {
		records = append(records, journal.Record{At: time.Now(), Holders: held})
	}
	for _, r := range recentOf(w.tables[i].Recents(Now())) {
		records = append(records, journal.Record{At: time.Now(), Recent: []journal.Recent{r}})
	}
	// Half a list makes no base; it is what the journal begins with.
	k.early = slices.DeleteFunc(k.early, func(r journal.Record) bool {
		return w.listed(i, r.Cluster)
	})
	k.making, k.anew, k.since = true, false, slices.Clone(k.early)
	w.wg.Go(func() {
		base, err := journal.NewBase(k.dir, f.Name, records)
		if !w.send(w.ctx, func(w *worker) { w.based(i, base, err) }) && base != nil {
			base.Discard()
		}
	})
}

// listed says whether the cluster of an identity has been listed.
func (w *worker) listed(i int, identity string) bool {
	for j, m := range w.slotsOf(i) {
		if m.Identity == identity {
			return w.tables[i].Complete(j)
		}
	}
	return false
}

// based puts a base in place that has been made, or not.
func (w *worker) based(i int, base *journal.Base, err error) {
	k := w.keepers[i]
	k.making = false
	since := k.since
	k.since = nil
	if !k.writes() {
		if base != nil {
			base.Discard()
		}
		return
	}
	var j *journal.Journal
	if err == nil {
		j, err = base.Journal(since)
	}
	if err != nil {
		k.anew = true // what there is goes on until then
		w.stateFailed(i, err)
		return
	}
	k.cease()
	k.journal = j
	w.stateKept(i)
}

// stateFailed costs the persistence only, and is tried again. A file that is gone is
// written anew at once: nothing says that it can't be.
func (w *worker) stateFailed(i int, err error) {
	k := w.keepers[i]
	now := time.Now()
	k.retry, k.quiet = now.Add(stateRetry), now
	text := err.Error()
	if errors.Is(err, journal.ErrLost) {
		text += "; it is written anew"
		if now.Sub(k.lost) >= quarrel {
			k.losses = 0
		}
		k.lost = now
		if k.losses++; k.losses > losses {
			k.quiet = now.Add(quarrel)
			text += ", as often before: does another server keep its state there?"
		} else {
			k.retry = now
		}
	}
	k.failing.Store(true)
	stateErrors.WithLabelValues(k.name).Inc()
	if k.failed != text {
		k.failed = text
		w.log.Error("federation " + k.name + ": its state can't be kept: " + text + said(k.at) + fit(err))
	}
}

// fit says what folder would be right, where it is the folder that is wrong.
func fit(err error) string {
	switch {
	case errors.Is(err, journal.ErrLost):
		return ""
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("; it needs a folder that %s may write to", self())
	case errors.Is(err, fs.ErrNotExist):
		return "; it needs a folder that can be made"
	case errors.Is(err, syscall.ENOTDIR):
		return "; it needs a folder, not a file"
	}
	return ""
}

// said is where the configuration says something, behind what is said of it.
func said(at string) string {
	if at == "" {
		return ""
	}
	return " (" + at + ")"
}

// self is who this process is to a file system.
func self() string {
	if uid := os.Getuid(); uid >= 0 {
		return fmt.Sprintf("user %d, as whom fedns runs,", uid)
	}
	return "fedns"
}

// stateKept notes that all that is known is on disk.
func (w *worker) stateKept(i int) {
	k := w.keepers[i]
	if k.failed == "" || time.Now().Before(k.quiet) {
		return
	}
	w.log.Info("federation " + k.name + ": its state can be kept again")
	k.failed = ""
	k.failing.Store(false)
}

// historyFailed says of the events of a federation that they can't be kept, or can be again.
func (w *worker) historyFailed(federation string) func(error) {
	return func(err error) {
		if err == nil {
			w.log.Info("federation " + federation + ": its events can be kept again")
			return
		}
		w.log.Warn("federation " + federation + ": its events can't be kept: " + err.Error())
	}
}
