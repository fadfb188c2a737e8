package workload

// Tally is how many of what an object is counted by it is to have in a cluster, and how many of
// those are ready there; false: it isn't counted.
func (w *Desired) Tally(s Propagation, h *Observed) (desired, ready int64, ok bool) {
	if w.tally == nil {
		return 0, 0, false
	}
	scale, status := s.Scale, Object(nil)
	if s.Asked != nil {
		scale = s.Asked
	}
	switch {
	case h != nil && h.Ours:
		status = h.Part.Status
		if seen, told := number(status, "observedGeneration"); told && seen < h.Part.Generation {
			status = nil // its controller hasn't looked yet
		}
	case s.Final != nil:
		status = s.Final
	}
	desired, ready = w.tally(scale, status)
	return desired, min(ready, desired), true
}

// Count is how many it is to have in all clusters, where that is said; false: it isn't, or not
// here.
func (w *Desired) Count() (n int64, ok bool) {
	if w.tally == nil || len(w.Total) == 0 {
		return 0, false
	}
	n, _ = w.tally(w.Total, nil)
	return n, true
}

// Ends says whether it runs to an end: what isn't done yet is no fault.
func (w *Desired) Ends() bool { return w.ended != nil }

// replicasReady counts the replicas of a workload.
func replicasReady(scale Scale, status Object) (desired, ready int64) {
	ready, _ = number(status, "readyReplicas")
	return scale["replicas"], ready
}

// nodesReady counts the pods of a DaemonSet, of which each cluster says how many there are to be.
func nodesReady(_ Scale, status Object) (desired, ready int64) {
	desired, _ = number(status, "desiredNumberScheduled")
	ready, _ = number(status, "numberReady")
	return desired, ready
}

// completed counts what of a Job has succeeded. One without completions is a queue, of which
// nobody knows how much is left: its pods are counted.
func completed(scale Scale, status Object) (desired, ready int64) {
	ready, _ = number(status, "succeeded")
	if n, ok := scale["completions"]; ok {
		return n, ready
	}
	return scale["parallelism"], ready
}
