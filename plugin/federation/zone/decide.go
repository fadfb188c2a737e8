package zone

import (
	"net/netip"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
)

// An action is what becomes of a question for a name in a domain.
type action uint8

// The actions.
const (
	give   action = iota // what the federations have for the name: records, or none of the type
	lookUp               // the static records have something, or may have
	deny                 // there is nothing, or it isn't known yet
	passOn               // the next plugin may have something
)

// A question is what a decision is about, and who asks.
type question struct {
	name    string   // in lower case
	labels  []string // before the domain
	from    netip.Addr
	network netip.Prefix // of the client, as who asks says; invalid: nothing is said
}

// Resolve makes a, which is zero, the answer for a name of the domain, in lower case, from what clusters say;
// labels are those before it, and static are its records.
func (d *Domain) Resolve(a *answer.Answer, s *snapshot.Snapshot, static *Static, name string, labels []string, t answer.Type, now time.Duration) {
	if d.Lead != nil {
		a.ResolveInside(s, &d.Members[0], labels, t, now)
		return
	}
	Resolve(a, s, d.Members, static, name, labels, t, now)
}

// Resolve is that for some of a domain's federations.
func Resolve(a *answer.Answer, s *snapshot.Snapshot, members []answer.Member, static *Static, name string, labels []string, t answer.Type, now time.Duration) {
	a.Resolve(s, members, labels, t, now)
	orHost(a, s, members, static, name, labels, t, now)
}

// decide decides about a question, given what the federations have for the name, of which
// it chooses. Both ways to an answer, past the chain of plugins and through it, go by it.
// scope is how much of the client's network the answer depends on (RFC 7871).
func (d *Domain) decide(b *Block, static *Static, q *question, a *answer.Answer) (do action, scope uint8) {
	if a.Service != nil && a.TTL > 0 {
		if scope = b.Choose(a, q.from, q.network); a.Outcome != answer.NotReady {
			return give, scope
		}
	}
	if static.mayAnswer(q.name, q.labels, a) {
		return lookUp, scope
	}
	return d.without(q.name, a), scope
}

// without decides where the static records have nothing.
func (d *Domain) without(name string, a *answer.Answer) action {
	// A copy of the name: what is asked may be gone when another plugin looks at it.
	if len(d.Fall.Zones) > 0 && others(a) && d.Fall.Through(strings.Clone(name)) {
		return passOn
	}
	return deny
}

// others says whether a name may be another plugin's: one that is none here. One below
// a federation's label is nobody else's before it is known what stands there.
func others(a *answer.Answer) bool {
	return a.Outcome == answer.NameError || a.Outcome == answer.NotReady && a.Federation == nil
}
