package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Snapshot is what a file says.
type Snapshot struct {
	Clusters map[string]*Saved // by identity
	Hosts    map[string][]netip.Addr
	Serial   uint32 // that was shown last; 0: not known
	Digest   uint64 // of what it was the serial of; 0: not known
	Leads    map[snapshot.Key]Led
	Recent   map[snapshot.Key][]RecentPlace
	Holders  map[string]string
	// Damaged says that some of the file was lost.
	Damaged bool
	// Torn is how many bytes at the end are of a line that was cut short, as it is when
	// a server is killed while it writes.
	Torn int
}

// A Saved is what a file says of one cluster: the lists and what followed them,
// and when it was last known to be so.
type Saved struct {
	Records []Record
}

// Heard is when the cluster was last known to speak: the last time that a record has,
// less the silence it tells of.
func (s Saved) Heard() time.Time {
	for _, r := range slices.Backward(s.Records) {
		if !r.At.IsZero() {
			return r.At.Add(-r.Silent)
		}
	}
	return time.Time{}
}

// Doubtful says whether some of what was known of the cluster was lost: what isn't here
// may be there all the same.
func (s Saved) Doubtful() bool {
	return slices.ContainsFunc(s.Records, func(r Record) bool { return r.Doubtful })
}

// path is the file of a federation in a folder.
func path(dir, federation string) string { return filepath.Join(dir, federation+".state") }

// draft begins the names of files that aren't whole yet.
func draft(federation string) string { return "." + federation + ".state-" }

// Sweep removes what servers that were killed have left behind while they made a base.
func Sweep(dir, federation string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), draft(federation)) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// Load reads the state of a federation; it is empty if there is none. Of a damaged
// file, all lines that are whole are used. The error says what is wrong with it, and
// under which name it has been set aside; the snapshot is of use all the same.
func Load(dir, federation string) (*Snapshot, error) {
	name := path(dir, federation)
	f, err := inputfile.Open(name, inputfile.Any)
	if errors.Is(err, os.ErrNotExist) {
		return &Snapshot{}, nil
	}
	if err != nil {
		return &Snapshot{}, fmt.Errorf("state: %w", err)
	}
	saved, wrong := read(f)
	f.Close()
	if wrong == nil {
		return saved, nil
	}
	aside := fmt.Sprintf("%s.damaged-%s", name, time.Now().UTC().Format("20060102T150405.000"))
	if err := setAside(name, aside, saved.Damaged); err != nil {
		return saved, fmt.Errorf("state %q: %w; it can't be set aside: %w", name, wrong, err)
	}
	return saved, fmt.Errorf("state %q: %w; set aside as %q", name, wrong, aside)
}

// setAside gives a file another name. One that is of use keeps its own besides, until
// there is a better one: a server that is killed before must not have less.
func setAside(name, aside string, use bool) error {
	if use && os.Link(name, aside) == nil {
		return nil
	}
	return os.Rename(name, aside) // there is nothing to be had of it, or there are no links here
}

// read reads what is whole of a file, and says what isn't. What it gives is damaged
// only if there is something in it.
func read(r io.Reader) (*Snapshot, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	saved := &Snapshot{Clusters: map[string]*Saved{}, Hosts: map[string][]netip.Addr{}, Leads: map[snapshot.Key]Led{}, Recent: map[snapshot.Key][]RecentPlace{}, Holders: map[string]string{}}
	var wrong error // the first thing
	ended, used, lost := false, 0, 0
	n := 1
	for ; ; n++ {
		text, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return &Snapshot{}, err
		}
		if errors.Is(err, io.EOF) {
			saved.Torn = len(text)
			break
		}
		l, err := unseal(bytes.TrimSuffix(text, []byte("\n")))
		switch {
		case err != nil:
		case n == 1 && l.Format != format:
			return &Snapshot{}, errors.New("it isn't a state of fedns")
		case n == 1 && (l.Version < oldest || l.Version > version):
			return &Snapshot{}, fmt.Errorf("it is of version %d; this server knows versions %d to %d", l.Version, oldest, version)
		case n == 1:
			continue
		case l.End:
			ended = true
			continue
		default:
			err = saved.add(l)
		}
		if err == nil {
			used++
			continue
		}
		lost++
		if wrong == nil {
			wrong = fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case wrong != nil:
	case ended:
		return saved, nil
	case saved.Torn > 0:
		wrong = fmt.Errorf("line %d: the file ends in the middle", n)
		lost++
	default:
		wrong = errors.New("it ends before it begins to be complete")
	}
	if used == 0 {
		return &Snapshot{}, wrong
	}
	saved.Damaged = true
	for _, s := range saved.Clusters { // the lists may be among what was lost
		s.Records = append([]Record{{Cluster: s.Records[0].Cluster, At: s.Records[0].At, Silent: s.Records[0].Silent, Changes: nothing(), Doubtful: true}}, s.Records...)
	}
	if lost > 0 {
		wrong = fmt.Errorf("%w; %d of %d lines are lost", wrong, lost, used+lost)
	}
	return saved, fmt.Errorf("%w; the rest is used", wrong)
}

// add takes in a line.
func (s *Snapshot) add(l line) error {
	changes, err := decode(l.Changes)
	if err != nil {
		return err
	}
	leads, err := decodeLeads(l.Leads)
	if err != nil {
		return err
	}
	for _, led := range leads {
		if s.Leads[led.Key] = led; led.Policy.Choice != snapshot.Failover {
			delete(s.Leads, led.Key)
		}
	}
	for _, r := range l.Recent {
		if s.Recent[r.Key] = r.Places; len(r.Places) == 0 {
			delete(s.Recent, r.Key)
		}
	}
	for host, namespace := range l.Holders {
		if s.Holders[host] = namespace; namespace == "" {
			delete(s.Holders, host)
		}
	}
	maps.Copy(s.Hosts, l.Hosts)
	if l.Serial != 0 {
		s.Serial, s.Digest = l.Serial, l.Digest
	}
	if l.Cluster == "" {
		return nil
	}
	c := s.Clusters[l.Cluster]
	if c == nil {
		c = &Saved{}
		s.Clusters[l.Cluster] = c
	}
	r := Record{Cluster: l.Cluster, At: l.At, Silent: time.Duration(l.Silent * float64(time.Second)), Changes: changes, Doubtful: l.Doubtful}
	if !l.Part || len(c.Records) == 0 {
		c.Records = append(c.Records, r)
		return nil
	}
	lists := &c.Records[0]
	if lists.Changes = merge(lists.Changes, changes); !l.At.IsZero() {
		lists.At, lists.Silent = r.At, r.Silent
	}
	lists.Doubtful = lists.Doubtful || r.Doubtful
	return nil
}

// A Base is a file that is being made: complete lists, and then what has happened
// while they were written.
type Base struct {
	file *os.File
	name string
	size int64
}

// Prepare has the state of a federation be kept in a folder, which it makes where there
// is none, and tries to write there: what won't work is better said at the start than
// when there is something to keep. made says that there was no folder, found that there
// is a state.
func Prepare(dir, federation string) (made, found bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		made = true
	}
	if _, err := os.Stat(path(dir, federation)); err == nil {
		found = true
	}
	f, err := newDraft(dir, federation)
	if err != nil {
		return false, found, err
	}
	f.Close()
	return made, found, os.Remove(f.Name())
}

// newDraft makes an empty file that can take the place of a federation's.
func newDraft(dir, federation string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, draft(federation)+"*")
	if err != nil {
		return nil, plain(path(dir, federation), err)
	}
	return f, nil
}

// NewBase writes the lists of all clusters beside the file of a federation, in a folder
// that it makes where there is none (any more). It may take its time; nothing is
// replaced before Journal.
func NewBase(dir, federation string, records []Record) (*Base, error) {
	f, err := newDraft(dir, federation)
	if err != nil {
		return nil, err
	}
	b := &Base{file: f, name: path(dir, federation)}
	out := bufio.NewWriterSize(f, 1<<20)
	write := func(l line) {
		text, sealed := seal(l)
		if err == nil {
			err = sealed
		}
		if err == nil {
			_, err = out.Write(text)
			b.size += int64(len(text))
		}
	}
	write(line{Format: format, Version: version})
	for _, r := range records {
		if r.Cluster == "" {
			write(r.line())
			continue
		}
		for _, l := range r.parts() {
			write(l)
		}
	}
	write(line{End: true})
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		b.Discard()
		return nil, plain(b.name, err)
	}
	return b, nil
}

// plain says of which file an error is, and not by which name it was to be made: that
// is another one each time, and the trouble the same.
func plain(name string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return fmt.Errorf("%s %s: %w", p.Op, name, p.Err)
	case errors.As(err, &l):
		return fmt.Errorf("%s %s: %w", l.Op, name, l.Err)
	}
	return err
}

// Discard gives a base up.
func (b *Base) Discard() {
	b.file.Close()
	os.Remove(b.file.Name())
}

// A Journal is the file of a federation, open for what happens next.
type Journal struct {
	file *os.File
	name string
	base int64
	size int64
}

// Journal puts the base in the place of the file there was, with what has
// happened since the lists were made.
func (b *Base) Journal(since []Record) (*Journal, error) {
	j := &Journal{file: b.file, name: b.name, base: b.size, size: b.size}
	err := j.write(since)
	if err == nil {
		err = os.Rename(b.file.Name(), b.name)
	}
	if err != nil {
		b.Discard()
		return nil, plain(b.name, err)
	}
	return j, nil
}

// ErrLost is that the file isn't what was written any more: somebody has removed it,
// or its folder, or put another in its place.
var ErrLost = errors.New("it has been removed, replaced or cut by somebody else")

// Check says whether what was written is where the next start looks for it.
func (j *Journal) Check() error {
	there, err := os.Stat(j.name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", j.name, ErrLost)
		}
		return err
	}
	ours, err := j.file.Stat()
	if err != nil {
		return plain(j.name, err)
	}
	if !os.SameFile(there, ours) || ours.Size() != j.size {
		return fmt.Errorf("%s: %w", j.name, ErrLost)
	}
	return nil
}

// Append writes records, in one piece.
func (j *Journal) Append(records []Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := j.Check(); err != nil {
		return err
	}
	return plain(j.name, j.write(records))
}

func (j *Journal) write(records []Record) error {
	var all []byte
	for _, r := range records {
		text, err := seal(r.line())
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	n, err := j.file.Write(all)
	j.size += int64(n)
	return err
}

// leastJournal keeps small federations from making their base anew all the time.
const leastJournal = 64 << 10

// Outgrown says whether it is time for a new base: a start reads the whole file, and
// a disk has to hold it.
func (j *Journal) Outgrown() bool { return j.size-j.base > leastJournal+2*j.base }

// Close closes the file; what was appended is there.
func (j *Journal) Close() error { return j.file.Close() }
