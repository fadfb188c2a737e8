package replicas

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A problem is something to plan.
type problem struct {
	Preferences Preferences
	Total       int64
	Clusters    []Cluster
	Key         string
}

func (p problem) split() Plan { return Split(p.Preferences, p.Total, p.Clusters, p.Key) }

// some draws a bound or none.
func some(t *rapid.T, label string, most int64) *int64 {
	if rapid.IntRange(0, 2).Draw(t, "has "+label) > 0 {
		return nil
	}
	n := rapid.Int64Range(0, most).Draw(t, label)
	return &n
}

func draw(t *rapid.T, clusters int, most int64) problem {
	p := problem{
		Preferences: Preferences{Rebalance: rapid.Bool().Draw(t, "rebalance"), Clusters: map[string]ClusterPreference{}},
		Total:       rapid.Int64Range(0, 3*most).Draw(t, "total"),
		Key:         rapid.SampledFrom([]string{"shop/web", "shop/cart", ""}).Draw(t, "key"),
	}
	names := []string{Others}
	for i := range rapid.IntRange(0, clusters).Draw(t, "clusters") {
		name := fmt.Sprint("c", i)
		names = append(names, name)
		p.Clusters = append(p.Clusters, Cluster{
			Name:     name,
			Current:  rapid.Int64Range(0, most).Draw(t, "current"),
			Capacity: some(t, "capacity", most),
			Ceiling:  some(t, "ceiling", most),
		})
	}
	for _, name := range names {
		if rapid.Bool().Draw(t, "has "+name) {
			c := ClusterPreference{Weight: rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 3, 1000}).Draw(t, "weight"), Max: some(t, "max", most)}
			if rapid.Bool().Draw(t, "has min") {
				c.Min = rapid.Int64Range(0, most/2).Draw(t, "min")
			}
			if c.Max != nil {
				c.Min = min(c.Min, *c.Max)
			}
			p.Preferences.Clusters[name] = c
		}
	}
	return p
}

// bounds are what a cluster can be asked for and what fits there.
func (p problem) bounds(c Cluster) (most, room int64) {
	pref, ok := p.Preferences.Of(c.Name)
	if !ok {
		return 0, 0
	}
	most = limit
	for _, b := range []*int64{pref.Max, c.Ceiling} {
		if b != nil {
			most = min(most, *b)
		}
	}
	if c.Capacity == nil {
		return most, most
	}
	return most, min(most, *c.Capacity)
}

// with is the problem once a plan has been carried out.
func (p problem) with(plan Plan, n func(Share) int64) problem {
	p.Clusters = slices.Clone(p.Clusters)
	for i, c := range p.Clusters {
		p.Clusters[i].Current = n(plan[c.Name])
	}
	return p
}

// numbers are a plan without its words.
func numbers(p Plan) map[string][2]int64 {
	out := map[string][2]int64{}
	for name, s := range p {
		out[name] = [2]int64{s.Replicas, s.Overflow}
	}
	return out
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 7, 40)
		plan := p.split()
		if len(plan) != len(p.Clusters) {
			t.Fatalf("%d clusters, %d shares", len(p.Clusters), len(plan))
		}
		asked := int64(0)
		for _, s := range plan {
			asked += s.Asked()
		}
		for _, c := range p.Clusters {
			s := plan[c.Name]
			most, room := p.bounds(c)
			pref, _ := p.Preferences.Of(c.Name)
			if s.Replicas < 0 || s.Replicas > room || s.Overflow < 0 || s.Asked() > most || s.Asked() > p.Total {
				t.Fatalf("%s: %+v of %d; at most %d, room for %d", c.Name, s, p.Total, most, room)
			}
			if s.Overflow > 0 && s.Replicas < room {
				t.Fatalf("%s: %+v waits, but there is room for %d", c.Name, s, room)
			}
			if s.Why == "" {
				t.Fatalf("%s: no reason", c.Name)
			}
			// Whatever isn't placed has no place.
			if plan.Sum() < p.Total && (s.Replicas < min(pref.Min, room) || pref.Weight > 0 && s.Replicas < room) {
				t.Fatalf("%s: %+v, room for %d, but %d of %d are placed: %v", c.Name, s, room, plan.Sum(), p.Total, plan)
			}
			if !p.Preferences.Rebalance && asked < p.Total && pref.Weight > 0 && s.Asked() < most {
				t.Fatalf("%s: %+v, at most %d, but %d of %d are asked for: %v", c.Name, s, most, asked, p.Total, plan)
			}
		}
		if plan.Sum() > p.Total || !p.Preferences.Rebalance && asked > p.Total {
			t.Fatalf("%d placed, %d asked for, of %d: %v", plan.Sum(), asked, p.Total, plan)
		}

		shuffled := p
		shuffled.Clusters = slices.Clone(p.Clusters)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(p.Clusters), func(i, j int) {
			shuffled.Clusters[i], shuffled.Clusters[j] = shuffled.Clusters[j], shuffled.Clusters[i]
		})
		if got := shuffled.split(); !maps.Equal(got, plan) {
			t.Fatalf("shuffled: %v, was %v", got, plan)
		}

		for _, next := range []problem{
			p.with(plan, func(s Share) int64 { return s.Replicas }),
			p.with(plan, Share.Asked),
		} {
			if got := next.split(); !maps.Equal(numbers(got), numbers(plan)) {
				t.Fatalf("carried out: %v, was %v", got, plan)
			}
		}
	})
}

// Where clusters must not grow, the bound falls with what they have.
func TestKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 5, 30)
		kept := rapid.SliceOfN(rapid.Bool(), len(p.Clusters), len(p.Clusters)).Draw(t, "kept")
		bound := func(p problem) problem {
			for i := range p.Clusters {
				if kept[i] {
					n := p.Clusters[i].Current
					p.Clusters[i].Ceiling = &n
				}
			}
			return p
		}
		p = bound(p)
		plan := p.split()
		for i, c := range p.Clusters {
			if kept[i] && plan[c.Name].Asked() > c.Current {
				t.Fatalf("%s grows from %d: %+v", c.Name, c.Current, plan[c.Name])
			}
		}
		next := bound(p.with(plan, func(s Share) int64 { return s.Replicas }))
		if got := next.split(); got.Sum() != plan.Sum() {
			t.Fatalf("carried out: %v, was %v", got, plan)
		}
	})
}

// Nothing else that is allowed moves fewer replicas.
func TestLeastMovement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 3, 8)
		p.Preferences.Rebalance = false
		plan := p.split()
		low, high := make([]int64, len(p.Clusters)), make([]int64, len(p.Clusters))
		mins := int64(0)
		for i, c := range p.Clusters {
			pref, _ := p.Preferences.Of(c.Name)
			_, room := p.bounds(c)
			low[i], high[i] = min(pref.Min, room), room
			if pref.Weight == 0 {
				high[i] = max(low[i], min(c.Current, room))
			}
			mins += low[i]
		}
		if mins > p.Total {
			high, low = low, make([]int64, len(low))
		}
		best := int64(-1)
		var try func(i int, left, moved int64)
		try = func(i int, left, moved int64) {
			if i == len(p.Clusters) {
				if left == 0 && (best < 0 || moved < best) {
					best = moved
				}
				return
			}
			for n := low[i]; n <= min(high[i], left); n++ {
				try(i+1, left-n, moved+distance(n, p.Clusters[i].Current))
			}
		}
		try(0, plan.Sum(), 0)
		moved := int64(0)
		for _, c := range p.Clusters {
			moved += distance(plan[c.Name].Replicas, c.Current)
		}
		if moved != best {
			t.Fatalf("moves %d, %d would do: %v", moved, best, plan)
		}
	})
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// Clusters of one weight differ by one replica at most, where nothing holds them.
func TestEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 7, 40)
		p.Preferences.Clusters = Default().Clusters
		plan := p.split()
		for _, few := range p.Clusters {
			for _, many := range p.Clusters {
				_, room := p.bounds(few)
				a, b := plan[few.Name].Replicas, plan[many.Name].Replicas
				grew := p.Preferences.Rebalance || b > many.Current
				if a < room && grew && b > a+1 {
					t.Fatalf("%s %d, room for %d, %s %d: %v", few.Name, a, room, many.Name, b, plan)
				}
			}
		}
	})
}

func TestJobProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 5, 20)
		parallelism, completions := p.Total, rapid.Int64Range(0, 100).Draw(t, "completions")
		clusters := make([]JobCluster, len(p.Clusters))
		for i, c := range p.Clusters {
			clusters[i].Cluster = c
			clusters[i].Current = 0
		}
		plan := Job(p.Preferences, parallelism, &completions, clusters, p.Key)
		pods, done := int64(0), int64(0)
		for _, c := range clusters {
			s := plan[c.Name]
			pods, done = pods+s.Parallelism, done+*s.Completions
			if parallelism > 0 && (s.Parallelism == 0) != (*s.Completions == 0) {
				t.Fatalf("%s: %d at once of %d", c.Name, s.Parallelism, *s.Completions)
			}
		}
		if done > 0 && done != completions {
			t.Fatalf("%d of %d completions: %v", done, completions, plan)
		}
		replicas := Split(p.Preferences, parallelism, p.with(nil, func(Share) int64 { return 0 }).Clusters, p.Key)
		if done == 0 && completions > 0 && parallelism > 0 && replicas.Sum() > 0 {
			t.Fatalf("nobody works, though %v could: %v", replicas, plan)
		}
		if pods > parallelism && !p.Preferences.Rebalance {
			t.Fatalf("%d at once, not %d", pods, parallelism)
		}

		for i, c := range clusters {
			clusters[i].Current, clusters[i].Completions = plan[c.Name].Parallelism, plan[c.Name].Completions
		}
		again := Job(p.Preferences, parallelism, &completions, clusters, p.Key)
		for _, c := range clusters {
			was, is := plan[c.Name], again[c.Name]
			if was.Parallelism != is.Parallelism || *was.Completions != *is.Completions {
				t.Fatalf("carried out: %s %+v, was %+v", c.Name, is, was)
			}
		}

		// Whatever becomes of the rest, what is there is let alone and can end.
		parallelism = rapid.Int64Range(1, 60).Draw(t, "parallelism later")
		completions += rapid.Int64Range(-5, 5).Draw(t, "completions more")
		gone := rapid.IntRange(0, len(clusters)).Draw(t, "gone")
		clusters = clusters[gone:]
		later := Job(p.Preferences, parallelism, &completions, clusters, p.Key)
		for _, c := range clusters {
			s := later[c.Name]
			if *s.Completions != *c.Completions {
				t.Fatalf("%s: %d completions, not %d", c.Name, *s.Completions, *c.Completions)
			}
			pref, ok := p.Preferences.Of(c.Name)
			if ok && (c.Ceiling == nil || *c.Ceiling > 0) && *s.Completions > 0 && s.Parallelism == 0 {
				t.Fatalf("%s: %d completions are never done; %+v", c.Name, *s.Completions, pref)
			}
		}
	})
}

func TestAutoscalerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 5, 20)
		most := p.Total
		least := rapid.Int64Range(0, most).Draw(t, "least")
		clusters := make([]AutoscalerCluster, len(p.Clusters))
		for i, c := range p.Clusters {
			clusters[i].Cluster = c
			clusters[i].Min = rapid.Int64Range(0, 20).Draw(t, "min there")
		}
		plan := Autoscaler(p.Preferences, least, most, clusters, p.Key)
		var low, high, placed int64
		unbounded := true
		for _, c := range clusters {
			r := plan[c.Name]
			low, high = low+r.Min, high+r.Max
			pref, ok := p.Preferences.Of(c.Name)
			unbounded = unbounded && ok && pref.Max == nil && pref.Weight > 0 && c.Capacity == nil && c.Ceiling == nil
			if r.Max > 0 {
				placed++
			}
			if r.Min > r.Max || r.Max > 0 && r.Min < 1 {
				t.Fatalf("%s: %+v", c.Name, r)
			}
			if bound, _ := p.bounds(c.Cluster); r.Max > bound {
				t.Fatalf("%s: %+v, at most %d", c.Name, r, bound)
			}
		}
		if high > most || low > max(least, placed) {
			t.Fatalf("%d to %d, of %d to %d: %v", low, high, least, most, plan)
		}
		if unbounded && len(clusters) > 0 && (high != most || low != max(least, placed)) {
			t.Fatalf("%d to %d, of %d to %d: %v", low, high, least, most, plan)
		}
		for i, c := range clusters {
			clusters[i].Current, clusters[i].Min = plan[c.Name].Max, plan[c.Name].Min
		}
		again := Autoscaler(p.Preferences, least, most, clusters, p.Key)
		for name, was := range plan {
			if is := again[name]; is.Min != was.Min || is.Max != was.Max {
				t.Fatalf("carried out: %s %+v, was %+v", name, is, was)
			}
		}
	})
}

func FuzzParsePreferences(f *testing.F) {
	for _, s := range []string{
		`{"rebalance":true,"clusters":{"*":{"minReplicas":1,"maxReplicas":5,"weight":2},"a":{}}}`,
		`{"CLUSTERS":{"a":{"WEIGHT":1}}} `, `{"clusters":{"a":{"weight":1.5}}}`, `{"clusters":{"a":null}}`, `{} {}`, `null`, `{"clusters":{"":{}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePreferences(s)
		if err != nil {
			if !reflect.DeepEqual(p, Preferences{}) {
				t.Fatalf("%q: %v and %v", s, p, err)
			}
			return
		}
		for name, c := range p.Clusters {
			if name == "" || c.Min < 0 || c.Weight < 0 || c.Max != nil && *c.Max < c.Min {
				t.Fatalf("%q: %q: %+v", s, name, c)
			}
		}
		if plan := Split(p, 100, []Cluster{{Name: "a"}, {Name: "b", Current: 7}}, s); plan.Sum() > 100 {
			t.Fatalf("%q: %v", s, plan)
		}
	})
}
