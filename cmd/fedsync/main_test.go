package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", ""},
		{"--kind example.com/v1/Gadget --kind v1/Event --max-deletes 0 --lease 0 --lost-after 1m", ""},
		{"--kind Gadget", `"Gadget" is not a kind`},
		{"--max-deletes -1", "--max-deletes -1"},
		{"--lease 1s", "--lease 1s"},
		{"--qps 0", "--qps"},
		{"--lost-after -1s", "--lost-after"},
		{"sync", `"sync" isn't a flag`},
		{"--kubconfig x", "there is no flag --kubconfig; did you mean --kubeconfig?"},
	} {
		_, err := parse(strings.Fields(test.args))
		if text := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(text, test.want) && test.want != "" {
			t.Errorf("fedsync %s: %v, want %q", test.args, err, test.want)
		}
	}
	if err := run(t.Context(), options{}); err == nil || !strings.Contains(err.Error(), "no kubeconfig is given: --kubeconfig FILE") {
		t.Errorf("without a kubeconfig: %v", err)
	}
	o, err := parse(strings.Fields("--kind example.com/v1/Gadget --kind v1/Event --deadline 5s"))
	if err != nil || len(o.Kinds) != 2 || o.deadline != 5*time.Second || o.MaxDeletes != 50 || o.old != nil {
		t.Errorf("%+v, %v", o, err)
	}
	// As flags were before they had two dashes.
	o, err = parse(strings.Fields("-kind v1/Event -deadline=5s --debug -dry-run -kubeconfig -x"))
	if err != nil || len(o.Kinds) != 1 || o.deadline != 5*time.Second || !o.debug || !o.dryRun || o.Kubeconfig != "-x" || !slices.Equal(o.old, []string{"kind", "deadline", "dry-run", "kubeconfig"}) {
		t.Errorf("%+v, %v", o, err)
	}
}
