package workload

import (
	"flag"
	"os"
	"testing"
)

// TestMain has rapid draw the same cases each time: what a test says is to be of the change, not of
// luck. make soak draws others. A flag on the command line still counts.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
