package mmdb

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go.uber.org/goleak"

	"github.com/fedns/fedns/internal/geo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A watched file, and what was reported of it.
type watched struct {
	t    *testing.T
	path string

	mu      sync.Mutex // guards the rest
	reports []string
	last    *DB
}

// watch runs a test beside a watcher, in a bubble of time.
func watch(t *testing.T, test func(w *watched)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: filepath.Join(dir, "GeoLite2-City.mmdb")}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		path := w.path
		go func() {
			defer close(done)
			Watch(ctx, path, func(db *DB, err error) {
				if (db == nil) == (err == nil) {
					t.Errorf("reported: %v and %v", db, err)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if err != nil {
					w.reports = append(w.reports, strings.TrimPrefix(err.Error(), path+": "))
					return
				}
				w.last = db
				place, _ := db.Lookup(netip.MustParseAddr("192.0.2.1"))
				w.reports = append(w.reports, fmt.Sprint(place.Point))
			})
		}()
		test(w)
		cancel()
		<-done
	})
}

// put writes the file in place. Time in the bubble goes by faster than a file system
// notices, so it is told.
func (w *watched) put(data []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(w.path, time.Now(), time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

// replace writes another file and gives it the name.
func (w *watched) replace(data []byte) {
	w.t.Helper()
	path := w.path
	w.path += ".new"
	w.put(data)
	w.path = path
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
}

// after waits and compares what was reported meanwhile.
func (w *watched) after(d time.Duration, want ...string) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.reports
	w.reports = nil
	if len(got) != len(want) {
		w.t.Fatalf("reported: %q, want %q", got, want)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) {
			w.t.Errorf("reported: %q, want %q", got[i], want[i])
		}
	}
}

func at(t *testing.T, lat, lon float64) []byte {
	return database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City", BuildEpoch: 1}, map[string]mmdbtype.DataType{"192.0.2.0/24": city("FR", "EU", lat, lon)})
}

const (
	settle  = 2*poll + poll/2 // that a change is seen, and that there's no other
	missing = "no such file or directory"
	partial = "not a MaxMind database, or not all of it: "
)

func TestWatch(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(0, "open "+w.path+": "+missing)
		w.after(time.Hour) // once
		w.put(at(t, 48, 2))
		w.after(settle, "48 2")
		w.after(time.Hour)

		w.replace(at(t, 50, 8))
		w.after(settle, "50 8")
		w.put(at(t, 51, 8)) // of the same size
		w.after(settle, "51 8")

		info, err := os.Stat(w.path)
		if err != nil {
			t.Fatal(err)
		}
		// Of the same time.
		if err := os.WriteFile(w.path, append([]byte("longer"), at(t, 52, 8)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(w.path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		w.after(settle, "GeoLite2-City database: broken: ")
		w.put(at(t, 51, 8))
		w.after(settle, "51 8")

		good := w.last
		w.replace(at(t, 52, 8)[:1000])
		w.after(settle, partial)
		w.after(time.Hour)
		if place, _ := good.Lookup(netip.MustParseAddr("192.0.2.1")); place != (geo.Place{Point: geo.Point{Lat: 51, Lon: 8}, Source: geo.City}) {
			t.Error("the one before it says", place)
		}
		w.put(nil)
		w.after(settle, partial)
		w.replace(database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, nil))
		w.after(settle, "GeoLite2-ASN database: doesn't say where networks are")
		w.replace(at(t, 53, 8))
		w.after(settle, "53 8")

		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.after(settle, "open "+w.path+": "+missing)
		if err := os.Symlink(w.path, w.path); err != nil {
			t.Fatal(err)
		}
		w.after(settle, "open "+w.path+": too many levels of symbolic links")
		w.replace(at(t, 53, 8))
		w.after(settle, "53 8")
	})
}

// TestWatchSlowWriter: a file that is being written is left alone until it's done.
func TestWatchSlowWriter(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(0, "open ")
		whole := at(t, 48, 2)
		for n := 0; n < len(whole); n += 300 {
			w.put(whole[:n])
			w.after(poll / 2)
		}
		w.put(whole)
		w.after(settle, "48 2")

		// Away for less than two looks.
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.after(poll / 2)
		w.put(at(t, 49, 2))
		w.after(settle, "49 2")
	})
}

// TestWatchLink: what a Kubernetes volume does.
func TestWatchLink(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(0, "open ")
		dir := filepath.Dir(w.path)
		for i, lat := range []float64{48, 49} {
			version := filepath.Join(dir, fmt.Sprint("..", i))
			if err := os.Mkdir(version, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(version, "db"), at(t, lat, 2), 0o600); err != nil {
				t.Fatal(err)
			}
			// The same time and the same size: another file is enough.
			if err := os.Chtimes(filepath.Join(version, "db"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(version, filepath.Join(dir, "..new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if err := os.Symlink(filepath.Join("..data", "db"), w.path); err != nil {
					t.Fatal(err)
				}
				w.after(settle, "48 2")
			}
		}
		w.after(settle, "49 2")
	})
}

// TestWatchRestless: a file that is another one at every look is read when that ends.
func TestWatchRestless(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(0, "open ")
		for i := range 20 {
			w.put(at(t, float64(i), 2))
			w.after(poll)
		}
		w.after(settle, "19 2")
	})
}
