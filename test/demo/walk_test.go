// Package demo is the walk through a federation, from its first cluster to its end,
// as the articles on federated services and on cluster federation have it: the
// programs themselves, started and asked as their users do, over whole clusters whose pods
// run, or, where the machine doesn't let these be, over real API servers whose nodes are played.
//
// It is a test, and with -narrate it is told in the terminal as it happens:
//
//	make demo
package demo

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/kubelet"
	"github.com/fedns/fedns/test/framework/node"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

//go:embed testdata
var files embed.FS

// A site is a cluster of the articles. The address is one of its cloud, where the demo plays that.
type site struct {
	name, region string
	zones        []string
	addr         string
}

var sites = []site{
	{asia, "asia-east1", []string{"asia-east1-a", "asia-east1-c"}, "198.51.100.20"},
	{europe, "europe-west1", []string{"europe-west1-b"}, "203.0.113.30"},
	{central, "us-central1", []string{"us-central1-a", "us-central1-b", "us-central1-f"}, "192.0.2.10"},
	{east, "us-east1", []string{"us-east1-b"}, "192.0.2.40"},
}

const (
	asia    = "gce-asia-east1"
	europe  = "gce-europe-west1"
	central = "gce-us-central1"
	east    = "gce-us-east1"
)

// host is the cluster that the federation's own API is set up in.
const host = europe

// A walk is the federation that the story is about.
type walk struct {
	*teller
	members map[string]*cluster.Cluster // whose nodes are played
	bed     *node.Bed                   // of the others; nil: they are played
	nodes   map[string]string           // their names, by zone
	addrs   map[string]string           // of the service, by cluster
	ip      string                      // where fedns answers
	port    int
	status  string // where fedctl asks fedns
}

// TestWalk tells the whole story where nodes are played.
func TestWalk(t *testing.T) {
	why := node.Lacking()
	if *narrate && why == "" {
		t.Skip("TestWalkInPods tells it")
	}
	w := newWalk(t, "127.0.0.1", vector.Port(t))
	if *narrate {
		w.say("Nodes are played, since clusters with real pods can't be started here: " + why + ".")
	}
	w.tell()
}

// TestWalkInPods tells it where pods run, which takes three times as long.
func TestWalkInPods(t *testing.T) {
	if !*narrate && !*inPods {
		t.Skip("make demo tells it, and make soak: -pods")
	}
	node.Need(t)
	w := newWalk(t, node.TestAddress, 53)
	w.start()
	w.tell()
}

// tell tells the whole story. Its parts follow one another.
func (w *walk) tell() {
	w.clusters()
	w.initialize()
	w.join()
	fedns, fedsync := w.programs()
	w.service()
	w.pods()
	w.names()
	w.europe()
	w.zoneFails()
	w.regionFails()
	if w.bed != nil {
		w.podsAsk()
	}
	w.clusterFails()
	if *keep {
		w.keep()
		return
	}
	w.unjoin()
	w.destroy(fedns, fedsync)
}

// newWalk builds the programs; fedns is to answer at an address.
func newWalk(t *testing.T, ip string, port int) *walk {
	t.Helper()
	s := &teller{t: t, ctx: t.Context(), out: t.Output(), dir: t.TempDir()}
	if terminal != nil {
		s.ctx, s.out = playing, terminal
	}
	server.Tool(t, "dig")
	s.say("fedns, fedsync and fedctl are built, and then four clusters are started.")
	for _, program := range []string{"fedns", "fedsync", "fedctl"} {
		path, err := s.build(program)
		s.ended()
		if err != nil {
			t.Fatal(err)
		}
		s.bin = filepath.Dir(path)
	}
	w := &walk{teller: s, members: map[string]*cluster.Cluster{}, nodes: map[string]string{}, addrs: map[string]string{}, ip: ip, port: port}
	status := vector.Port(t)
	w.status = fmt.Sprint("http://127.0.0.1:", status)
	all, err := files.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		text, err := files.ReadFile("testdata/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		w.write(f.Name(), strings.NewReplacer("PORT", fmt.Sprint(w.port), "STATUS", fmt.Sprint(status), "ADDRESS", ip).Replace(string(text)))
	}
	return w
}

func (w *walk) clusters() {
	w.chapter("Four clusters, in four regions")
	all := clientcmdapi.NewConfig()
	add := func(name, kubeconfig string) {
		one, err := clientcmd.LoadFromFile(kubeconfig)
		if err != nil {
			w.t.Fatal(err)
		}
		all.Clusters[name], all.AuthInfos[name], all.Contexts[name] = one.Clusters[name], one.AuthInfos[name], one.Contexts[name]
	}
	if w.bed != nil {
		w.say("Each is whole: etcd, API server, controllers, scheduler, and for each zone a node with containerd, a kubelet and kube-proxy. Each node is a network namespace of its own, and links join them.")
		for _, c := range w.bed.Clusters {
			add(c.Name, c.Kubeconfig)
		}
	} else {
		w.say("Each is a real API server with its controllers and scheduler. In the place of kubelets there is kwok, which says that pods run.")
		w.play(add)
	}
	if err := clientcmd.WriteToFile(*all, filepath.Join(w.dir, "config")); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, s := range sites {
		names = append(names, s.name)
	}
	w.run("kubectl config get-contexts", names...)
	for _, s := range sites {
		nodes := func(out string) bool { return strings.Count(out, " Ready ") == len(s.zones) }
		if line := "kubectl --context=" + s.name + " get nodes -L topology.kubernetes.io/zone"; s.name == central {
			w.until(line, nodes)
		} else {
			w.quietly(line, nodes)
		}
	}
}

// play starts clusters whose nodes are played.
func (w *walk) play(add func(name, kubeconfig string)) {
	w.t.Helper()
	var names []string
	for _, s := range sites {
		names = append(names, s.name)
	}
	for i, c := range cluster.New(w.t).Members(w.t, names...) {
		w.ended()
		w.members[c.Name] = c
		for _, zone := range sites[i].zones {
			w.nodes[zone] = "node-" + zone
			c.AddNode(w.t, w.nodes[zone], sites[i].region, zone)
		}
		add(c.Name, c.Kubeconfig)
	}
}

func (w *walk) initialize() {
	w.chapter("A federation")
	if w.bed != nil {
		w.say("Its API is an etcd and a kube-apiserver, in pods of one of the clusters. Nobody hands out volumes here, so it does without.")
		w.run(fmt.Sprintf("fedctl init myfederation --host-cluster-context=%s --dns-zone-name=example.com --etcd-storage=none", host), `context "myfederation" in `)
	} else {
		w.initializePlayed()
	}
	w.until("kubectl --context="+host+" -n federation-system get pods", rows("NAME READY STATUS RESTARTS AGE", "* 1/1 Running 0 *", "* 1/1 Running 0 *"))
	w.say("The API is a context of its own.")
	w.run("kubectl config get-contexts -o name", "myfederation\n")
}

// initializePlayed does it where nobody runs the pods.
func (w *walk) initializePlayed() {
	w.say("Its API is an etcd and a kube-apiserver in one of the clusters. Nobody hands out load balancers and volumes here, so it does without. And no kubelet runs here: when kwok says that its two pods run, the demo starts what stands in them, with the arguments and the Secrets of the manifests, but on loopback.")
	api, err := kube.Open(kube.Config{Kubeconfig: w.members[host].Kubeconfig})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(api.Close)
	port := vector.Port(w.t)
	line := fmt.Sprintf("fedctl init myfederation --host-cluster-context=%s --dns-zone-name=example.com"+
		" --api-server-service-type=NodePort --api-server-advertise-address=127.0.0.1:%d --etcd-storage=none", host, port)
	w.prompt(line)
	said := make(chan error, 1)
	go func() {
		out, err := w.try(line, w.out)
		if err == nil && !strings.Contains(out, `context "myfederation" in `) {
			err = fmt.Errorf("it doesn't say that there is a context now:\n%s", out)
		}
		said <- err
	}()
	kubelet.New(w.t, "myfederation", kubelet.Objects(w.t, api, "myfederation"), port).Run(w.t)
	err = <-said
	w.ended()
	if err != nil {
		w.t.Fatalf("%s: %v", line, err)
	}
}

func (w *walk) join() {
	w.chapter("Four members")
	w.say("The host is one of them.")
	for _, s := range sites {
		w.run("fedctl --context=myfederation join "+s.name+" --cluster-context="+s.name, "is a member of federation myfederation now")
	}
}

// programs starts fedns and fedsync, with no more rights than fedctl gave them.
func (w *walk) programs() (fedns, fedsync *job) {
	w.chapter("The two programs")
	w.say("fedctl has made a kubeconfig for each, with the rights that it needs and no others.")
	for _, program := range []string{"fedns", "fedsync"} {
		w.run(fmt.Sprintf("kubectl --context=%s -n federation-system get secret myfederation-%s -o jsonpath={.data.kubeconfig} | base64 -d >%s.kubeconfig", host, program, program))
	}
	w.say("fedns answers. It knows its clusters from the federation's API. Times are short, since this is a demo: by default, a cluster that is silent is believed for five minutes.")
	w.run("cat Corefile")
	fedns = w.background("fedns", "-conf", "Corefile")
	w.say("fedsync keeps the same objects in all clusters.")
	fedsync = w.background("fedsync", "--kubeconfig", "fedsync.kubeconfig", "--context", "myfederation", "--listen", fmt.Sprint("127.0.0.1:", vector.Port(w.t)))
	want := []string{"NAME STATUS DRAIN REGION SHARDS HEARD AGE"}
	for _, s := range sites {
		want = append(want, s.name+" Ready * * True *")
	}
	w.until("kubectl --context=myfederation get clusters", rows(want...))
	return fedns, fedsync
}

func (w *walk) service() {
	w.chapter("A federated service")
	w.run("kubectl --context=myfederation create namespace mynamespace")
	w.run("kubectl --context=myfederation create -f service.yaml")
	w.say("There are matching services in all clusters. The clouds give them addresses; here, the demo plays the clouds.")
	for _, s := range sites {
		w.quietly("kubectl --context="+s.name+" -n mynamespace get service nginx", has("nginx"))
		w.balance(s)
	}
	w.until("kubectl --context=gce-asia-east1 -n mynamespace get service nginx", has(w.addrs[asia], "80:"))
	w.say("The status of the federated service has them all.")
	w.until("kubectl --context=myfederation -n mynamespace describe service nginx", func(out string) bool {
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "LoadBalancer Ingress:") {
				return has(w.addrs[asia], w.addrs[europe], w.addrs[central], w.addrs[east])(line)
			}
		}
		return false
	})
	w.say("It has no pods yet. So its name is there, and leads nowhere.")
	w.until(w.dig("+norec +nocookie +noall +comments", ""), has("status: NOERROR", "ANSWER: 0", "no ready endpoint"))
}

// balance gives a service its address, as a cloud would, or waits for the one that the bed gives it.
func (w *walk) balance(s site) {
	w.t.Helper()
	if w.bed != nil {
		w.addrs[s.name] = w.quietly("kubectl --context="+s.name+" -n mynamespace get service nginx -o jsonpath={.status.loadBalancer.ingress[0].ip}", has("."))
		return
	}
	w.addrs[s.name] = s.addr
	patch := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, s.addr)
	services := w.members[s.name].Client.CoreV1().Services("mynamespace")
	if _, err := services.Patch(w.t.Context(), "nginx", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		w.t.Fatalf("%s: %v", s.name, err)
	}
}

func (w *walk) pods() {
	w.chapter("Pods")
	w.say("Twelve, by one command: four in Asia and four in each part of America, none in Europe yet.")
	w.run("cat replicaset.yaml")
	w.run("kubectl --context=myfederation create -f replicaset.yaml")
	w.replicas("asia-east1 4", "europe-west1 0", "us-central1 4", "us-east1 4")
	w.until("kubectl --context=gce-us-central1 -n mynamespace get pods -o custom-columns=POD:.metadata.name,NODE:.spec.nodeName,STATUS:.status.phase",
		func(out string) bool {
			return strings.Count(out, "Running") == 4 && has(w.nodes["us-central1-a"], w.nodes["us-central1-b"], w.nodes["us-central1-f"])(out)
		})
	w.say("The federated object has the sums.")
	w.until("kubectl --context=myfederation -n mynamespace get replicaset nginx", rows("NAME DESIRED CURRENT READY AGE", "nginx 12 12 12 *"))
}

// replicas shows how many pods clusters have, once all of them run: "REGION N".
func (w *walk) replicas(want ...string) {
	w.t.Helper()
	var regions, lines []string
	for _, x := range want {
		region, n, _ := strings.Cut(x, " ")
		regions = append(regions, region)
		lines = append(lines, fmt.Sprintf("nginx %s %s %s *", n, n, n))
	}
	w.until("for C in "+strings.Join(regions, " ")+"; do kubectl --context=gce-$C -n mynamespace get replicaset nginx --no-headers; done", rows(lines...))
}

func (w *walk) names() {
	w.chapter("Names")
	w.say("One for the whole world,")
	w.asks("", asia, central, east)
	w.say("one for each region, and one for each zone.")
	w.asks("us-central1", central)
	w.asks("us-central1-a.us-central1", central)
	w.say("Europe has no pods. Its name leads up.")
	w.asks("europe-west1", "global", asia, central, east)
	w.say("A name of one's own is an alias, in a zone beside it.")
	w.answers(w.digFor("nginx.acme.com"), "global", asia, central, east)
	w.say("In a cluster, pods ask for nginx.mynamespace.myfederation. Those of gce-us-central1 get their own cluster's service.")
	inside := w.quietly("kubectl --context=gce-us-central1 -n mynamespace get service nginx -o jsonpath={.spec.clusterIP}", has("."))
	w.answers(w.digFor("nginx.mynamespace.myfederation.svc.cluster.local"), inside)
}

func (w *walk) europe() {
	w.chapter("Pods in Europe")
	w.prefer(`{"*": {"weight": 1}}`)
	w.replicas("asia-east1 3", "europe-west1 3", "us-central1 3", "us-east1 3")
	w.asks("europe-west1", europe)
	w.asks("", asia, europe, central, east)
}

// prefer says which clusters are to have pods.
func (w *walk) prefer(clusters string) {
	w.t.Helper()
	w.run(fmt.Sprintf(`kubectl --context=myfederation -n mynamespace annotate replicaset nginx --overwrite fedns.io/preferences='{"rebalance": true, "clusters": %s}'`, clusters))
}

func (w *walk) zoneFails() {
	w.chapter("A zone without pods")
	w.run("kubectl --context=gce-us-central1 drain "+w.nodes["us-central1-a"], "drained")
	w.say("Its name leads to the rest of the region.")
	w.asks("us-central1-a.us-central1", "us-central1", central)
	w.say("Pods don't come back by themselves when it is healed. They are made anew, in all zones.")
	w.run("kubectl --context=gce-us-central1 uncordon "+w.nodes["us-central1-a"], "uncordoned")
	w.run("kubectl --context=gce-us-central1 -n mynamespace delete pods -l run=nginx", "deleted")
	w.asks("us-central1-a.us-central1", central)
}

func (w *walk) regionFails() {
	w.chapter("A region without pods")
	nodes := w.nodes["asia-east1-a"] + " " + w.nodes["asia-east1-c"]
	w.run("kubectl --context=gce-asia-east1 drain "+nodes, "drained")
	w.asks("asia-east1", "global", europe, central, east)
	w.run("kubectl --context=gce-asia-east1 uncordon "+nodes, "uncordoned")
	w.asks("asia-east1", asia)
}

func (w *walk) clusterFails() {
	w.allowed("fedns.log", "fedsync.log") // an API server that has just started knows nobody's rights for a moment
	w.chapter("A cluster that is gone")
	left := []string{asia, europe}
	if w.bed != nil {
		w.say("The one in the east of America is cut off from everybody.")
		w.run("ip -n fedns-" + east + " link set up0 down")
	} else {
		left = append(left, central)
		w.say("Nobody can say any more how it is in the east of America.")
		c := w.members[east]
		w.run(fmt.Sprintf("kill -KILL %d   # the API server of %s", c.Pid(), east))
		c.Kill(w.t) // it is, and this waits for it
	}
	w.say("For three seconds its last word counts. Then its shard leaves the answers.")
	w.asks("", left...)
	w.asks("us-east1", append([]string{"global"}, left...)...)
	w.until("fedctl --server="+w.status+" explain "+name("us-east1"), has(east, "silent"))
	w.until("kubectl --context=myfederation get clusters", offline(east))
	if w.bed != nil {
		w.say("The pod gets the next closest.")
		w.curls(europe)
		w.say("It is back.")
		w.bed.Clusters[slices.IndexFunc(sites, func(s site) bool { return s.name == east })].Join(w.t)
	} else {
		w.say("It is started again, at the same address.")
		w.members[east].Start(w.t)
	}
	w.asks("us-east1", east)
	w.until("kubectl --context=myfederation get clusters", func(out string) bool { return strings.Count(out, " Ready ") == len(sites) })
	if w.bed != nil {
		w.say("And so are the pods of its own cluster.")
		w.prefer(`{"*": {"weight": 1}}`)
		w.curls(central)
	}
	w.asks("", asia, europe, central, east)
}

// offline says whether a cluster is said to be.
func offline(name string) func(string) bool {
	return func(out string) bool {
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == name && f[1] == "Offline" {
				return true
			}
		}
		return false
	}
}

// keep leaves the federation as it is until Ctrl-C.
func (w *walk) keep() {
	w.chapter("It is kept")
	w.kept()
	<-w.ctx.Done()
}

// kept says how to look at what is kept.
func (w *walk) kept() {
	w.say("All of it runs until Ctrl-C. In another terminal:")
	fmt.Fprintf(w.out, `export KUBECONFIG=%s FEDNS_SERVER=%s PATH=%s:%s:$PATH
kubectl config get-contexts
kubectl --context=myfederation get clusters
kubectl --context=gce-us-central1 get nodes
%s
fedctl explain nginx.mynamespace
less %s %s
`, filepath.Join(w.dir, "config"), w.status, w.bin, filepath.Join(vector.Root(), "bin", "kube"),
		w.dig("", ""), filepath.Join(w.dir, "fedns.log"), filepath.Join(w.dir, "fedsync.log"))
	w.say("Ctrl-C ends all of it, and removes its files.")
}

func (w *walk) unjoin() {
	w.chapter("A member leaves")
	w.say("First its shard leaves the answers. When those that name it have expired, all goes that was made in the cluster.")
	w.run("fedctl --context=myfederation unjoin gce-asia-east1 --cluster-context=gce-asia-east1 --drain-wait=5s --server="+w.status,
		"cluster gce-asia-east1 is no member of federation myfederation any more")
	w.asks("", europe, central, east)
	w.until(w.dig("+norec +nocookie +noall +comments", "asia-east1"), has("status: NXDOMAIN"))
	w.say("The others have its pods.")
	w.replicas("europe-west1 4", "us-central1 4", "us-east1 4")
	w.until("kubectl --context=myfederation -n mynamespace get replicaset nginx", rows("NAME DESIRED CURRENT READY AGE", "nginx 12 12 12 *"))
	w.say("And nothing of the federation is left in Asia.")
	w.untouched("gce-asia-east1", w.until)
}

// untouched makes sure that a cluster has nothing of the federation.
func (w *walk) untouched(cluster string, look func(string, func(string) bool) string) {
	w.t.Helper()
	look("kubectl --context="+cluster+" get namespaces", func(out string) bool {
		return has("default")(out) && !strings.Contains(out, "mynamespace") && !strings.Contains(out, "federation-system")
	})
	kubectl := "kubectl --context=" + cluster
	for _, label := range []string{"fedns.io/managed-by=fedsync", "app.kubernetes.io/managed-by=fedctl"} {
		w.quietly(kubectl+" get $("+kubectl+" api-resources --verbs=list -o name | paste -sd,) -A -o name -l "+label+" 2>/dev/null", rows(""))
	}
}

func (w *walk) destroy(programs ...*job) {
	w.chapter("The end")
	w.say("What is deleted in the federation is deleted everywhere.")
	w.run("kubectl --context=myfederation delete namespace mynamespace", "deleted")
	for _, s := range sites[1:] {
		w.quietly("kubectl --context="+s.name+" get namespaces", func(out string) bool { return has("default")(out) && !has("mynamespace")(out) })
	}
	for _, s := range sites[1:] {
		w.run("fedctl --context=myfederation unjoin "+s.name+" --cluster-context="+s.name+" --drain-wait=0", "is no member of federation myfederation any more")
	}
	line := "kill"
	for _, p := range programs {
		line += fmt.Sprint(" ", p.Process.Pid)
	}
	w.run(line + "   # fedns and fedsync")
	for _, p := range programs {
		w.await(p)
	}
	w.run("fedctl deinit myfederation --host-cluster-context="+host+" --yes", "federation myfederation is gone")
	var names []string
	for _, s := range sites {
		names = append(names, s.name)
		w.untouched(s.name, w.quietly)
	}
	w.until("kubectl config get-contexts -o name", rows(names...))
}

// allowed makes sure that the programs could do all they wanted to: where a right is
// missing, they go on without, and say so.
func (w *walk) allowed(logs ...string) {
	w.t.Helper()
	for _, log := range logs {
		text, err := os.ReadFile(filepath.Join(w.dir, log))
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			late := strings.Contains(line, "silent") || strings.Contains(line, "can't be reached") // a second is soon over on a busy machine
			if strings.Contains(strings.ToLower(line), "forbidden") || strings.Contains(line, "[ERROR]") && !late {
				w.t.Errorf("%s: %s", log, line)
			}
		}
	}
}
