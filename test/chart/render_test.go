package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/vector"
)

// What the chart makes of values, each as an API server takes it.
func TestValues(t *testing.T) {
	c := cluster.New(t).API(t, "one")
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	c.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: federation-system}")
	for _, tt := range []struct {
		name   string
		values []string
		want   []string // in what is rendered; "!" before one: not
	}{
		{"nothing else", nil, []string{
			"kind: Deployment", "replicas: 2", "cluster local {", "registry here.kubeconfig", "federation-system", "kind: PodDisruptionBudget", "kind: NetworkPolicy",
			"runAsNonRoot: true", "readOnlyRootFilesystem: true", "drop: [ALL]", "maxUnavailable: 0, maxSurge: 1", "externalTrafficPolicy: Local", "emptyDir: {sizeLimit: 1Gi}",
			"name: clusters.fedns.io", "!resource-policy", "!kind: ServiceMonitor", "!component: fedsync",
		}},
		{"a DaemonSet on its nodes", []string{"--set", "kind=DaemonSet", "--set", "service.enabled=false"}, []string{
			"kind: DaemonSet", "hostNetwork: true", "containerPort: 53", "fed.example.com:53 {", "add: [NET_BIND_SERVICE]", "!kind: PodDisruptionBudget", "!type: LoadBalancer", "enforce: privileged",
		}},
		{"two Services", []string{"--set", "service.split=true"}, []string{"name: fedns-udp", "name: fedns-tcp"}},
		{"a claim", []string{"--set", "state.kind=persistentVolumeClaim", "--set", "state.storageClassName=fast"}, []string{"kind: StatefulSet", "storageClassName: fast", "!emptyDir"}},
		{"an API elsewhere", []string{"--set", "api.mode=elsewhere", "--set", "api.kubeconfigSecret=fed-fedns", "--set", "member.enabled=false"}, []string{
			"registry /etc/fedns/api/kubeconfig", "secretName: fed-fedns", "!cluster local", "!CustomResourceDefinition", "namespace: default", "automountServiceAccountToken: false",
		}},
		{"members that are said", []string{
			"--set", "api.mode=none", "--set", "clusters[0].name=eu", "--set", "clusters[0].kubeconfigSecret=eu", "--set", "clusters[0].region=eu-west1", "--set", "clusters[0].location=50.1 8.7",
			"--set", "clusters[0].addresses={198.51.100.0/24,2001:db8::/32}",
		}, []string{"kubeconfig /etc/fedns/clusters/eu/kubeconfig", "location 50.1 8.7", "addresses 198.51.100.0/24 2001:db8::/32", "!registry"}},
		{"name servers", []string{"--set", "nameservers.ns1={203.0.113.53,2001:db8::53}", "--set", "nameservers.ns2={198.51.100.53}"}, []string{
			"apex zone", "@ 3600 IN SOA ns1 hostmaster", "@ 3600 IN NS ns2", "ns1 3600 IN AAAA 2001:db8::53",
		}},
		{"options and plugins", []string{"--set", "options={policy nearest,hold 10m}", "--set", "plugins={log}", "--set", "geo.file=city.mmdb", "--set", "geo.volume.hostPath.path=/var/lib/GeoIP"}, []string{
			"        policy nearest", "        hold 10m", "    log", "geo /var/lib/geo/city.mmdb", "path: /var/lib/GeoIP",
		}},
		{"names for pods", []string{"--set", "member.clusterDomain=cluster.local"}, []string{"fed.svc.cluster.local:1053", "local local cluster.local"}},
		{"fedsync", []string{"--set", "fedsync.enabled=true"}, []string{"command: [/fedsync]", "component: fedsync", `name: "fedns.io:fedsync"`, "name: fedns-fedsync-metrics"}},
		{"a page for who is in the API's roles", []string{
			"--set", "status.expose=true", "--set", "status.review=true", "--set", "status.tls.secret=page-tls", "--set", "status.hosts={fedns.example.org,page.fed.svc}", "--set", "networkPolicy.status[0].namespaceSelector.matchLabels.team=ops",
		}, []string{
			"status 0.0.0.0:8053 tls /etc/fedns/status/tls/tls.crt /etc/fedns/status/tls/tls.key review here.kubeconfig host fedns.example.org page.fed.svc\n", "secretName: page-tls, defaultMode: 0440", "name: fedns-status",
			`name: "system:auth-delegator"`, "name: fedns-fed:fedns:status", `["/fedns/*"]`, "{port: status, protocol: TCP}\n    from:\n      - namespaceSelector:", "!token /etc", "{name: status, containerPort: 8053",
		}},
		{"a page for who shows a token", []string{"--set", "status.token.secret=page", "--set", "status.token.key=word"}, []string{
			"status 127.0.0.1:8053 token /etc/fedns/status/token/token\n", "secretName: page, defaultMode: 0440, items: [{key: \"word\", path: token}]", "!name: fedns-status", "!auth-delegator", "!port: status", "!containerPort: 8053",
		}},
		{"a page for who has a certificate", []string{"--set", "api.mode=none", "--set", "member.enabled=false", "--set", "clusters[0].name=eu", "--set", "clusters[0].kubeconfigSecret=eu", "--set", "status.expose=true", "--set", "status.tls.secret=page-tls", "--set", "status.tls.clientCA=true"}, []string{
			"tls.key /etc/fedns/status/tls/ca.crt\n", "!auth-delegator", "automountServiceAccountToken: false",
		}},
		{"kinds that stay", []string{"--set", "crds.keep=true"}, []string{"helm.sh/resource-policy: keep"}},
		{"a Corefile whole", []string{"--set", "corefile=fed.example.com:1053 { whoami }"}, []string{"fed.example.com:1053 { whoami }", "!cluster local {"}},
		{"rolled otherwise", []string{"--set", "strategy.rollingUpdate.maxUnavailable=1", "--set", "replicas=3", "--set-string", "podDisruptionBudget.maxUnavailable=50%", "--set", "lameduck=1m", "--set", "terminationGracePeriodSeconds=90"}, []string{
			"      maxUnavailable: 1\n", "maxUnavailable: 50%", "lameduck 1m",
		}},
		{"a DaemonSet, as a release before had its values", []string{"--set", "kind=DaemonSet", "--set", "replicas=2", "--set", "strategy.rollingUpdate.maxUnavailable=30%"}, []string{"kind: DaemonSet", "!  replicas: 2\n", "maxUnavailable: 30%"}},
		{"no bounds", []string{"--set", "resources=null", "--set", "fedsync.resources.limits=null", "--set", "strategy=null"}, []string{"maxUnavailable: 0, maxSurge: 1"}},
		{"an image by its digest", []string{"--set", "image.repository=registry.example/fedns", "--set", "image.digest=sha256:" + strings.Repeat("0f", 32)}, []string{"registry.example/fedns@sha256:0f0f"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := must(t, "", append(append([]string{"template", "fedns", dir}, said...), tt.values...)...)
			for _, want := range tt.want {
				if not, is := strings.CutPrefix(want, "!"); is && strings.Contains(text, not) || !is && !strings.Contains(text, want) {
					t.Errorf("rendered, and lacks, or has, %q", want)
				}
			}
			objects, err := kube.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				k, err := api.Find(t.Context(), groupOf(o.GetAPIVersion()), versionOf(o.GetAPIVersion()), o.GetKind())
				if err != nil {
					t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
				if _, _, err := api.Apply(t.Context(), k, o, kube.How{Manager: "test", DryRun: true, Force: true}); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
		})
	}
	t.Run("over the release before", func(t *testing.T) { upgrades(t, api) })
}

// upgrades has an API server take what the chart makes over what the release before has made of the same values,
// which stands in testdata: what can't be changed in place is the same.
func upgrades(t *testing.T, api *kube.API) {
	before, err := os.ReadFile(filepath.Join("testdata", "0.2.0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	now := must(t, "", append([]string{"template", "fedns", dir, "--namespace", "federation-system", "--set", "state.kind=persistentVolumeClaim", "--set", "fedsync.enabled=true", "--set", "nameservers.ns1={203.0.113.53}"}, said...)...)
	made := map[string]bool{}
	for _, text := range []string{string(before), now} {
		objects, err := kube.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(objects) < 15 {
			t.Fatalf("only %d objects", len(objects))
		}
		for _, o := range objects {
			k, err := api.Find(t.Context(), groupOf(o.GetAPIVersion()), versionOf(o.GetAPIVersion()), o.GetKind())
			if err != nil {
				t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
			if _, _, err := api.Apply(t.Context(), k, o, kube.How{Manager: "helm", Force: true}); err != nil {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
			id := k.Name + " " + o.GetNamespace() + "/" + o.GetName()
			if text == now {
				delete(made, id)
			} else {
				made[id] = true
			}
		}
	}
	for id := range made {
		if !strings.HasPrefix(id, "ConfigMap ") {
			t.Errorf("%s isn't made any more: a workload that has lost its name is another one", id)
		}
	}
}

func groupOf(apiVersion string) string {
	group, _, is := strings.Cut(apiVersion, "/")
	if !is {
		return ""
	}
	return group
}

func versionOf(apiVersion string) string { return apiVersion[strings.LastIndex(apiVersion, "/")+1:] }

// What can't be, with what is said of it.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{[]string{"--set", "domain="}, "domain: the domain whose names are to be answered isn't said"},
		{[]string{"--set", "federation="}, "federation: the federation's name isn't said"},
		{[]string{"--set", "domain=Fed.example.com"}, "domain"},
		{[]string{"--set", "domain=fed.example.com."}, "domain"},
		{[]string{"--set", "federation=a.b"}, "federation"},
		{[]string{"--set", "domian=fed.example.com"}, "domian"},
		{[]string{"--set", "replicas=many"}, "replicas"},
		{[]string{"--set", "replicas=-1"}, "replicas"},
		{[]string{"--set", "kind=Deploy"}, "kind"},
		{[]string{"--set", "api.mode=there"}, "mode"},
		{[]string{"--set", "api.mode=elsewhere"}, "api.kubeconfigSecret: with api.mode=elsewhere, the Secret whose key kubeconfig leads"},
		{[]string{"--set", "api.kubeconfigSecret=x"}, "api.kubeconfigSecret: it is read with api.mode=elsewhere only"},
		{[]string{"--set", "api.mode=none", "--set", "member.enabled=false"}, "there is no member"},
		{[]string{"--set", "clusters[0].name=eu"}, "kubeconfigSecret"},
		{[]string{"--set", "clusters[0].name=local", "--set", "clusters[0].kubeconfigSecret=x"}, "clusters: local is the name of two members"},
		{[]string{"--set", "member.addresses={203.0.113.0-255}"}, "addresses"},
		{[]string{"--set", "member.location=Berlin"}, "location"},
		{[]string{"--set", "member.enabled=false", "--set", "member.clusterDomain=cluster.local"}, "member.clusterDomain: names for this cluster's pods need"},
		{[]string{"--set", "kind=DaemonSet", "--set", "state.kind=persistentVolumeClaim"}, "state.kind: the pods of a DaemonSet can't have a claim each"},
		{[]string{"--set", "state.size=plenty"}, "size"},
		{[]string{"--set", "geo.file=city.mmdb"}, "geo.volume: the volume that geo.file is in isn't said"},
		{[]string{"--set", "service.type=ClusterIP", "--set", "service.loadBalancerIP=192.0.2.1"}, "is said of a LoadBalancer only"},
		{[]string{"--set", "service.externalTrafficPolicy=local"}, "externalTrafficPolicy"},
		{[]string{"--set", "nameservers.ns1={ns1.example.com}"}, "nameservers"},
		{[]string{"--set", "nameservers.ns1={}"}, "nameservers"},
		{[]string{"--set", "lameduck=10"}, "lameduck"},
		{[]string{"--set", "image.digest=sha256:12"}, "digest"},
		{[]string{"--set", "fedsync.enabled=true", "--set", "api.mode=none"}, "fedsync keeps what is in a federation's API"},
		{[]string{"--set", "crds.install=false"}, "crds.install: false, and the API doesn't have kind Cluster"},
		{[]string{"--set", "options={hold 10m\n}"}, "options"},
		{[]string{"--set", "status.expose=true"}, "status.expose: everybody who reaches the Service could look; say who may"},
		{[]string{"--set", "status.expose=true", "--set", "status.token.secret=page"}, "status.tls.secret: tokens would pass the network for everybody to read"},
		{[]string{"--set", "status.tls.clientCA=true"}, "status.tls.clientCA: whose certificates are asked for needs a certificate to show"},
		{[]string{"--set", "networkPolicy.status[0].ipBlock.cidr=192.0.2.0/24"}, "networkPolicy.status: nobody can ask port 8053"},
		{[]string{"--set", "status.review=true", "--set", "corefile=x"}, "status: it is of the Corefile that the chart makes"},
		{[]string{"--set", "status.hosts={fedns.example.org tls x y}"}, "hosts"},
		{[]string{"--set", "status.hosts={Fedns.example.org}"}, "hosts"},
		{[]string{"--set", "status.token=secret"}, "token"},
		{[]string{"--set", "status.tls.secret=../x"}, "secret"},
		{[]string{"--set", "status.review=maybe"}, "review"},
		{[]string{"--set", "status.public=true"}, "public"},
		// What contradicts.
		{[]string{"--set", "kind=DaemonSet", "--set", "replicas=3"}, "replicas: a DaemonSet has a pod on each node"},
		{[]string{"--set", "kind=DaemonSet", "--set", "strategy.type=Recreate"}, "strategy.type: a DaemonSet has RollingUpdate or OnDelete, and no Recreate"},
		{[]string{"--set", "kind=DaemonSet", "--set", "strategy.rollingUpdate.maxSurge=1"}, "strategy.rollingUpdate.maxSurge: the next pod of a DaemonSet can't start before"},
		{[]string{"--set", "kind=DaemonSet", "--set", "podDisruptionBudget.maxUnavailable=2"}, "podDisruptionBudget.maxUnavailable: draining a node leaves the pods of a DaemonSet alone"},
		{[]string{"--set", "kind=DaemonSet", "--set", "networkPolicy.monitoring[0].ipBlock.cidr=192.0.2.0/24"}, "networkPolicy: a NetworkPolicy isn't for pods on their node's network"},
		{[]string{"--set", "kind=DaemonSet", "--set", "service.type=NodePort"}, "service.type: the pods of a DaemonSet answer on their node's port 53 already"},
		{[]string{"--set", "strategy.type=OnDelete"}, "strategy.type: a Deployment has RollingUpdate or Recreate, and no OnDelete"},
		{[]string{"--set", "strategy.type=Recreate", "--set", "strategy.rollingUpdate.maxSurge=1"}, "strategy.rollingUpdate: it is of type RollingUpdate"},
		{[]string{"--set", "strategy.rollingUpdate.partition=1"}, "strategy.rollingUpdate.partition: it is of a StatefulSet"},
		{[]string{"--set", "strategy.rollingUpdate.maxSurge=0", "--set", "strategy.rollingUpdate.maxUnavailable=0"}, "strategy.rollingUpdate: no pod may go (maxUnavailable) and none may come"},
		{[]string{"--set", "strategy.maxSurge=1"}, "maxSurge"},
		{[]string{"--set", "state.kind=persistentVolumeClaim", "--set", "strategy.rollingUpdate.maxSurge=1"}, "strategy.rollingUpdate.maxSurge: a StatefulSet has no pods beyond its replicas"},
		{[]string{"--set", "state.storageClassName=fast"}, "state.storageClassName: it is of a claim, and state.kind is emptyDir"},
		{[]string{"--set", "podDisruptionBudget.maxUnavailable=0"}, "maxUnavailable"},
		{[]string{"--set-string", "podDisruptionBudget.maxUnavailable=0%"}, "maxUnavailable"},
		{[]string{"--set", "podDisruptionBudget.maxUnavailable=2"}, "podDisruptionBudget.maxUnavailable: 2 lets all 2 pods go at once"},
		{[]string{"--set-string", "podDisruptionBudget.maxUnavailable=100%"}, "podDisruptionBudget.maxUnavailable: 100% lets all 2 pods go at once"},
		{[]string{"--set", "networkPolicy.enabled=false", "--set", "networkPolicy.monitoring[0].ipBlock.cidr=192.0.2.0/24"}, "networkPolicy: who may ask is said, and networkPolicy.enabled is false"},
		{[]string{"--set", "lameduck=30s"}, "terminationGracePeriodSeconds: a pod is killed after 30 s, while it goes on answering for 30s (lameduck)"},
		{[]string{"--set", "lameduck=1m30s", "--set", "terminationGracePeriodSeconds=90"}, "terminationGracePeriodSeconds: a pod is killed after 90 s"},
		{[]string{"--set", "resources.limits.memory=64Mi"}, "resources: 128Mi of memory is requested, and the limit is 64Mi"},
		{[]string{"--set", "fedsync.resources.limits.cpu=20m"}, "fedsync.resources: 50m of cpu is requested, and the limit is 20m"},
		{[]string{"--set", "seccompProfile.type=Localhost"}, "seccompProfile.localhostProfile: with type Localhost, the profile's file"},
		{[]string{"--set", "seccompProfile.localhostProfile=fedns.json"}, "seccompProfile.localhostProfile: it is read with type Localhost only"},
		{[]string{"--set", "podLabels.app\\.kubernetes\\.io/name=dns"}, "podLabels: app.kubernetes.io/name is the chart's own"},
		{[]string{"--set", "podAnnotations.checksum/config=x"}, "podAnnotations: checksum/config is the chart's own"},
		{[]string{"--set", "podAnnotations.scrape=true"}, "podAnnotations"},
		{[]string{"--set", "nodeSelector.edge=true"}, "nodeSelector"},
		{[]string{"--set", "service.annotations.internal=true"}, "annotations"},
		{[]string{"--set", "extraVolumes[0].name=state"}, "extraVolumes: there is a volume state already"},
		{[]string{"--set", "extraVolumeMounts[0].name=keys", "--set", "extraVolumeMounts[0].mountPath=/keys"}, `extraVolumeMounts: there is no volume "keys"`},
		{[]string{"--set", "service.enabled=false", "--set", "service.annotations.a=b"}, "service.annotations: it is said of a Service, and service.enabled is false"},
		{[]string{"--set", "service.clusterIP=None"}, "service.clusterIP: a Service of type LoadBalancer can't be without an address"},
		{[]string{"--set", "service.split=true", "--set", "service.clusterIP=10.0.0.10"}, "service.clusterIP: two Services (service.split) can't both have 10.0.0.10"},
		{[]string{"--set", "service.ipFamilyPolicy=SingleStack", "--set", "service.ipFamilies={IPv4,IPv6}"}, "service.ipFamilies: two, and service.ipFamilyPolicy is SingleStack"},
		{[]string{"--set", "service.ipFamilies={IPv4,IPv4}"}, "ipFamilies"},
		{[]string{"--set", "service.ipFamilies={IPv6}", "--set", "service.loadBalancerIP=192.0.2.1"}, "service.loadBalancerIP: 192.0.2.1 is of IPv4, and service.ipFamilies is IPv6"},
		{[]string{"--set", "service.loadBalancerSourceRanges={192.0.2.1}"}, "loadBalancerSourceRanges"},
		{[]string{"--set", "nameservers.ns1={192.0.2.300}"}, "nameservers"},
		{[]string{"--set", "member.addresses={192.0.2.0/33}"}, "addresses"},
		{[]string{"--set", "clusters[0].name=" + strings.Repeat("a", 56), "--set", "clusters[0].kubeconfigSecret=x"}, "name"},
		{[]string{"--set", "corefile=x", "--set", "options={hold 10m}"}, "options: they are of the Corefile that the chart makes"},
		{[]string{"--set", "corefile=x", "--set", "member.region=us-east1"}, "member.region: it is of the Corefile that the chart makes"},
		{[]string{"--set", "options={registry other.kubeconfig}"}, `options: "registry other.kubeconfig" would stand twice in the Corefile, since the chart makes it of api.mode`},
		{[]string{"--set", "options={state /tmp}"}, "since the chart makes it of state.kind"},
		{[]string{"--set", "domain=fed.svc.cluster.local", "--set", "member.clusterDomain=cluster.local"}, "member.clusterDomain: the names of this cluster's pods would be under fed.svc.cluster.local"},
		{[]string{"--set", "member.enabled=false", "--set", "member.region=us-east1"}, "member.region: it is said of this cluster as a member"},
		{[]string{"--set", "api.context=fed"}, "api.context: it is of the kubeconfig of api.mode=elsewhere"},
		{[]string{"--set", "crds.install=false", "--set", "crds.keep=true", "--api-versions", "fedns.io/v1alpha1"}, "crds.keep: this release has no kinds to keep"},
		{[]string{"--set", "fedsync.args={--kind=x}"}, "fedsync: args or kubeconfigSecret is said, and fedsync.enabled is false"},
		{[]string{"--set", "fedsync.enabled=true", "--set", "fedsync.kubeconfigSecret=x"}, "fedsync.kubeconfigSecret: it is read with api.mode=elsewhere only"},
	} {
		t.Run(strings.Join(tt.values, " "), func(t *testing.T) {
			out, errs, err := helm(t, "", append(append([]string{"template", "fedns", dir}, said...), tt.values...)...)
			if err == nil || !strings.Contains(errs, tt.want) {
				t.Errorf("%v, want %q:\n%s\n%s", err, tt.want, errs, out)
			}
		})
	}
	if out := must(t, "", append([]string{"lint", "--strict", dir}, said...)...); !strings.Contains(out, "0 chart(s) failed") {
		t.Error(out)
	}
}

// The plain manifests are what the chart makes of two values, and those of fedctl init of others.
func TestManifests(t *testing.T) {
	want := must(t, "", append([]string{"template", "fedns", dir, "--namespace", "federation-system"}, said...)...)
	hosted := must(t, "", "template", "federation-fedns", dir, "--namespace", "federation-system", "--set", "domain=domain.invalid", "--set", "federation=federation",
		"--set", "image.repository=image.invalid", "--set", "image.tag=x", "--set", "api.mode=elsewhere", "--set", "api.kubeconfigSecret=federation-fedns", "--set", "member.enabled=false",
		"--set", "fedsync.enabled=true", "--set", "fedsync.kubeconfigSecret=federation-fedsync")
	for name, want := range map[string]string{"manifests/fedns.yaml": want, "hosted.yaml": hosted} {
		got, err := os.ReadFile(filepath.Join(vector.Root(), "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(string(got), "\n"); rest != want { // behind the line that says so
			t.Errorf("deploy/%s isn't what the chart makes: make manifests, and commit it", name)
		}
	}
}
