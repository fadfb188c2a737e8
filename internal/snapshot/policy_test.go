package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
)

func TestParsePolicy(t *testing.T) {
	for text, want := range map[string]snapshot.Policy{
		"all":                             {},
		"nearest":                         {Choice: snapshot.Nearest},
		"nearest 2":                       {Choice: snapshot.Nearest, Count: 2},
		"nearest within 5%":               {Choice: snapshot.Nearest, Within: 5},
		"nearest within 10% 3":            {Choice: snapshot.Nearest, Within: 10, Count: 3},
		"weighted":                        {Choice: snapshot.Weighted},
		"weighted 2":                      {Choice: snapshot.Weighted, Count: 2},
		"failover eu-west1 US-east1":      {Choice: snapshot.Failover, Regions: []string{"eu-west1", "us-east1"}},
		"failover a b failback auto":      {Choice: snapshot.Failover, Regions: []string{"a", "b"}},
		"failover a failback delayed 10m": {Choice: snapshot.Failover, Regions: []string{"a"}, Failback: snapshot.Failback{After: 10 * time.Minute}},
		"failover a failback manual":      {Choice: snapshot.Failover, Regions: []string{"a"}, Failback: snapshot.Failback{Manual: true}},
	} {
		got, err := snapshot.ParsePolicy(strings.Fields(text))
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		again, err := snapshot.ParsePolicy(strings.Fields(got.String()))
		if err != nil || !again.Equal(got) {
			t.Errorf("%s is spelled %q, which is %+v, %v", text, got, again, err)
		}
	}
}

func TestParsePolicyErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "needs all, nearest",
		"closest":                       `"closest" is no policy; there are all, nearest`,
		"all 5":                         `"5" is left over`,
		"nearest within":                "within: needs a percentage",
		"nearest within 5":              `"5" is not a percentage`,
		"nearest within 101%":           `"101%" is not a percentage from 0% to 100%`,
		"nearest 0":                     `"0" is not a number of shards from 1 to 16`,
		"nearest 2 within 5%":           `"within 5%" is left over`,
		"weighted -1":                   `"-1" is not a number`,
		"nearest failback manual":       "failback: only failover has regions to go back to",
		"failback manual":               "failback: only failover has regions to go back to",
		"failover":                      "needs at least one region",
		"failover failback auto":        "needs at least one region",
		"failover a a":                  `region "a" stands twice`,
		"failover a_b":                  `"a_b" is not one DNS label`,
		"failover a failback":           "needs auto, delayed DURATION, or manual",
		"failover a failback soon":      "needs auto, delayed DURATION, or manual",
		"failover a failback delayed":   "needs auto, delayed DURATION, or manual",
		"failover a failback delayed 5": `"5" is not a duration`,
		"failover a failback auto b":    `"b" is left over`,
	} {
		if _, err := snapshot.ParsePolicy(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
