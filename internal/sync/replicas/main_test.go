package replicas

import (
	"flag"
	"os"
	"testing"
)

// TestMain has rapid check properties more often than its 100 times: they take
// microseconds. A flag on the command line still counts.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "2000"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
