package workload

import (
	"cmp"
	"slices"

	"github.com/fedns/fedns/internal/api/builtin"
)

// A Need is an object that the pods of another one are made with.
type Need struct {
	Kind, Name string
	Optional   bool // they are made without it, too
}

// pods is the template of the pods that come of an object; nil: none do, for all that its
// fields tell.
func pods(o Object) map[string]any {
	for _, path := range [][]string{{"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
		if pod := object(o, path...); pod != nil && pod["containers"] != nil {
			return pod
		}
	}
	if o["kind"] == "Pod" {
		return object(o, "spec")
	}
	return nil
}

// needs are what the pods of an object name: each once, and as what they can't do without if
// they do so anywhere. What each cluster makes itself isn't among them.
func needs(o Object) []Need {
	pod := pods(o)
	var out []Need
	add := func(kind builtin.Kind, m map[string]any, field string) {
		n := Need{Kind: kind.Name, Name: text(m, field), Optional: m["optional"] == true}
		i := slices.IndexFunc(out, func(x Need) bool { return x.Kind == n.Kind && x.Name == n.Name })
		switch {
		case n.Name == "" || builtin.InUse(n.Kind, n.Name):
		case i < 0:
			out = append(out, n)
		default:
			out[i].Optional = out[i].Optional && n.Optional
		}
	}
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range mapsOf(pod[field]) {
			for _, e := range mapsOf(c["env"]) {
				add(builtin.ConfigMaps, object(e, "valueFrom", "configMapKeyRef"), "name")
				add(builtin.Secrets, object(e, "valueFrom", "secretKeyRef"), "name")
			}
			for _, e := range mapsOf(c["envFrom"]) {
				add(builtin.ConfigMaps, object(e, "configMapRef"), "name")
				add(builtin.Secrets, object(e, "secretRef"), "name")
			}
		}
	}
	for _, v := range mapsOf(pod["volumes"]) {
		add(builtin.ConfigMaps, object(v, "configMap"), "name")
		add(builtin.VolumeClaims, object(v, "persistentVolumeClaim"), "claimName")
		for _, s := range mapsOf(at(v, "projected", "sources")) {
			add(builtin.ConfigMaps, object(s, "configMap"), "name")
			add(builtin.Secrets, object(s, "secret"), "name")
		}
		// secret and azureFile say secretName, and all other plugins one of two.
		for plugin := range v {
			of := object(v, plugin)
			add(builtin.Secrets, of, "secretName")
			add(builtin.Secrets, object(of, "secretRef"), "name")
			add(builtin.Secrets, object(of, "nodePublishSecretRef"), "name")
		}
	}
	for _, s := range mapsOf(pod["imagePullSecrets"]) {
		add(builtin.Secrets, s, "name")
	}
	for _, field := range []string{"serviceAccountName", "serviceAccount"} {
		add(builtin.ServiceAccounts, pod, field)
	}
	slices.SortFunc(out, func(a, b Need) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return out
}

// pulls are the Secrets that the pods of a ServiceAccount are given.
func pulls(o Object) (out []Need) {
	for _, s := range mapsOf(o["imagePullSecrets"]) {
		if name := text(s, "name"); name != "" {
			out = append(out, Need{Kind: builtin.Secrets.Name, Name: name})
		}
	}
	return out
}
