package replicas

import (
	"reflect"
	"strings"
	"testing"
)

func ptr(n int64) *int64 { return &n }

func TestParsePreferences(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Preferences
		err  string // what the error says
	}{
		{`{"rebalance": true, "clusters": {"*": {"minReplicas": 1, "maxReplicas": 5, "weight": 2}, "paris": {}}}`,
			Preferences{true, map[string]ClusterPreference{"*": {1, ptr(5), 2}, "paris": {}}}, ""},
		{` {"REBALANCE": false, "Clusters": {"Paris": {"MINREPLICAS": 3, "weight": 0}}} `,
			Preferences{false, map[string]ClusterPreference{"Paris": {Min: 3}}}, ""},
		{`{"clusters": {"a": {"maxReplicas": 0, "weight": 2147483647}}}`,
			Preferences{Clusters: map[string]ClusterPreference{"a": {Max: ptr(0), Weight: 2147483647}}}, ""},
		{`{"clusters": {"a": {"maxReplicas": null, "weight": null}}}`, Preferences{Clusters: map[string]ClusterPreference{"a": {}}}, ""},

		{``, Preferences{}, `not JSON: unexpected end`},
		{`paris`, Preferences{}, `not JSON: invalid character 'p'`},
		{`{"clusters": {"a": {}}} {}`, Preferences{}, `not JSON: invalid character '{' after top-level value`},
		{`{"clusters": {"a": {"weight": 1},}}`, Preferences{}, `not JSON: invalid character '}'`},
		{`null`, Preferences{}, `null where an object with rebalance and clusters belongs`},
		{`[]`, Preferences{}, `array where an object with rebalance and clusters belongs`},
		{`{}`, Preferences{}, `clusters is empty`},
		{`{"clusters": {}}`, Preferences{}, `clusters is empty`},
		{`{"clusters": ["a"]}`, Preferences{}, `array where an object of clusters belongs`},
		{`{"rebalance": "yes", "clusters": {"a": {}}}`, Preferences{}, `string where true or false of Rebalance belongs`},
		{`{"rebalence": true, "clusters": {"a": {}}}`, Preferences{}, `unknown field "rebalence"; known are rebalance and clusters`},
		{`{"clusters": {"a": {"replicas": 1}}}`, Preferences{}, `cluster "a": unknown field "replicas"; known are minReplicas, maxReplicas and weight`},
		{`{"clusters": {"a": 1}}`, Preferences{}, `cluster "a": number where an object with minReplicas, maxReplicas and weight belongs`},
		{`{"clusters": {"a": null}}`, Preferences{}, `cluster "a": null where an object`},
		{`{"clusters": {"a": {"weight": 1.5}}}`, Preferences{}, `cluster "a": number 1.5 where the whole number Weight belongs`},
		{`{"clusters": {"a": {"weight": "1"}}}`, Preferences{}, `cluster "a": string where the whole number Weight belongs`},
		{`{"clusters": {"a": {"weight": -1}}}`, Preferences{}, `cluster "a": weight -1 isn't between 0 and 2147483647`},
		{`{"clusters": {"a": {"minReplicas": -2}}}`, Preferences{}, `cluster "a": minReplicas -2 isn't between`},
		{`{"clusters": {"a": {"maxReplicas": -3}}}`, Preferences{}, `cluster "a": maxReplicas -3 isn't between`},
		{`{"clusters": {"a": {"maxReplicas": 2147483648}}}`, Preferences{}, `cluster "a": maxReplicas 2147483648 isn't between`},
		{`{"clusters": {"a": {"minReplicas": 5, "maxReplicas": 2}}}`, Preferences{}, `cluster "a": maxReplicas 2 is less than minReplicas 5`},
		{`{"clusters": {"": {"weight": 1}}}`, Preferences{}, `a cluster's name is missing`},
		{`{"clusters": {"b": {"weight": -1}, "a": 1}}`, Preferences{}, "cluster \"a\": number where an object with minReplicas, maxReplicas and weight belongs\ncluster \"b\": weight -1"},
	} {
		got, err := ParsePreferences(tt.text)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.text, got, tt.want)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.err)
		}
	}
}

func TestFromAnnotations(t *testing.T) {
	const ours, theirs = `{"clusters": {"ours": {"weight": 1}}}`, `{"clusters": {"theirs": {"weight": 1}}}`
	for _, tt := range []struct {
		name        string
		kind        string
		annotations map[string]string
		want        string // the cluster named
		found       bool
		err         string
	}{
		{"none", "Deployment", map[string]string{"app": "web"}, "", false, ""},
		{"ours", "Deployment", map[string]string{"fedns.io/preferences": ours}, "ours", true, ""},
		{"ours first", "Deployment", map[string]string{"fedns.io/preferences": ours, "federation.kubernetes.io/deployment-preferences": theirs}, "ours", true, ""},
		{"v1's", "Deployment", map[string]string{"federation.kubernetes.io/deployment-preferences": theirs}, "theirs", true, ""},
		{"v1's of replica sets", "ReplicaSet", map[string]string{"federation.kubernetes.io/replica-set-preferences": theirs}, "theirs", true, ""},
		{"v1's of jobs", "Job", map[string]string{"federation.kubernetes.io/job-preferences": theirs}, "theirs", true, ""},
		{"v1's of another kind", "Job", map[string]string{"federation.kubernetes.io/deployment-preferences": theirs}, "", false, ""},
		{"v1 had none of autoscalers", "HorizontalPodAutoscaler", map[string]string{"federation.kubernetes.io/job-preferences": theirs, "": theirs}, "", false, ""},
		{"ours of autoscalers", "HorizontalPodAutoscaler", map[string]string{"fedns.io/preferences": ours}, "ours", true, ""},
		{"wrong", "Job", map[string]string{"federation.kubernetes.io/job-preferences": "{}"}, "", true, "annotation federation.kubernetes.io/job-preferences: clusters is empty"},
		{"ours wrong, v1's not taken for it", "Job", map[string]string{"fedns.io/preferences": "", "federation.kubernetes.io/job-preferences": theirs}, "", true, "annotation fedns.io/preferences: not JSON"},
	} {
		got, found, err := FromAnnotations(tt.kind, tt.annotations)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || found != tt.found {
			t.Errorf("%s: found %t, error %v", tt.name, found, err)
		}
		if name := strings.Join(got.Named(), " "); name != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, name, tt.want)
		}
		if !found && !reflect.DeepEqual(got, Default()) {
			t.Errorf("%s: %+v, want the default", tt.name, got)
		}
	}
}

func TestNamed(t *testing.T) {
	p := Preferences{Clusters: map[string]ClusterPreference{"paris": {}, "*": {}, "lyon": {}}}
	if got := strings.Join(p.Named(), " "); got != "lyon paris" {
		t.Error(got)
	}
}
