package kube

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/fedns/fedns/internal/api/builtin"
)

// An Origin is where the objects of an API come from. Its watches have to begin anew if
// that is another one, since they wait for revisions that it may not reach for years,
// and say nothing.
type Origin struct {
	// Identity is the UID of the namespace kube-system, by which clusters are told
	// apart; "": it may not be asked for.
	Identity string
	// Revision is how far the store has come, as the resourceVersion of a list. One that
	// falls says that the store was restored from an older copy, or lost. "": not known.
	Revision string
}

// Origin asks for it, by lists of a kind: two calls for one object each, for as long as one
// call may take.
func (a *API) Origin(ctx context.Context, k Kind) (o Origin, err error) {
	ctx, end := context.WithTimeout(ctx, callTimeout)
	defer end()
	ns, err := a.Get(ctx, builtin.Namespaces, "", builtin.Identity)
	switch {
	case err == nil:
		o.Identity = string(ns.GetUID())
	case !Refused(err) && !Missing(err):
		return o, err
	}
	o.Revision, err = a.Revision(ctx, k)
	if Refused(err) {
		err = nil
	}
	return o, err
}

// Another says how what is there now isn't what was known; "": it is. A revision that is no
// number says nothing.
func (o Origin) Another(now Origin) string {
	was, unknown := strconv.ParseUint(o.Revision, 10, 64)
	is, unsaid := strconv.ParseUint(now.Revision, 10, 64)
	switch {
	case o.Identity != "" && now.Identity != "" && o.Identity != now.Identity:
		return fmt.Sprintf("its kube-system is %s, and was %s", now.Identity, o.Identity)
	case unknown == nil && unsaid == nil && is < was:
		return fmt.Sprintf("its revision is %s, and was %s", now.Revision, o.Revision)
	}
	return ""
}

// Next is what is known once there is more: what can't be asked for now stays.
func (o Origin) Next(now Origin) Origin {
	now.Identity, now.Revision = cmp.Or(now.Identity, o.Identity), cmp.Or(now.Revision, o.Revision)
	return now
}
