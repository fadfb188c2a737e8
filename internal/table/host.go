package table

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Admits says whether a host is in a domain of the federation, and if so, what else
// stands there and comes first; "": nothing. own says that it is a Service's own name, which the domain's may be.
type Admits func(host string, own bool) (ours bool, against string)

// Serve lets the table answer hosts. Federations that may stand under one domain
// share an arbiter.
func (t *Table) Serve(federation string, admits Admits, a *Arbiter) {
	t.name, t.admits, t.arbiter = federation, admits, a
}

func (t *Table) admit(host string, own bool) (ours bool, against string) {
	if t.admits == nil {
		return false, ""
	}
	return t.admits(host, own)
}

// Refused counts the claims on hosts that are refused.
func (t *Table) Refused() int { return t.refused }

// An Arbiter decides which namespace holds a host that several claim: the one
// whose object was seen first, for as long as it is there. It belongs to the owner of the tables that share it.
type Arbiter struct {
	contests map[string]*contest
	open     map[string]bool // that are to be decided
}

// NewArbiter is one that nobody has turned to.
func NewArbiter() *Arbiter { return &Arbiter{map[string]*contest{}, map[string]bool{}} }

// A contest is about one host. Mostly there is one claim.
type contest struct {
	claims []*claimant
	before map[*Table]snapshot.Key // who held it in an earlier process
}

// A claimant is a namespace of a federation that claims a host.
type claimant struct {
	table   *Table
	key     snapshot.Key
	oldest  *shard.Service // its object that was seen first
	unsaid  bool           // it isn't known yet whether it is one
	against string         // what comes first, whoever else claims the host
	firm    bool           // it held the host while it was known to be one, or in an earlier process
	doubted bool           // it holds the host, and another that isn't one yet would
	decided bool
	refused string // why; "": it holds the host
}

// about is the contest about a host, which is to be decided anew.
func (a *Arbiter) about(host string) *contest {
	a.open[host] = true
	if a.contests[host] == nil {
		a.contests[host] = &contest{}
	}
	return a.contests[host]
}

// contest has a host decided anew for which a claim has come, gone or changed.
func (a *Arbiter) contest(t *Table, k snapshot.Key) {
	c := a.about(k.Name)
	if !slices.ContainsFunc(c.claims, func(o *claimant) bool { return o.table == t && o.key == k }) {
		c.claims = append(c.claims, &claimant{table: t, key: k, firm: c.before[t] == k})
	}
}

// Reevaluate has all hosts decided anew: what stands beside them has changed.
func (a *Arbiter) Reevaluate() {
	for h := range a.contests {
		a.open[h] = true
	}
}

// holds says whether a service may be answered: no host that is refused.
func (a *Arbiter) holds(t *Table, k snapshot.Key) bool {
	if k.Kind != snapshot.Host {
		return true
	}
	c := a.contests[k.Name]
	return c != nil && slices.ContainsFunc(c.claims, func(o *claimant) bool { return o.table == t && o.key == k && o.holds() })
}

// lost says whether a host is held by others.
func (a *Arbiter) lost(t *Table, k snapshot.Key) bool {
	c := a.contests[k.Name]
	return k.Kind == snapshot.Host && c != nil && !a.holds(t, k) &&
		slices.ContainsFunc(c.claims, (*claimant).holds)
}

// doubted says whether a host would be another's if that one's routes were let in.
func (a *Arbiter) doubted(t *Table, k snapshot.Key) bool {
	c := a.contests[k.Name]
	return k.Kind == snapshot.Host && c != nil && slices.ContainsFunc(c.claims, func(o *claimant) bool { return o.table == t && o.key == k && o.doubted })
}

// settle decides what is open.
func (a *Arbiter) settle() {
	if len(a.open) == 0 {
		return
	}
	for _, h := range slices.Sorted(maps.Keys(a.open)) {
		c := a.contests[h]
		if c.decide(); len(c.claims) == 0 && c.before == nil {
			delete(a.contests, h)
		}
	}
	a.open = map[string]bool{}
}

func (c *contest) decide() {
	c.claims = slices.DeleteFunc(c.claims, func(o *claimant) bool {
		gone := !o.look()
		if gone {
			o.rule("")
			o.table.dirty[o.key] = true
		}
		return gone
	})
	slices.SortFunc(c.claims, func(a, b *claimant) int {
		return cmp.Or(shard.CompareBool(!a.firm, !b.firm), shard.CompareBool(a.unsaid, b.unsaid), a.compare(b))
	})
	var holder *claimant
	for _, o := range c.claims {
		why := o.against
		switch {
		case why != "":
		case holder == nil:
			holder = o
		default:
			why = holder.outranks(o)
		}
		if o.decided && o.refused == why {
			continue
		}
		switch {
		case why != "":
			o.table.say("%s: refused: %s", o.key, why)
		case o.decided:
			o.table.say("%s: holds it now", o.key)
		}
		o.rule(why)
		o.decided = true
		o.table.dirty[o.key] = true
	}
	for _, o := range c.claims { // the holder stays while it is there
		o.firm = o == holder && (o.firm || !o.unsaid && !o.table.beginning)
	}
	for _, o := range c.claims {
		doubted := o == holder && !o.unsaid && slices.ContainsFunc(c.claims, func(other *claimant) bool {
			return other.unsaid && other.against == "" && other.compare(o) < 0
		})
		if o.doubted != doubted {
			o.doubted = doubted
			o.table.dirty[o.key] = true
		}
	}
}

// compare sorts claims that are known to be ones: the oldest holds the host.
func (o *claimant) compare(other *claimant) int {
	return cmp.Or(compareSight(o.oldest, other.oldest), cmp.Compare(o.key.Namespace, other.key.Namespace), cmp.Compare(o.table.name, other.table.name))
}

// holds says whether the host is the claimant's.
func (o *claimant) holds() bool { return o.decided && o.refused == "" }

// restore notes who held a host in an earlier process.
func (a *Arbiter) restore(t *Table, k snapshot.Key) {
	c := a.about(k.Name)
	if c.before == nil {
		c.before = map[*Table]snapshot.Key{}
	}
	c.before[t] = k
	for _, o := range c.claims {
		o.firm = o.firm || o.table == t && o.key == k
	}
}

// forget has nobody else of a federation hold a host since before.
func (a *Arbiter) forget(t *Table, k snapshot.Key) {
	if c := a.contests[k.Name]; c != nil {
		for _, o := range c.claims {
			o.firm = o.firm && (o.table != t || o.key == k)
		}
	}
}

// rule notes whether a claim is refused.
func (o *claimant) rule(why string) {
	if o.refused != "" {
		o.table.refused--
	}
	if o.refused = why; why != "" {
		o.table.refused++
	}
}

// look finds out how old a claim is, and what is against it; false: it is none any
// more.
func (o *claimant) look() bool {
	s := o.table.services[o.key]
	if s == nil {
		return false
	}
	found, own := false, false
	for i, p := range s.pieces {
		if p == nil || p.object == nil || !o.table.members[i].complete() {
			continue
		}
		its := p.object.Routing()
		if unsaid := its.Unsaid == shard.Wholly; !found || cmp.Or(shard.CompareBool(unsaid, o.unsaid), compareSight(p.object, o.oldest)) < 0 {
			o.oldest, o.unsaid = p.object, unsaid
		}
		found, own = true, own || its.Alias != ""
	}
	_, o.against = o.table.admit(o.key.Name, own)
	return found
}

// outranks says why a host isn't another's.
func (o *claimant) outranks(other *claimant) string {
	text := "namespace " + o.key.Namespace
	if other.unsaid && !o.unsaid {
		return text + " holds it, and this one's routes aren't accepted yet"
	}
	if o.table != other.table {
		text += " of federation " + o.table.name
	}
	switch {
	case compareSight(o.oldest, other.oldest) == 0:
		return text + " holds it, of the same age and first by name"
	case o.compare(other) > 0:
		return text + " holds it, and has claimed it first"
	case o.oldest.Seen == other.oldest.Seen:
		return text + " holds it, and is older"
	}
	return text + " holds it, and was seen first"
}

// A ClaimStatus is a claim on a host, and what has become of it.
type ClaimStatus struct {
	Federation, Namespace string
	Created               int64  // Unix seconds; 0: it isn't said
	Refused               string // why; "": it holds the host
}

// Claims are those on a host, the holder's first.
func (a *Arbiter) Claims(host string) []ClaimStatus {
	a.settle()
	c := a.contests[host]
	if c == nil {
		return nil
	}
	out := make([]ClaimStatus, 0, len(c.claims))
	for _, o := range c.claims {
		out = append(out, ClaimStatus{o.table.name, o.key.Namespace, o.oldest.Created, o.refused})
	}
	slices.SortStableFunc(out, func(a, b ClaimStatus) int { return min(len(a.Refused), 1) - min(len(b.Refused), 1) })
	return out
}
