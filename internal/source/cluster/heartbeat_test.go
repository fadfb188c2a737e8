package cluster

import (
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// lists are what a generation of reflectors reports.
var lists = []string{"list ing", "list node", "list slice", "list svc"}

// A story is what a cluster's view is told beside objects.
func story(parts ...any) (out []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, p)
		case []string:
			out = append(out, p...)
		}
	}
	return out
}

// told waits for a story. That a busy machine has a list made twice is none of it.
func (v *view) told(t *testing.T, parts ...any) {
	t.Helper()
	want := story(parts...)
	for end := time.Now().Add(patience); !slices.Equal(slices.Compact(v.story()), want); time.Sleep(step) {
		if time.Now().After(end) {
			t.Fatalf("after %v the story is\n %q\nnot\n %q", patience, v.story(), want)
		}
	}
}

// recovers waits for the second Fresh, and checks that it followed one silence and
// complete lists. There may be other lists before: of what was tried again, when
// the API was back and a new generation wasn't there yet.
func (v *view) recovers(t *testing.T) {
	t.Helper()
	eventually(t, "fresh again", func() bool { return v.says("fresh") == 2 })
	story := v.story()
	i := slices.Index(story, "silent")
	if i < 0 || v.says("silent") != 1 || story[len(story)-1] != "fresh" || !slices.Equal(slices.Compact(slices.Clone(story[i+1:len(story)-1])), lists) {
		t.Errorf("story: %q", story)
	}
}

// quick is a heartbeat whose silence is soon one.
func quick(c *Config) {
	c.Heartbeat = Heartbeat{Period: quickTimeout / 6, Timeout: quickTimeout}
}

const quickTimeout = 2500 * time.Millisecond

// pause stops the server where it stands; resume lets it go on.
func (s *apiServer) pause() { s.do(func() { s.paused = make(chan struct{}) }) }
func (s *apiServer) resume() {
	s.do(func() { close(s.paused); s.paused = nil })
}

// whisper changes the objects as edit does, without a word to the watches.
func (s *apiServer) whisper() {
	s.do(func() {
		watches := s.watches
		s.watches = nil
		s.mu.Unlock()
		s.edit()
		s.mu.Lock()
		s.watches = watches
	})
}

func (s *apiServer) refusing(codes map[string]int) { s.do(func() { s.refuse = codes }) }

// The API hangs with its connections open, as after SIGSTOP.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, w := s.follow(t, quick)
		v.told(t, lists, "fresh")
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		heard := w.Heard()
		eventually(t, "a beat", func() bool { return w.Heard().After(heard) })

		s.pause()
		v.told(t, lists, "fresh", "silent")
		// It is counted from the last beat, which came after what was heard above.
		if since := time.Since(heard); v.silence[0] < quickTimeout || v.silence[0] > since {
			t.Errorf("silent for %v, reported %v after a beat", v.silence[0], since)
		}
		s.whisper()
		eventually(t, "more lost beats", func() bool { return counted(w, unreachable) > 8 })
		v.told(t, lists, "fresh", "silent")
		if v.String() != filled {
			t.Errorf("changed in silence: %s", v)
		}

		s.resume()
		began := time.Now()
		v.told(t, lists, "fresh", "silent", lists, "fresh")
		t.Log("fresh after", time.Since(began))
		if v.String() != changed {
			t.Errorf("fresh, and yet %s", v)
		}
		if j.has("ERROR cluster gce-us: silent for ", ": what is known of it stays; unreachable: ") != 1 || j.has("INFO cluster gce-us: fresh again after ") != 1 || len(j.all()) != 3 {
			t.Errorf("log: %q", j.all())
		}

		// And once more, with the watches that the Ingress asks for.
		eventually(t, "watches", func() bool { return s.watching() == 6 })
		s.pause()
		v.told(t, lists, "fresh", "silent", lists, "fresh", "silent")
		s.resume()
		v.told(t, lists, "fresh", "silent", lists, "fresh", "silent", lists, "fresh")
	})
}

// Silent again before all has been listed: it was one silence.
func TestSilenceAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, w := s.follow(t, quick)
		v.told(t, lists, "fresh")
		s.pause()
		v.told(t, lists, "fresh", "silent")

		slow := make(chan struct{})
		s.do(func() { s.slow = slow })
		s.resume()
		eventually(t, "lists that don't come", func() bool { return s.watching() == 4 && s.count("watch ") >= 8 })
		s.pause()
		was := counted(w, unreachable)
		eventually(t, "more lost beats", func() bool { return counted(w, unreachable) > was+20 })
		v.told(t, lists, "fresh", "silent")
		s.do(func() { s.slow = nil })
		close(slow) // what had been waiting is answered, and comes before the next lists at best
		s.resume()
		v.recovers(t)
		if j.has("silent for") != 1 || j.has("fresh again") != 1 {
			t.Errorf("log: %q", j.all())
		}
	})
}

// count counts the requests that begin like that.
func (s *apiServer) count(prefix string) (n int) {
	s.do(func() {
		for _, a := range s.asked {
			if strings.HasPrefix(a, prefix) {
				n++
			}
		}
	})
	return n
}

// What is refused for long enough is silence too, while all beats are there.
func TestSilenceOfAResource(t *testing.T) {
	t.Parallel()
	for code, r := range map[int]reason{403: forbidden, 429: throttled, 500: other} {
		t.Run(string(r), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.fill()
				v, j, w := s.follow(t, quick)
				v.told(t, lists, "fresh")
				eventually(t, "watches", func() bool { return s.watching() == 4 })
				s.refusing(map[string]int{"endpointslices": code})
				s.whisper()
				s.do(func() { s.tell("endpointslices", `{"type":"ERROR","object":`+status(410, "Expired")+`}`) })
				v.told(t, lists, "fresh", "silent")
				if v.String() != filled || counted(w, r) == 0 || counted(w, gone) != 1 || j.has("ERROR cluster gce-us: "+string(r)+": slices: ") != 1 || v.silence[0] < quickTimeout {
					t.Errorf("%s, silent for %v, log: %q", v, v.silence, j.all())
				}
				s.refusing(map[string]int{})
				v.recovers(t)
				if v.String() != changed {
					t.Errorf("fresh, and yet %s", v)
				}
			})
		})
	}
}

// Credentials are revoked, while the open watches go on; then restored.
func TestSilenceRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, w := s.follow(t, quick)
		v.told(t, lists, "fresh")
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		s.do(func() { s.token = "second" })
		v.told(t, lists, "fresh", "silent")
		if j.has("ERROR", "silent for ", "; unauthorized: GET https://", "/readyz: 401 Unauthorized") != 1 || counted(w, unauthorized) == 0 || v.String() != filled {
			t.Errorf("%s, log: %q", v, j.all())
		}
		s.whisper()
		s.do(func() {
			for resource := range kinds {
				s.tell(resource, "") // now the watches notice as well
			}
		})
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: unauthorized: ") == 1 })
		s.do(func() { s.token = "" })
		v.recovers(t)
		if v.String() != changed {
			t.Errorf("fresh, and yet %s", v)
		}
	})
}

// A new kubeconfig begins anew, in a silence and without one.
func TestSilenceRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, _, w := s.follow(t, quick)
		v.told(t, lists, "fresh")
		write(t, w.Kubeconfig, insecure(kubeconfig(s.URL, "second")))
		v.told(t, lists, "fresh", lists, "fresh")
		s.do(func() { s.token = "third" })
		v.told(t, lists, "fresh", lists, "fresh", "silent")
		write(t, w.Kubeconfig, insecure(kubeconfig(s.URL, "third")))
		v.told(t, lists, "fresh", lists, "fresh", "silent", lists, "fresh")
	})
}

// An API that isn't there from the beginning.
func TestSilenceFromTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.refuse[""] = http.StatusInternalServerError
		v, _, _ := s.follow(t, quick)
		v.told(t, "silent")
		s.refusing(map[string]int{})
		v.told(t, "silent", lists, "fresh")
		if v.String() != filled {
			t.Error(v)
		}
	})
}

// Slow isn't silent, and isn't fresh.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.slow = make(chan struct{})
		v, j, _ := s.follow(t, quick)
		eventually(t, "beats for three timeouts", func() bool { return s.count("get readyz") > 3*6 })
		if len(v.story()) > 0 || len(j.all()) > 0 {
			t.Errorf("%q, log: %q", v.story(), j.all())
		}
		close(s.slow)
		v.told(t, lists, "fresh")
	})
}

// Where only readyz is refused, the refusal is the beat.
func TestHeartbeatRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []int{http.StatusForbidden, http.StatusNotFound} {
			s := serve(t)
			s.fill()
			s.refuse["readyz"] = code
			v, j, w := s.follow(t, quick)
			v.told(t, lists, "fresh")
			eventually(t, "beats for three timeouts", func() bool { return s.count("get readyz") > 3*6 })
			if v.says("silent") > 0 || counted(w, forbidden)+counted(w, other) > 0 || j.has("WARN cluster gce-us: ", "/readyz", "counts as a heartbeat") != 1 || len(j.all()) != 2 {
				t.Errorf("%q, log: %q", v.story(), j.all())
			}

			// Refused everywhere, it isn't one.
			s.whisper()
			s.refusing(map[string]int{"": code})
			s.do(func() { s.tell("services", "") })
			v.told(t, lists, "fresh", "silent")
			was := w.Heard()
			eventually(t, "more answers", func() bool { return counted(w, forbidden)+counted(w, other) > 5 })
			if w.Heard() != was {
				t.Error("a refusal was heard as a beat")
			}
			s.refusing(map[string]int{"readyz": code})
			v.recovers(t)
			if v.String() != changed {
				t.Errorf("fresh, and yet %s", v)
			}
		}
	})
}

// After an outage, the first answer is a beat though nothing else has been tried
// again yet.
func TestHeartbeatRefusedAfterAnOutage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, kubeconfig("https://192.0.2.1", "x"))
	w, err := NewWatcher(Config{Federation: path, Kubeconfig: path, Context: "a", Log: (&journal{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	refusal := apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	for i, tt := range []struct {
		why  reason
		beat bool
	}{{unreachable, true}, {hung, true}, {forbidden, false}, {unauthorized, false}, {other, false}} {
		now := time.Unix(int64(i), 0)
		w.status.failed("services", tt.why, errors.New("x"))
		if w.answered(now, refusal); w.pulse.beat.Equal(now) != tt.beat {
			t.Errorf("services are %s: a beat is %v", tt.why, !tt.beat)
		}
	}
}

// A watch that says nothing any more is opened again, and nobody minds.
func TestHungWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.lull = 1200 * time.Millisecond // reflectors take less than a second to be an error
		s.fill()
		v, j, w := s.follow(t, nil)
		v.told(t, lists, "fresh")
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		// One goes on talking, and is left alone.
		for counted(w, hung) < 3 {
			s.do(func() {
				s.tell("nodes", `{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":"90"}}}`)
			})
			time.Sleep(s.lull / 20)
		}
		if n := s.count("watch nodes"); n != 1 {
			t.Errorf("%d watches of nodes, which never were quiet", n)
		}
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		eventually(t, "the change", func() bool { s.edit(); return v.String() == changed })
		v.told(t, lists, "fresh")
		if len(j.all()) != 1 || counted(w, closed)+counted(w, other)+counted(w, unreachable) > 0 {
			t.Errorf("closed %v, other %v, unreachable %v, log: %q", counted(w, closed), counted(w, other), counted(w, unreachable), j.all())
		}
	})
}

// So is a list, or a watch that isn't even opened.
func TestHungList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, streams := range []bool{true, false} {
			s := serve(t)
			s.streams, s.lull = streams, 100*time.Millisecond
			s.fill()
			s.slow = make(chan struct{})
			v, j, w := s.follow(t, quick)
			eventually(t, "calls that were ended", func() bool { return counted(w, hung) > 6 })
			v.told(t, "silent") // it has been failing for all that time
			if j.has("ERROR cluster gce-us: hung: ") != 1 {
				t.Errorf("log: %q", j.all())
			}
			close(s.slow)
			eventually(t, "all of it", func() bool { return v.says("fresh") == 1 && v.String() == filled })
		}
	})
}

func TestPulse(t *testing.T) {
	words := map[move]string{stay: ".", beSilent: "silent", startOver: "over", beFresh: "fresh"}
	for _, tt := range []struct {
		name string
		// A letter a second: b: a beat, f: something is failing, l: all is listed,
		// n: a new generation begins.
		signs string
		want  string // what it asks for at each second
	}{
		{"all well", "b bl b b b b b b", ". fresh . . . . . ."},
		{"lists without a beat", "l l", "fresh ."},
		{"nothing from the start", "- - - - - - -", ". . . . . silent ."},
		{"three beats are lost", "bl - - - - - - b", "fresh . . . . silent . over"},
		{"two beats are lost", "bl - - - - b - -", "fresh . . . . . . ."},
		{"fresh after the lists", "bl - - - - - b nb b bl b", "fresh . . . . silent over . . fresh ."},
		{"silent again before", "bl - - - - - b nb - - - - - b nbl", "fresh . . . . silent over . . . . . . over fresh"},
		{"a new generation in silence", "bl - - - - - - n - - l - - b", "fresh . . . . silent . . . . . . . over"},
		{"a new generation in silence, and a beat", "bl - - - - - - n - - l bl", "fresh . . . . silent . . . . . fresh"},
		{"a new generation before a silence", "bl - - nl - - - b", "fresh . . fresh . silent . over"},
		{"something fails", "bl bf bf bf bf bf bf bf b", "fresh . . . . . silent . over"},
		{"something fails, shortly", "bl bf bf bf bf bf b b", "fresh . . . . . . ."},
		{"listed while something fails", "b bf bfl bfl bl", ". . . . fresh"},
		{"something goes on failing after an outage", "bl f f f f f b nbf bf bf bf bf bf b", "fresh . . . . silent over . . . . . . over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			p := liveness{timeout: 5 * time.Second, beat: begin}
			p.begin(begin)
			var failing time.Time
			var got []string
			for i, signs := range strings.Fields(tt.signs) {
				now := begin.Add(time.Duration(i) * time.Second)
				if strings.Contains(signs, "n") {
					p.begin(now)
				}
				if strings.Contains(signs, "b") {
					p.beat = now
				}
				switch {
				case !strings.Contains(signs, "f"):
					failing = time.Time{}
				case failing.IsZero():
					failing = now
				}
				got = append(got, words[p.next(now, failing, strings.Contains(signs, "l"))])
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%s\n gives %s\n  want %s", tt.signs, got, tt.want)
			}
		})
	}
}
