package v1alpha1

// A Mark is what the manual says of a label or an annotation, or of several that say one thing.
//
// +kubebuilder:object:generate=false
type Mark struct {
	Name string // as it is written, in Markdown
	Says string // what it does or says, in Markdown
}

// InMembers are what users write on Services, Ingresses, Gateways and routes in a member.
var InMembers = []Mark{
	{"label `fedns.io/export=true`",
		"exports it (see [`select`](corefile.md#federation)); its EndpointSlices are those that name it (label `kubernetes.io/service-name`), whoever writes them and however they are labelled otherwise"},
	{"`fedns.io/addresses: 203.0.113.7, 2001:db8::7`",
		"these addresses are announced instead (NAT, bare metal)"},
	{"`fedns.io/ttl: 60s`",
		"TTL of its answers; where members disagree, that of the federation counts; within [`ttl`](corefile.md) of the federation, which can also say that it doesn't count (`annotations`)"},
	{"`fedns.io/hostname: nginx.acme.com, eu.nginx.acme.com=europe-west1`",
		"on a Service: [names of its own](../hosts.md#names-of-a-services-own); `external-dns.alpha.kubernetes.io/hostname` is read with [`hostnames external-dns`](corefile.md)"},
	{"`fedns.io/front: NAMESPACE/SERVICE`",
		"on an Ingress, a Gateway, and their classes: the Service that clients come in by; see [what stands in front](../concepts.md#what-stands-in-front)"},
	{"`fedns.io/probe`, `fedns.io/probe-address`",
		"how and where its shards are probed, with `probe ... annotations on`; see [what is probed](../health.md#what-is-probed)"},
	{"`fedns.io/policy: nearest`",
		"which shards a client gets, on a Service, an Ingress, a Gateway or a route; see [policies](../policies.md) and, for hosts, [hosts](../hosts.md)"},
	{"`fedns.io/weight: 10`",
		"on a Service: its share under the policy `weighted`, from 0 to 65535, 1 by default"},
}

// OnFederated are what operators write on federated objects, and what fedsync remembers there.
var OnFederated = []Mark{
	{"`fedns.io/cluster-selector: '[{\"key\":\"location\",\"operator\":\"in\",\"values\":[\"eu\"]}]'`",
		"only to clusters with such labels (`[]`: to all); on a Namespace, for all in it. A Secret goes nowhere where neither has it"},
	{"`fedns.io/tolerations: '[{\"key\":\"k\",\"operator\":\"Exists\"}]'`",
		"also to clusters with such taints (`spec.taints`: NoSchedule keeps new ones out, NoExecute takes away)"},
	{"`fedns.io/preferences: '{\"rebalance\":false,\"clusters\":{\"NAME\":{\"minReplicas\":1,\"maxReplicas\":9,\"weight\":2},\"*\":{\"weight\":1}}}'`",
		"how replicas (of a Job parallelism and completions, of an autoscaler its range) are split, else in equal shares; of what [can't be split](../workloads.md#what-a-split-does), which cluster has it"},
	{"`fedns.io/overrides: '[{\"clusters\":[\"NAME\"],\"merge\":{\"spec\":{\"storageClassName\":\"fast\"}}}]'`",
		"what is different in some clusters, as a JSON patch or a merge patch: see [workloads](../workloads.md#what-is-different-in-a-cluster)"},
	{"`fedns.io/follow: dependencies`",
		"on a workload: the ConfigMaps, Secrets, ServiceAccounts and claims that its pods name go with it; see [workloads](../workloads.md#what-goes-with-a-workload)"},
	{"`fedns.io/propagate: \"false\"`",
		"not to the clusters, but for those where a workload goes that it follows; on a Namespace, all in it that doesn't say `\"true\"`"},
	{"`fedns.io/adopt: \"true\"`",
		"takes over objects of that name that aren't ours; on a Namespace, or on a Cluster, all that is in it; a time is of what was made before, and `\"false\"` of none: see [workloads](../workloads.md#what-was-there-before)"},
	{"`fedns.io/surge: 25%`",
		"how many replicas there may be beyond those that are wanted while some move from one cluster to another: a percentage of these, rounded up, or a number; see [moves](../workloads.md#moves-without-a-gap)"},
	{"`fedns.io/orphan: \"true\"`",
		"leaves the clusters' objects when it is deleted, as `kubectl delete --cascade=orphan` does; on a Namespace, all in it"},
	{"`fedns.io/release: NAME,...`",
		"its deletion no longer waits for these clusters; `*` is all"},
	{"`fedns.io/everywhere`",
		"`\"true\"` on a CronJob: each cluster does all that it says, and not one of them"},
	{"`fedns.io/status`",
		"written by fedsync, what it has to remember: how it stands in each cluster, since when, with which part of what is split, and the condition `Propagated`. What people read is in its [Placement](crd.md#placement); an API without that kind has errors and reasons here, too"},
}

// ByPrograms are what fedns, fedsync and fedctl write, and nobody else need.
var ByPrograms = []Mark{
	{"label `fedns.io/managed-by=fedsync`",
		"fedsync keeps this object in a member"},
	{"`fedns.io/federation`",
		"the federation that an object belongs to"},
	{"`fedns.io/applied`",
		"a digest of what fedsync has applied last"},
	{"`fedns.io/digest`, `fedns.io/confirmed`",
		"the list of deletions that wait, and the one that an operator has confirmed; see [workloads](../workloads.md#what-isnt-ours-is-safe)"},
	{"`fedns.io/fedsync`",
		"the finalizer of a federated object: it stays until its like are gone from the clusters"},
	{"`fedns.io/cluster`",
		"on the service accounts in a member: what the cluster is called"},
	{"`fedns.io/token-life`",
		"on those Secrets: how long their tokens are to last; fedsync renews them"},
	{"`fedns.io/no-secrets`",
		"on fedsync's ClusterRole in a member: it may have no Secrets there"},
	{"`fedns.io/cluster-identity`",
		"on the Secrets of a cluster: which cluster it is"},
	{"`fedns.io/kinds`",
		"on a ClusterRole: the kinds that `--kind`, or the federation's settings, have added to it"},
	{"`fedns.io/returning`",
		"on a Cluster: `fedctl undrain` has begun, and replicas may come back"},
	{"label `fedns.io/server`",
		"on a Lease: a fedns is there"},
	{"`fedns.io/version`, `fedns.io/overrides`, `fedns.io/published`",
		"on that Lease: its version, the orders in its file, and what it answers: serial, digest, clusters that it doesn't hear"},
	{"labels `fedns.io/publishes`, `fedns.io/domain`",
		"on a DNSEndpoint: the federation and the domain whose names fedns [publishes](../publish.md#by-external-dns) by it"},
	{"`fedns.io/etcd-formed`",
		"on the StatefulSet of etcd that `fedctl init --ha` makes: its members know each other"},
	{"`fedns.io/restoring`",
		"on what `fedctl restore` has made, until it has all that it had"},
	{"label `app.kubernetes.io/managed-by=fedctl`",
		"made by `fedctl init` or `fedctl join`"},
}
