package probe

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// A Requester is who has something probed: a namespace of a member of a federation.
type Requester struct{ Federation, Member, Namespace string }

func (p Requester) compare(o Requester) int {
	return cmp.Or(cmp.Compare(p.Federation, o.Federation), cmp.Compare(p.Member, o.Member), cmp.Compare(p.Namespace, o.Namespace))
}

// A Request is a target that somebody wants probed.
type Request struct {
	Target
	Requester Requester
	Rates     Rates // of By's federation
	Free      bool  // the operator allows the address, whatever it is
}

// A Job is a target that is probed: how often, and at whose cost.
type Job struct {
	Target
	Every     time.Duration // its interval, or longer
	Requester Requester
	Free      bool
}

// Pace makes jobs of what is wanted, each target one, and keeps them within the rates:
// of a namespace, of an address, of a member, and of all. Where a rate isn't enough it is
// shared so that whoever asks for little has all of it, and those who ask for most are
// slowed to the same. What several want costs the one who asks for least: that others want
// it too makes it no rarer.
func Pace(wants []Request) []Job {
	asked := map[Requester]float64{}
	rates := map[Requester]Rates{}
	type claim struct {
		Target
		By Requester
	}
	claims := map[claim]bool{}
	for _, w := range wants {
		if c := (claim{w.Target, w.Requester}); !claims[c] {
			claims[c] = true
			asked[w.Requester] += perSecond(w.Spec.Interval)
			rates[w.Requester] = w.Rates
		}
	}
	index := map[Target]int{}
	var jobs []Job
	for _, w := range wants {
		i, ok := index[w.Target]
		if !ok {
			index[w.Target] = len(jobs)
			jobs = append(jobs, Job{Target: w.Target, Requester: w.Requester, Free: w.Free})
			continue
		}
		j := &jobs[i]
		j.Free = j.Free || w.Free
		if cmp.Or(cmp.Compare(asked[w.Requester], asked[j.Requester]), w.Requester.compare(j.Requester)) < 0 {
			j.Requester = w.Requester
		}
	}
	rate := make([]float64, len(jobs))
	payers := map[Requester][]int{}
	addrs := map[netip.Addr][]int{}
	for i, j := range jobs {
		rate[i] = perSecond(j.Spec.Interval)
		payers[j.Requester] = append(payers[j.Requester], i)
		addrs[j.Addr.Addr()] = append(addrs[j.Addr.Addr()], i)
	}
	for p, mine := range payers {
		scale(rate, mine, rates[p].Namespace)
	}
	for _, there := range addrs {
		bound := float64(maxRate)
		among := map[Requester][]int{}
		for _, i := range there {
			bound = min(bound, rates[jobs[i].Requester].Address)
			among[jobs[i].Requester] = append(among[jobs[i].Requester], i)
		}
		divide(rate, among, bound)
	}
	members := map[Requester]map[Requester][]int{} // by federation and member
	for p, mine := range payers {
		m := Requester{Federation: p.Federation, Member: p.Member}
		if members[m] == nil {
			members[m] = map[Requester][]int{}
		}
		members[m][p] = mine
	}
	all := map[Requester][]int{}
	for m, among := range members {
		for p, mine := range among {
			all[m] = append(all[m], mine...)
			rates[m] = rates[p]
		}
	}
	for m, share := range fill(sums(rate, all), maxRate, func(m Requester) float64 { return rates[m].Member }) {
		divide(rate, members[m], share)
	}
	for i := range jobs {
		jobs[i].Every = max(jobs[i].Spec.Interval, time.Duration(float64(time.Second)/rate[i]))
	}
	return jobs
}

func perSecond(interval time.Duration) float64 { return float64(time.Second) / float64(interval) }

// sums are the rates that each asks for.
func sums(rate []float64, of map[Requester][]int) map[Requester]float64 {
	out := map[Requester]float64{}
	for p, mine := range of {
		for _, i := range mine {
			out[p] += rate[i]
		}
	}
	return out
}

// divide keeps the rates of several within a bound for them all.
func divide(rate []float64, among map[Requester][]int, bound float64) {
	for p, share := range fill(sums(rate, among), bound, nil) {
		scale(rate, among[p], share)
	}
}

// scale keeps some rates within a bound for their sum.
func scale(rate []float64, some []int, bound float64) {
	sum := 0.0
	for _, i := range some {
		sum += rate[i]
	}
	if sum <= bound {
		return
	}
	for _, i := range some {
		rate[i] *= bound / sum
	}
}

// fill shares a bound among those who ask, who have bounds of their own if most isn't nil:
// whoever asks for no more than an equal part has it all, and what that leaves is shared
// by the others.
func fill(asked map[Requester]float64, bound float64, most func(Requester) float64) map[Requester]float64 {
	out := map[Requester]float64{}
	for p, a := range asked {
		if most != nil {
			a = min(a, most(p))
		}
		out[p] = a
	}
	order := slices.SortedFunc(maps.Keys(out), func(a, b Requester) int { return cmp.Or(cmp.Compare(out[a], out[b]), a.compare(b)) })
	for i, p := range order {
		out[p] = min(out[p], bound/float64(len(order)-i))
		bound -= out[p]
	}
	return out
}
