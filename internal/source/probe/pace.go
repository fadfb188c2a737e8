package probe

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// A Payer is who has something probed: a namespace of a member of a federation.
type Payer struct{ Federation, Member, Namespace string }

func (p Payer) compare(o Payer) int {
	return cmp.Or(cmp.Compare(p.Federation, o.Federation), cmp.Compare(p.Member, o.Member), cmp.Compare(p.Namespace, o.Namespace))
}

// A Want is a target that somebody wants probed.
type Want struct {
	Target
	By    Payer
	Rates Rates // of By's federation
	Free  bool  // the operator allows the address, whatever it is
}

// A Job is a target that is probed: how often, and at whose cost.
type Job struct {
	Target
	Every time.Duration // its interval, or longer
	By    Payer
	Free  bool
}

// Pace makes jobs of what is wanted, each target one, and keeps them within the rates:
// of a namespace, of an address, of a member, and of all. Where a rate isn't enough it is
// shared so that whoever asks for little has all of it, and those who ask for most are
// slowed to the same. What several want costs the one who asks for least: that others want
// it too makes it no rarer.
func Pace(wants []Want) []Job {
	asked := map[Payer]float64{}
	rates := map[Payer]Rates{}
	type claim struct {
		Target
		By Payer
	}
	claims := map[claim]bool{}
	for _, w := range wants {
		if c := (claim{w.Target, w.By}); !claims[c] {
			claims[c] = true
			asked[w.By] += perSecond(w.Spec.Interval)
			rates[w.By] = w.Rates
		}
	}
	index := map[Target]int{}
	var jobs []Job
	for _, w := range wants {
		i, ok := index[w.Target]
		if !ok {
			index[w.Target] = len(jobs)
			jobs = append(jobs, Job{Target: w.Target, By: w.By, Free: w.Free})
			continue
		}
		j := &jobs[i]
		j.Free = j.Free || w.Free
		if cmp.Or(cmp.Compare(asked[w.By], asked[j.By]), w.By.compare(j.By)) < 0 {
			j.By = w.By
		}
	}
	rate := make([]float64, len(jobs))
	payers := map[Payer][]int{}
	addrs := map[netip.Addr][]int{}
	for i, j := range jobs {
		rate[i] = perSecond(j.Spec.Interval)
		payers[j.By] = append(payers[j.By], i)
		addrs[j.Addr.Addr()] = append(addrs[j.Addr.Addr()], i)
	}
	for p, mine := range payers {
		scale(rate, mine, rates[p].Namespace)
	}
	for _, there := range addrs {
		bound := float64(maxRate)
		among := map[Payer][]int{}
		for _, i := range there {
			bound = min(bound, rates[jobs[i].By].Address)
			among[jobs[i].By] = append(among[jobs[i].By], i)
		}
		divide(rate, among, bound)
	}
	members := map[Payer]map[Payer][]int{} // by federation and member
	for p, mine := range payers {
		m := Payer{Federation: p.Federation, Member: p.Member}
		if members[m] == nil {
			members[m] = map[Payer][]int{}
		}
		members[m][p] = mine
	}
	all := map[Payer][]int{}
	for m, among := range members {
		for p, mine := range among {
			all[m] = append(all[m], mine...)
			rates[m] = rates[p]
		}
	}
	for m, share := range fill(sums(rate, all), maxRate, func(m Payer) float64 { return rates[m].Member }) {
		divide(rate, members[m], share)
	}
	for i := range jobs {
		jobs[i].Every = max(jobs[i].Spec.Interval, time.Duration(float64(time.Second)/rate[i]))
	}
	return jobs
}

func perSecond(interval time.Duration) float64 { return float64(time.Second) / float64(interval) }

// sums are the rates that each asks for.
func sums(rate []float64, of map[Payer][]int) map[Payer]float64 {
	out := map[Payer]float64{}
	for p, mine := range of {
		for _, i := range mine {
			out[p] += rate[i]
		}
	}
	return out
}

// divide keeps the rates of several within a bound for them all.
func divide(rate []float64, among map[Payer][]int, bound float64) {
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
func fill(asked map[Payer]float64, bound float64, most func(Payer) float64) map[Payer]float64 {
	out := map[Payer]float64{}
	for p, a := range asked {
		if most != nil {
			a = min(a, most(p))
		}
		out[p] = a
	}
	order := slices.SortedFunc(maps.Keys(out), func(a, b Payer) int { return cmp.Or(cmp.Compare(out[a], out[b]), a.compare(b)) })
	for i, p := range order {
		out[p] = min(out[p], bound/float64(len(order)-i))
		bound -= out[p]
	}
	return out
}
