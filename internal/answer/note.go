package answer

import (
	"iter"

	"github.com/fedns/fedns/internal/topology"
)

// The codes of extended errors that answers carry (RFC 8914 section 5.2).
const (
	NoteOther    uint16 = 0
	NoteStale    uint16 = 3
	NoteNotReady uint16 = 14
)

// NoName is why a name doesn't exist that isn't formed like a service's: what that
// says has been said by the response code.
const NoName = "no such name"

// A Note is what a client is told beside the records, as an extended error
// (RFC 8914).
type Note struct {
	Code   uint16
	text   string
	scoped bool // the scope is spelled behind the text
	scope  topology.Scope
}

// Append adds the text of the note.
func (n Note) Append(b []byte) []byte {
	b = append(b, n.text...)
	if n.scoped {
		b = n.scope.Append(b)
	}
	return b
}

func (n Note) String() string { return string(n.Append(nil)) }

// Notes lists what a client is told beside the answer.
func (a *Answer) Notes() iter.Seq[Note] {
	return func(yield func(Note) bool) {
		if a.Outcome == NotReady {
			n := Note{Code: NoteNotReady, text: a.Awaits}
			if n.text == "" {
				n.text = "not every cluster has been listed yet"
			}
			yield(n)
			return
		}
		if a.Stale && !yield(Note{Code: NoteStale, text: "a cluster is silent; this is what it said last"}) {
			return
		}
		if a.Service != nil && a.Service.Note != "" && !yield(Note{Code: NoteOther, text: a.Service.Note}) {
			return
		}
		none := "no healthy shard in "
		if a.Awaits != "" && (a.Outcome == NoData || a.Hops > 0) {
			none = "no shard is known to be healthy in "
			if !yield(Note{Code: NoteOther, text: a.Awaits}) {
				return
			}
		}
		switch {
		case a.Outcome == NoData, a.Outcome == NameError && a.Why != NoName:
			yield(Note{Code: NoteOther, text: a.Why})
		case a.Outcome == Found && a.LeavesCluster && a.Hops == 0 && a.Service.Local != nil:
			yield(Note{Code: NoteOther, text: "no ready endpoint with this port in this cluster"})
		case a.Outcome == Found && a.LeavesCluster && a.Hops == 0:
			yield(Note{Code: NoteOther, text: "no healthy shard in this cluster"})
		case a.Outcome == Found && a.LeavesCluster:
			yield(Note{Code: NoteOther, text: "no healthy shard in this cluster, nor in ", scoped: true, scope: a.Scope})
		case a.Outcome == Found && a.Hops > 0 && a.Path.Port != "" && len(a.Service.In(a.Scope)) > 0:
			yield(Note{Code: NoteOther, text: "no ready endpoint with this port in ", scoped: true, scope: a.Scope})
		case a.Outcome == Found && a.Hops > 0:
			yield(Note{Code: NoteOther, text: none, scoped: true, scope: a.Scope})
		}
	}
}
