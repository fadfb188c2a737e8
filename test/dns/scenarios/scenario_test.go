// Package scenarios tells stories of clusters and what is answered meanwhile. A story is a
// *.txtar file, whose first line says in a sentence what it tells.
//
// Most run on a clock that they move, with no cluster and no network, over the tables and
// the engine that fedns answers with. They begin with
//
//	federation NAME [hold=5m] [silence=keep] [probe=tcp] [panic=50] [guard=50,10s,20] [policy=WORDS] [answers=N]
//
// and go on with
//
//	cluster NAME REGION/ZONE...            a member that has been listed
//	shard NS/NAME CLUSTER ADDRESS ready=N [zones=ZONE,...] [ttl=60] [policy=WORDS] [weight=N] [created=YEAR]
//	                                       N ready endpoints in each zone; without ADDRESS: not in the cluster
//	silent CLUSTER, fresh CLUSTER          its API stops answering, has been listed again
//	forgets CLUSTER, remembers CLUSTER     its API lists no Service and no slice any more, and lists them again
//	probe ADDRESS pass|fail [TIMES]        so many results of probing it, one after the other
//	order LINE                             a line of the overrides file; without a line: none
//	restart                                another process goes on with what is kept on disk
//	after DURATION                         the clock moves, and what is due is done
//	dig NAME [TYPE]                        prints what is answered
//	shares NAME                            asks many times, and prints who is in how many of the answers
//
// What a whole server adds (hosts, static records, clients' networks, ports, pods, reloads, what
// is kept on disk) is told over the program itself and folders of manifests:
//
//	server NAME                            the federation's; it starts with the first question
//	option LINE                            of its stanza; DIR is the story's folder
//	cluster NAME REGION/ZONE...            a member; said again, its nodes are elsewhere
//	shard ...                              as above; also [hide=slice]: the slice has no label but the Service's name;
//	                                       [ports=NAME:NUMBER,...] of the endpoints; [inside=ADDRESS]: its cluster IP
//	pods NS/NAME CLUSTER [HOSTNAME=]ADDRESS...  a headless Service with a port http
//	ingress NS/NAME CLUSTER ADDRESS HOST=SERVICE... [created=YEAR]  without ADDRESS: gone
//	copy FROM TO                           a file, whole, by rename
//	leave CLUSTER, join CLUSTER            it is taken out of the Corefile, and the server reloads; put in again
//	restart                                the process ends, and another begins
//	dig NAME [TYPE] [client=ADDRESS] [ttl=any]  names that don't end in a dot are below example.com; with ttl=any, TTLs
//	                                       are printed as *
//	await FILE NAME ...                    asks, with the words of dig, until what that prints is what the file has
//	serial [same|later]                    remembers the SOA's serial, and compares it with the one before
package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A verb is what a line of a story does; what it gives is printed.
type verb = func(args []string) (string, error)

// A teller is what a story is told over.
type teller interface{ verbs() map[string]verb }

func TestScenarios(t *testing.T) {
	names := map[string]bool{}
	for _, w := range []teller{&world{}, &served{}} {
		for name := range w.verbs() {
			names[name] = true
		}
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){"await": await}
	for name := range names {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("a verb has no opposite")
			}
			fmt.Fprint(ts.Stdout(), do(ts, name, args))
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: ".",
		Setup: func(e *testscript.Env) error {
			t, ok := e.T().(testing.TB)
			if !ok {
				return fmt.Errorf("%T is no test", e.T())
			}
			e.Values[key{}] = &story{t: t, dir: e.WorkDir}
			return nil
		},
		Cmds: cmds,
	})
}

// A story begins with what it is told over.
type story struct {
	t   testing.TB
	dir string
	teller
}

type key struct{}

func do(ts *testscript.TestScript, name string, args []string) string {
	s := ts.Value(key{}).(*story)
	switch {
	case name == "federation":
		s.teller = &world{}
	case name == "server":
		s.teller = &served{t: s.t, dir: s.dir}
	case s.teller == nil:
		ts.Fatalf("a story begins with federation or server")
	}
	f, ok := s.verbs()[name]
	if !ok {
		ts.Fatalf("%s isn't told over a %T", name, s.teller)
	}
	out, err := f(args)
	if err != nil {
		ts.Fatalf("%s: %v", name, err)
	}
	return out
}

// await asks until the answer is what a file has.
func await(ts *testscript.TestScript, neg bool, args []string) {
	want := ts.ReadFile(args[0])
	got := ""
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if got = do(ts, "dig", args[1:]); (got == want) != neg {
			return
		}
	}
	ts.Fatalf("not within %v; it is\n%swant\n%s", limit, got, want)
}

// limit is how long what has changed in a folder may take to be answered, on a busy machine.
const limit = 30 * time.Second

// The first line of a story says what it tells.
func TestHeadings(t *testing.T) {
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if !strings.HasPrefix(line, "# ") || !strings.HasSuffix(line, ".") {
			t.Errorf("%s begins with %q, which is no sentence in a comment", f, line)
		}
	}
}

// fields are the words of a line by KEY=VALUE, and those without.
func fields(args []string, known ...string) (words []string, options map[string]string, err error) {
	options = map[string]string{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		switch {
		case !ok:
			words = append(words, a)
		case slices.Contains(known, k):
			options[k] = v
		default:
			return nil, nil, fmt.Errorf("there is no %q", a)
		}
	}
	return words, options, nil
}
