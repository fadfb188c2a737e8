package tools

import (
	"os"
	"strings"
	"testing"
)

// most is how many modules each program may be linked from. Of those of fedns, 15 are the
// AWS SDK, for keys of CoreDNS's dnssec that nobody here has there, and 9 what its prometheus
// serves by: neither package can be had without. All else is used.
var most = map[string]int{"fedns": 82, "fedsync": 56, "fedctl": 69}

// TestModules: what is linked is what docs/reference/modules.md says, and no more than was
// decided once. Who needs another module says here why.
func TestModules(t *testing.T) {
	if out, code := run(t, at(), nil, "go", "run", "./test/tools/licences", "-check"); code != 0 {
		t.Error(out)
	}
	page, err := os.ReadFile(at("docs", "reference", "modules.md"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	var programs []string
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 {
			continue
		}
		if programs == nil {
			programs = cells[3:]
			continue
		}
		for i, c := range cells[3:] {
			if strings.TrimSpace(c) == "x" {
				got[strings.TrimSpace(programs[i])]++
			}
		}
	}
	for program, n := range most {
		if got[program] == 0 || got[program] > n {
			t.Errorf("%s is linked from %d modules; %d are allowed", program, got[program], n)
		}
	}
}
