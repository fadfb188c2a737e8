package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// A Snapshot is what a file says.
type Snapshot struct {
	Clusters map[string]*Saved // by identity
	Hosts    map[string][]netip.Addr
	Serial   uint32 // that was shown last; 0: not known
}

// A Saved is what a file says of one cluster: the lists and what followed them,
// and when it was last known to be so.
type Saved struct {
	Records []Record
}

// Heard is when the cluster was last known to speak: the last record's time, less
// the silence it tells of.
func (s Saved) Heard() time.Time {
	last := s.Records[len(s.Records)-1]
	return last.At.Add(-last.Silent)
}

// path is the file of a federation in a folder.
func path(dir, federation string) string { return filepath.Join(dir, federation+".state") }

// Load reads the state of a federation; it is empty if there is none. A file
// that can't be used is set aside, under a name that the error tells; the server
// starts without it. A journal that ends in the middle of a line, as it does when
// a server is killed, is used up to there.
func Load(dir, federation string) (*Snapshot, error) {
	name := path(dir, federation)
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return &Snapshot{}, nil
	}
	if err != nil {
		return &Snapshot{}, err
	}
	saved, err := read(f)
	f.Close()
	if err == nil {
		return saved, nil
	}
	aside := fmt.Sprintf("%s.damaged-%s", name, time.Now().UTC().Format("20060102T150405.000"))
	if renamed := os.Rename(name, aside); renamed != nil {
		return &Snapshot{}, fmt.Errorf("state %q: %w; and it can't be set aside: %w", name, err, renamed)
	}
	return &Snapshot{}, fmt.Errorf("state %q: %w; set aside as %q", name, err, aside)
}

func read(r io.Reader) (*Snapshot, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	saved := &Snapshot{Clusters: map[string]*Saved{}, Hosts: map[string][]netip.Addr{}}
	ended := false
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		torn := err == io.EOF
		if torn && len(text) == 0 {
			break
		}
		l, err := unseal(bytes.TrimSuffix(text, []byte("\n")))
		switch {
		case torn && ended:
			return saved, nil // the line that was being written when the server was killed
		case torn:
			return nil, fmt.Errorf("line %d: the file ends in the middle", n)
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case n == 1 && l.Format != format:
			return nil, errors.New("it isn't a state of fedns")
		case n == 1 && (l.Version < oldest || l.Version > version):
			return nil, fmt.Errorf("it is of version %d; this server knows versions %d to %d", l.Version, oldest, version)
		case n == 1:
		case l.End:
			ended = true
		default:
			changes, err := decode(l.Changes)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			maps.Copy(saved.Hosts, l.Hosts)
			if l.Serial != 0 {
				saved.Serial = l.Serial
			}
			if l.Cluster == "" {
				continue
			}
			s := saved.Clusters[l.Cluster]
			if s == nil {
				s = &Saved{}
				saved.Clusters[l.Cluster] = s
			}
			s.Records = append(s.Records, Record{Cluster: l.Cluster, At: l.At, Silent: time.Duration(l.Silent * float64(time.Second)), Changes: changes})
		}
	}
	if !ended {
		return nil, errors.New("it ends before it begins to be complete")
	}
	return saved, nil
}

// A Base is a file that is being made: complete lists, and then what has happened
// while they were written.
type Base struct {
	file *os.File
	name string
	size int64
}

// NewBase writes the lists of all clusters beside the file of a federation. It may
// take its time; nothing is replaced before Journal.
func NewBase(dir, federation string, records []Record) (*Base, error) {
	f, err := os.CreateTemp(dir, "."+federation+".state-*")
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
		write(r.line())
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
		return nil, err
	}
	return b, nil
}

// Discard gives a base up.
func (b *Base) Discard() {
	b.file.Close()
	os.Remove(b.file.Name())
}

// A Journal is the file of a federation, open for what happens next.
type Journal struct {
	file *os.File
	base int64
	size int64
}

// Journal puts the base in the place of the file there was, with what has
// happened since the lists were made.
func (b *Base) Journal(since []Record) (*Journal, error) {
	j := &Journal{file: b.file, base: b.size, size: b.size}
	if err := j.Append(since); err != nil {
		b.Discard()
		return nil, err
	}
	if err := os.Rename(b.file.Name(), b.name); err != nil {
		b.Discard()
		return nil, err
	}
	return j, nil
}

// Append writes records, in one piece.
func (j *Journal) Append(records []Record) error {
	if len(records) == 0 {
		return nil
	}
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
const leastJournal = 4 << 20

// Outgrown says whether it is time for a new base: a start reads the whole file.
func (j *Journal) Outgrown() bool { return j.size-j.base > max(leastJournal, 2*j.base) }

// Close closes the file; what was appended is there.
func (j *Journal) Close() error { return j.file.Close() }
