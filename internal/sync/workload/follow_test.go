package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Everything that a pod can be made with.
func TestNeeds(t *testing.T) {
	const pod = `{
		"serviceAccountName":"robot","imagePullSecrets":[{"name":"pull"},{}],
		"initContainers":[{"name":"i","env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"init-secret","key":"a","optional":true}}}]}],
		"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"from-config"}},{"secretRef":{"name":"from-secret","optional":true}}],
			"env":[{"name":"A","value":"x"},{"name":"B","valueFrom":{"configMapKeyRef":{"name":"key-config","key":"b"}}},{"name":"C","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
				{"name":"D","valueFrom":{"secretKeyRef":{"name":"from-secret","key":"d"}}}]}],
		"ephemeralContainers":[{"name":"e","envFrom":[{"configMapRef":{"name":"debug-config"}}]}],
		"volumes":[{"name":"a","configMap":{"name":"volume-config","optional":true}},{"name":"b","secret":{"secretName":"volume-secret"}},{"name":"c","persistentVolumeClaim":{"claimName":"claim"}},
			{"name":"d","projected":{"sources":[{"configMap":{"name":"projected-config"}},{"secret":{"name":"projected-secret"}},{"serviceAccountToken":{"path":"token"}},{"configMap":{"name":"kube-root-ca.crt"}},{"downwardAPI":{}}]}},
			{"name":"e","csi":{"driver":"d","nodePublishSecretRef":{"name":"csi-secret"}}},{"name":"f","azureFile":{"secretName":"azure-secret"}},{"name":"g","rbd":{"secretRef":{"name":"rbd-secret"}}},
			{"name":"h","emptyDir":{}},{"name":"i","ephemeral":{"volumeClaimTemplate":{"spec":{}}}}]}`
	const want = "ConfigMap debug-config, ConfigMap from-config, ConfigMap key-config, ConfigMap projected-config, ConfigMap volume-config?, PersistentVolumeClaim claim, " +
		"Secret azure-secret, Secret csi-secret, Secret from-secret, Secret init-secret?, Secret projected-secret, Secret pull, Secret rbd-secret, Secret volume-secret, ServiceAccount robot"
	for name, o := range map[string]string{
		"a template": `{"spec":{"template":{"spec":%s}}}`, "a CronJob": `{"spec":{"jobTemplate":{"spec":{"template":{"spec":%s}}}}}`, "a Pod": `{"kind":"Pod","spec":%s}`,
	} {
		var got []string
		for _, n := range needs(parse(t, fmt.Sprintf(o, pod))) {
			text := n.Kind + " " + n.Name
			if n.Optional {
				text += "?"
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, ", "), want)
		}
	}
	for _, o := range []string{`{}`, `{"spec":{"template":{"spec":{"serviceAccountName":"default","containers":[{}]}}}}`, `{"spec":{"template":{"spec":"x"}}}`, `{"spec":{"selector":{"app":"web"}}}`} {
		if got := needs(parse(t, o)); len(got) > 0 {
			t.Errorf("%s: %v", o, got)
		}
	}
}

const only = `"fedns.io/cluster-selector":"[{\"key\":\"name\",\"operator\":\"in\",\"values\":[\"%s\"]}]"`

// needy is a Deployment that takes a ConfigMap with it, to a cluster.
func (w *world) needy(name, cluster, config, annotations string) Key {
	w.Helper()
	if annotations != "" {
		annotations = "," + annotations
	}
	return w.want("Deployment", "ns", name, fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/follow":"dependencies",%s%s}},"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":%q}}]}]}}}}`,
		fmt.Sprintf(only, cluster), annotations, config))
}

// dependent is a ConfigMap that isn't for the clusters by itself.
func (w *world) dependent(name string) Key {
	w.Helper()
	return w.want("ConfigMap", "ns", name, `{"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
}

// in are the clusters that have an object.
func (w *world) in(k Key) string {
	var out []string
	for c, h := range w.rows[k].entries.haves() {
		if h.Ours {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestFollow(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	conf := w.dependent("conf")
	w.check("by itself", w.run(), "")
	web := w.needy("web", "a", "conf", "")
	w.check("it goes first", w.run(), "a: create ConfigMap ns/conf\na: create Deployment ns/web 2 replicas")
	w.check("why", w.Plan(conf).Standings[0].Cluster+" "+string(w.Plan(conf).Standings[0].State), "a Applied")

	// Two that need it: to where either is.
	api := w.needy("api", "b", "conf", "")
	w.run()
	w.check("with both", w.in(conf), "a b")
	w.needy("web", "c", "conf", "")
	w.run()
	w.check("moved", w.in(conf)+", "+w.in(web), "b c, c")

	// It leaves with the last, and after it.
	w.want("Deployment", "ns", "web", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"template":{"spec":{}}}}`)
	w.check("the one leaves", w.run(), "c: delete Deployment ns/web\nc: delete ConfigMap ns/conf")
	w.RemoveDesired(web)
	w.run()
	w.check("for the other", w.in(conf), "b")
	w.needy("api", "nowhere", "conf", "")
	w.check("which goes nowhere", w.run(), "b: delete Deployment ns/api\nb: delete ConfigMap ns/conf")

	// What is federated by itself stays.
	w.needy("api", "b", "conf", "")
	w.run()
	w.want("ConfigMap", "ns", "conf", fmt.Sprintf(`{"metadata":{"annotations":{`+only+`}}}`, "a"))
	w.run()
	w.check("by its own word, too", w.in(conf), "a b")
	w.want("Deployment", "ns", "api", `{"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"c"}]}}}}`) // and follows nothing
	w.run()
	w.check("by that only", w.in(conf), "a")
	w.RemoveDesired(api)
}

// What pods of before a change need stays until they are gone.
func TestFollowOfBefore(t *testing.T) {
	w := newWorld(t, "a")
	first, second := w.dependent("first"), w.dependent("second")
	web := w.needy("web", "a", "first", "")
	w.run()
	w.needy("web", "a", "second", "")
	var steps []string
	for _, k := range w.Dirty() { // one look at each, before anything is written
		for _, s := range w.Plan(k).Steps {
			steps = append(steps, string(s.Verb)+" "+s.Key.String())
		}
	}
	w.check("at first", strings.Join(steps, ", "), "create ConfigMap ns/second, update Deployment ns/web")
	w.Touch(second)
	w.Touch(web)
	w.run()
	w.check("then", w.in(first)+"/"+w.in(second), "/a")

	// Not before the rollout is over.
	w.copied("a", web, `{"metadata":{"generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2}}`)
	w.run()
	w.needy("web", "a", "first", "")
	for _, k := range []Key{first, web} {
		w.do(w.Plan(k).Steps[0])
	}
	w.copied("a", web, `{"metadata":{"generation":3},"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2}}`)
	w.check("not seen yet", w.run(), "")
	w.copied("a", web, `{"metadata":{"generation":3},"spec":{"replicas":2},"status":{"observedGeneration":3,"replicas":3,"updatedReplicas":1}}`)
	w.check("on its way", w.run(), "")
	w.copied("a", web, `{"metadata":{"generation":3},"spec":{"replicas":2},"status":{"observedGeneration":3,"replicas":2,"updatedReplicas":2}}`)
	w.check("over", w.run(), "a: delete ConfigMap ns/second")
}

// What is needed and isn't there is said, and comes when it does.
func TestFollowMissing(t *testing.T) {
	w := newWorld(t, "a", "b")
	web := w.needy("web", "a", "conf", "")
	w.run()
	missing := func() string { return strings.Join(w.Plan(web).Missing, "; ") }
	w.check("missing", missing(), "ConfigMap conf, which its pods need, isn't in the federation")
	if n := w.Plan(web).Notes; len(n) != 1 || n[0].Reason != DependencyMissing {
		t.Errorf("notes %v", n)
	}
	w.dependent("conf")
	w.check("it comes", w.run(), "a: create ConfigMap ns/conf")
	w.check("not missing", missing(), "")
	w.RemoveDesired(w.key("ConfigMap", "ns", "conf"))
	if !w.Clean(web) {
		t.Error("it isn't planned anew when it has gone")
	}
	w.check("gone", missing(), "ConfigMap conf, which its pods need, isn't in the federation")

	// Of the ones that can be done without, nothing is said; of a kind that isn't kept, it is.
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/follow":"dependencies"}},"spec":{"template":{"spec":{"serviceAccountName":"robot",
		"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"conf","optional":true}}]}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"disk"}}]}}}}`)
	w.check("optional", missing(), "PersistentVolumeClaim disk, which its pods need, is of a kind that isn't kept: fedctl init --kind v1/PersistentVolumeClaim has it kept; ServiceAccount robot, which its pods need, isn't in the federation")
	// The Secrets of a ServiceAccount, by which its pods' images are pulled, are needed, too.
	pull := w.want("Secret", "ns", "pull", `{"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
	w.want("ServiceAccount", "ns", "robot", `{"metadata":{"annotations":{"fedns.io/propagate":"false"}},"imagePullSecrets":[{"name":"pull"}]}`)
	w.run()
	w.check("pulled by", w.in(pull), "a b")
	w.want("ServiceAccount", "ns", "robot", `{"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
	w.run()
	w.check("not pulled by", w.in(pull), "")

	for annotations, want := range map[string]string{
		`"fedns.io/follow":"all"`:   `annotation fedns.io/follow: "all" isn't "dependencies"`,
		`"fedns.io/propagate":"no"`: `annotation fedns.io/propagate: "no" is neither "true" nor "false"`,
	} {
		k := w.want("Deployment", "ns", "odd", `{"metadata":{"annotations":{`+annotations+`}},"spec":{"template":{"spec":{"containers":[{}]}}}}`)
		if n := w.Plan(k).Notes; len(n) != 1 || n[0].Reason != BadAnnotation || !strings.Contains(n[0].Text, want) {
			t.Errorf("%s: %v", annotations, n)
		}
	}
	k := w.want("Service", "ns", "svc", `{"metadata":{"annotations":{"fedns.io/follow":"dependencies"}}}`)
	if n := w.Plan(k).Notes; len(n) != 1 || !strings.Contains(n[0].Text, "no pods come of a Service") {
		t.Errorf("notes %v", n)
	}
}

// A workload that is whole, or whose overrides name something else in a cluster, takes with it
// what it needs where it is.
func TestFollowWhereItIs(t *testing.T) {
	w := newWorld(t, "a", "b")
	conf, other := w.dependent("conf"), w.dependent("other")
	set := w.want("StatefulSet", "ns", "db", `{"metadata":{"annotations":{"fedns.io/follow":"dependencies","fedns.io/preferences":"{\"clusters\":{\"b\":{\"weight\":1}}}"}},
		"spec":{"replicas":1,"template":{"spec":{"containers":[{}],"volumes":[{"name":"v","configMap":{"name":"conf"}}]}}}}`)
	w.run()
	w.check("a whole one", w.in(set)+" "+w.in(conf), "b b")
	w.RemoveDesired(set)
	w.run()
	tick := w.want("CronJob", "ns", "tick", `{"metadata":{"annotations":{"fedns.io/follow":"dependencies"}},
		"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":{"containers":[{}],"volumes":[{"name":"v","configMap":{"name":"conf"}}]}}}}}}`)
	w.run()
	if where := w.in(tick); where == "" || w.in(conf) != where {
		t.Errorf("a CronJob is in %q, and what it needs in %q", where, w.in(conf))
	}
	w.RemoveDesired(tick)
	w.run()
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/follow":"dependencies","fedns.io/overrides":"- {clusters: [b], patch: [{path: /spec/template/spec/volumes/0/configMap/name, value: other}]}"}},
		"spec":{"replicas":2,"template":{"spec":{"containers":[{}],"volumes":[{"name":"v","configMap":{"name":"conf"}}]}}}}`)
	w.run()
	w.check("with overrides", w.in(conf)+" "+w.in(other), "a b")
}

// A Secret that nobody has sent anywhere goes with what needs it, and leaves with it; one of
// before stays.
func TestFollowSecret(t *testing.T) {
	w := newWorld(t, "a", "b")
	key := w.want("Secret", "ns", "key", `{}`)
	w.have("b", key, `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`)
	w.run()
	needy := func(cluster string) {
		w.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/follow":"dependencies",`+only+`}},
			"spec":{"template":{"spec":{"containers":[{}],"volumes":[{"name":"v","secret":{"secretName":"key"}}]}}}}`, cluster))
	}
	needy("a")
	w.check("it goes", w.run(), "a: create Secret ns/key\na: create Deployment ns/web 1 replica")
	if n := w.Plan(key).Notes; len(n) > 0 {
		t.Errorf("notes %v", n)
	}
	record := Record{UID: "uid-key", Clusters: w.Plan(key).Standings} // as the next fedsync reads it
	w.editAll(key, func(e *Entry) { e.Followed = false })
	w.want("Secret", "ns", "key", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q}}}`, record.Short()))
	w.run()
	needy("nowhere")
	w.check("it leaves", w.run(), "a: delete Deployment ns/web\na: delete Secret ns/key")
	w.check("but for where it was before", w.in(key), "b")
}

// In a Namespace that isn't for the clusters, what says so is there, and what it needs.
func TestFollowIntoNamespace(t *testing.T) {
	w := newWorld(t, "a", "b")
	home := w.want("Namespace", "", "ns", `{"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
	w.check("nothing is there", w.run(), "a: delete Namespace ns\nb: delete Namespace ns")
	w.want("ConfigMap", "ns", "conf", `{}`)
	w.want("ConfigMap", "ns", "other", `{}`)
	w.check("nor is what is in it", w.run(), "")
	w.needy("web", "a", "conf", `"fedns.io/propagate":"true"`)
	w.check("but one", w.run(), "a: create Namespace ns\na: create ConfigMap ns/conf\na: create Deployment ns/web 2 replicas")
	w.needy("web", "b", "conf", `"fedns.io/propagate":"true"`)
	w.run()
	w.check("elsewhere", w.in(home)+" "+w.in(w.key("ConfigMap", "ns", "conf")), "b b")
	w.want("ConfigMap", "ns", "other", `{"metadata":{"annotations":{"fedns.io/propagate":"true"}}}`)
	w.run()
	w.check("by its own word", w.in(home)+", "+w.in(w.key("ConfigMap", "ns", "other")), "a b, a b")
	w.want("Namespace", "", "ns", `{}`)
	w.run()
	w.check("as ever", w.in(home)+", "+w.in(w.key("ConfigMap", "ns", "conf")), "a b, a b")
}

// A workload that is left in the clusters is left with what it needs, and one that takes over what
// was there takes that over, too.
func TestFollowKept(t *testing.T) {
	w := newWorld(t, "a", "b")
	conf := w.dependent("conf")
	web := w.needy("web", "a", "conf", `"fedns.io/orphan":"true"`)
	api := w.needy("api", "b", "conf", "")
	w.run()
	deleting := strings.Replace(`{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","annotations":{"fedns.io/follow":"dependencies","fedns.io/orphan":"true"}},"spec":{"template":{"spec":{"containers":[{"envFrom":[{"configMapRef":{"name":"conf"}}]}]}}}}`, "\n", "", 1)
	w.want("Deployment", "ns", "web", deleting)
	if p := w.Plan(web); p.Done || len(p.Steps) > 0 {
		t.Errorf("it is left before what it needs is: %+v", p)
	}
	w.check("released, and not deleted", w.run(), "a: release ConfigMap ns/conf\na: release Deployment ns/web")
	if p := w.Plan(web); !p.Done {
		t.Errorf("it isn't done: %+v", p)
	}
	w.RemoveDesired(web)
	w.run()
	w.check("for the other", w.in(conf), "b")

	w.want("Deployment", "ns", "api", strings.Replace(deleting, `"fedns.io/orphan":"true"`, `"x":"y"`, 1))
	w.check("and without that", w.run(), "b: delete Deployment ns/api\nb: delete ConfigMap ns/conf")
	w.RemoveDesired(api)

	w.have("a", conf, `{"data":{"x":"theirs"}}`)
	w.needy("web", "a", "conf", "")
	w.run()
	w.check("a stranger's", w.stands(conf), "a NameTaken")
	w.needy("web", "a", "conf", `"fedns.io/adopt":"true"`)
	var why string
	for _, s := range w.Plan(conf).Steps {
		why = s.Why
	}
	w.check("taken over", why, "fedns.io/adopt of Deployment ns/web, which needs it, says so")
}

// A stranger's object isn't taken over for a workload that is on its way out, whoever says that it
// may be: it would go with it.
func TestFollowAdopts(t *testing.T) {
	const adopt = `"fedns.io/adopt":"true"`
	for _, row := range []struct{ metadata, annotations, conf, steps string }{
		{"", adopt, "", "a: adopt ConfigMap ns/conf\na: update Deployment ns/web 2 replicas"},
		{`"deletionTimestamp":"2026-01-01T00:00:00Z",`, adopt, "", "a: delete Deployment ns/web"},
		{`"deletionTimestamp":"2026-01-01T00:00:00Z",`, `"x":"y"`, adopt, "a: delete Deployment ns/web"},
		{"", fmt.Sprintf(only, "b"), adopt, "b: create ConfigMap ns/conf\na: delete Deployment ns/web\nb: create Deployment ns/web 1 replica\nb: update Deployment ns/web 2 replicas"},
	} {
		w := newWorld(t, "a", "b")
		w.needy("web", "a", "other", "")
		w.run()
		w.have("a", w.key("ConfigMap", "ns", "conf"), `{"metadata":{"creationTimestamp":"2025-01-01T00:00:00Z"},"data":{"k":"theirs"}}`)
		where := fmt.Sprintf(only, "a")
		if strings.Contains(row.annotations, "cluster-selector") {
			where = `"z":"z"`
		}
		w.want("Deployment", "ns", "web", `{"metadata":{`+row.metadata+`"annotations":{`+where+`,`+row.annotations+`,"fedns.io/follow":"dependencies"}},"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"conf"}}]}]}}}}`)
		conf := w.want("ConfigMap", "ns", "conf", `{"metadata":{"annotations":{"fedns.io/propagate":"false",`+cmp.Or(row.conf, `"x":"y"`)+`}}}`)
		w.check(row.metadata+row.annotations+row.conf, w.run(), row.steps)
		if h := w.Observed("a", conf); h == nil || h.Ours != strings.Contains(row.steps, "adopt") {
			t.Errorf("with %q, what was there is now %+v", row, h)
		}
	}
}

// What is left in a cluster with a workload that is left there is left as it is, whatever has become
// of it in the federation meanwhile.
func TestFollowLeftAsItIs(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.dependent("conf")
	w.needy("web", "a", "conf", `"fedns.io/orphan":"true"`)
	w.run()
	w.want("ConfigMap", "ns", "conf", `{"data":{"k":"changed"},"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
	w.want("Deployment", "ns", "web", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","annotations":{"fedns.io/follow":"dependencies","fedns.io/orphan":"true"}},"spec":{"template":{"spec":{"containers":[{"envFrom":[{"configMapRef":{"name":"conf"}}]}]}}}}`)
	w.check("released, and not changed", w.run(), "a: release ConfigMap ns/conf\na: release Deployment ns/web")

	// Also where one that is not to be left needs it, too, and is on its way out; and where no copy of
	// the one that is left is, nothing is left with it.
	for _, at := range []string{"a", "b"} {
		w := newWorld(t, "a", "b")
		w.dependent("conf")
		w.needy("web", "a", "conf", `"fedns.io/orphan":"true"`)
		w.needy("api", at, "conf", "")
		w.run()
		w.want("ConfigMap", "ns", "conf", `{"data":{"k":"changed"},"metadata":{"annotations":{"fedns.io/propagate":"false"}}}`)
		for name, orphan := range map[string]string{"web": "true", "api": "false"} {
			w.want("Deployment", "ns", name, fmt.Sprintf(`{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","annotations":{"fedns.io/follow":"dependencies","fedns.io/orphan":%q}},"spec":{"template":{"spec":{"containers":[{"envFrom":[{"configMapRef":{"name":"conf"}}]}]}}}}`, orphan))
		}
		done := strings.Split(w.run(), "\n")
		slices.Sort(done)
		want := []string{"a: release ConfigMap ns/conf", "a: release Deployment ns/web", at + ": delete Deployment ns/api"}
		if at == "b" {
			want = append(want, "b: delete ConfigMap ns/conf", "b: update ConfigMap ns/conf") // it was needed still
		}
		slices.Sort(want)
		w.check("with api in "+at, strings.Join(done, "\n"), strings.Join(want, "\n"))
	}
}
