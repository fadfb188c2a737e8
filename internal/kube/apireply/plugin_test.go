package apireply

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// TestPluginRefused is how often credentials are asked for that an API refuses: a
// plugin runs at each 401 that comes through.
func TestPluginRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, code, runs := &Plugin{}, http.StatusUnauthorized, 0
		rt := p.Inner(trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Body: http.NoBody}, nil
		}))
		ask := func() (err error) {
			r, err := rt.RoundTrip(nil)
			if err == nil && r.StatusCode == http.StatusUnauthorized {
				runs++
			} else if err != nil && !apierrors.IsUnauthorized(err) {
				t.Error(err)
			}
			return err
		}
		during := func(d time.Duration) (n int) {
			before := runs
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				ask()
			}
			return runs - before
		}
		if n := during(20 * time.Second); n < 2 || n > 5 {
			t.Errorf("%d runs in the first 20 s", n)
		}
		during(time.Minute)
		if n := during(10 * time.Minute); n < 15 || n > 25 {
			t.Errorf("%d runs in ten minutes", n)
		}
		code = http.StatusOK
		if err := ask(); err != nil {
			t.Error(err)
		}
		code = http.StatusUnauthorized
		if n := during(time.Second); n != 1 {
			t.Errorf("%d runs for credentials that have run out", n)
		}
	})
}

// TestPluginFails is how often a plugin runs that gives nothing.
func TestPluginFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, runs, broken := &Plugin{}, 0, true
		rt := p.Outer(trip(func(*http.Request) (*http.Response, error) {
			runs++
			if broken {
				return nil, errors.New("getting credentials: exec: executable x failed with exit code 1\n\nhelp\n")
			}
			return p.Inner(trip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			})).RoundTrip(nil)
		}))
		q, _ := http.NewRequest(http.MethodGet, "http://x", nil)
		var err error
		for range 200 {
			_, err = rt.RoundTrip(q)
			time.Sleep(100 * time.Millisecond)
		}
		if runs > 5 || !errors.Is(err, ErrCredential) || !strings.Contains(err.Error(), "exit code 1") || strings.Contains(err.Error(), "help") {
			t.Errorf("%d runs in 20 s: %v", runs, err)
		}
		broken = false
		time.Sleep(latest)
		for range 3 {
			if _, err := rt.RoundTrip(q); err != nil {
				t.Error(err)
			}
		}
	})
}
