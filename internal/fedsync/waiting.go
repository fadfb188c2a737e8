package fedsync

// How deletions wait for an operator, and are confirmed: a ConfigMap in
// fedapi.System lists them, a key for each cluster. Its annotation DigestOf is a
// digest of the list; an annotation Confirmed of the same value lets them go.
const (
	WaitingName = waitingName
	DigestOf    = digestOf
	Confirmed   = confirmed
)
