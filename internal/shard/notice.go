package shard

import (
	"github.com/fedns/fedns/internal/topology"
)

// A Notice is something an operator should know, said once.
type Notice struct {
	Cluster topology.ClusterName
	Kind    NoticeKind
	Text    string
}

// A NoticeKind is what a metric counts notices by.
type NoticeKind string

// The kinds of notices.
const (
	BadLabel        NoticeKind = "label"     // a topology label that can't be part of a name
	Ungranted       NoticeKind = "grant"     // a name or a host that the cluster may not have
	BadAddress      NoticeKind = "address"   // an address outside the cluster's range, or that nobody can use
	Disagreement    NoticeKind = "disagree"  // members' annotations that differ
	ScopeClash      NoticeKind = "scope"     // a zone and a region of one name
	UnknownOverride NoticeKind = "override"  // an order that changes nothing: its cluster isn't there, or no policy minds it
	Unread          NoticeKind = "unread"    // an object of a kind or version that isn't read
	NameClash       NoticeKind = "namespace" // a namespace that has the federation's name
	Oversized       NoticeKind = "answers"   // more addresses than an answer may have
	BadProbe        NoticeKind = "probe"     // a probe that isn't made, or not as often as asked
	LesserPolicy    NoticeKind = "policy"    // a policy of an annotation that means less than it says
)
