package node

import (
	"math/rand/v2"
	"testing"
	"time"
)

// What arrives over a link, and when, is a function of what is sent and of its seed.
func TestLine(t *testing.T) {
	begin := time.Unix(0, 0)
	for _, tt := range []struct {
		name     string
		link     Link
		packets  int // of 1000 bytes, all at once
		min, max int // how many arrive
		last     time.Duration
	}{
		{"a good link", Link{}, 1000, 1000, 1000, 0},
		{"slow", Link{Delay: 300 * time.Millisecond}, 1000, 1000, 1000, 300 * time.Millisecond},
		{"loses some", Link{Loss: 5, Seed: 1}, 10000, 9400, 9600, 0},
		{"loses all", Link{Loss: 100}, 1000, 0, 0, 0},
		{"narrow", Link{Kbit: 800, Delay: 100 * time.Millisecond}, 10, 10, 10, 200 * time.Millisecond},
		{"narrow, and more than waits", Link{Kbit: 800}, 1000, 51, 51, 510 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			send := func() (n int, last time.Duration) {
				l := line{Link: tt.link, random: rand.New(rand.NewPCG(tt.link.Seed, 0))}
				for range tt.packets {
					if at, ok := l.arrives(begin, 1000); ok {
						n, last = n+1, at.Sub(begin)
					}
				}
				return n, last
			}
			n, last := send()
			if n < tt.min || n > tt.max || last != tt.last {
				t.Errorf("%d of %d arrive, the last after %v; want %d to %d, after %v", n, tt.packets, last, tt.min, tt.max, tt.last)
			}
			if again, _ := send(); again != n {
				t.Errorf("%d arrive with the same seed, then %d", n, again)
			}
		})
	}
}
