package federation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An error names the line of what is wrong: the one that ends with #! here, with more of
// the stanza, and another stanza, behind it.
func TestErrorsNameTheirLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no secrets, and no records\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const other = "federation other example.org {\n\tcluster o {\n\t\tmanifests .\n\t}\n}\n"
	inStanza := func(text string) string {
		return "federation f {\n\n\t# a comment\n\tcluster c {\n\t\tmanifests .\n\t}\n\t" + text + "\n\tcluster d {\n\t\tmanifests .\n\t}\n}\n" + other
	}
	inCluster := func(text string) string {
		return "federation f {\n\tfast on\n\tcluster c {\n\t\tmanifests .\n\t\t" + text + "\n\t\taddresses 192.0.2.0/24\n\t}\n\tlenient\n}\n" + other
	}
	cases := map[string]string{
		"name":                           "federation my.fed { #!\n\tcluster c {\n\t\tmanifests .\n\t}\n}\n" + other,
		"no cluster":                     "federation f { #!\n\tfast on\n\tlenient\n}\n" + other,
		"no source":                      "federation f {\n\tcluster c { #!\n\t\tregion eu\n\t\tzones a b\n\t}\n\tlenient\n}\n" + other,
		"no block":                       "federation f {\n\tcluster c #!\n\tlenient\n}\n" + other,
		"no name of a cluster":           "federation f {\n\tcluster { #!\n\t\tmanifests .\n\t}\n}\n" + other,
		"a block that isn't closed":      "federation f {\n\tcluster c { #!\n\t\tmanifests .\n\t\tregion eu\n",
		"a block in one line":            "federation f {\n\tcluster c { manifests . } #!\n\tlenient\n}\n" + other,
		"a cluster twice":                "federation f {\n\tcluster c {\n\t\tmanifests .\n\t}\n\tcluster c { #!\n\t\tmanifests .\n\t}\n\tlenient\n}\n" + other,
		"a federation twice":             other + "federation other example.org { #!\n\tcluster o {\n\t\tmanifests .\n\t}\n\tlenient\n}\n",
		"local of an unknown cluster":    inStanza("local nowhere cluster.local #!\n\tttl 60\n\tlenient"),
		"local without its key":          inStanza("local c cluster.local #!\n\tlenient"),
		"a zone that is a region before": "federation f {\n\tcluster c {\n\t\tmanifests .\n\t\tregion eu\n\t}\n\tcluster d {\n\t\tmanifests .\n\t\tzones eu #!\n\t\tregion us\n\t}\n\tlenient\n}\n" + other,
		"a region that is a zone before": "federation f {\n\tcluster d {\n\t\tmanifests .\n\t\tzones eu\n\t\tregion us\n\t}\n\tcluster c {\n\t\tregion eu #!\n\t\tmanifests .\n\t}\n\tlenient\n}\n" + other,
		"missing kubeconfig":             "federation f {\n\tcluster c {\n\t\tregion eu\n\t\tkubeconfig " + dir + "/none here #!\n\t\taddresses 192.0.2.0/24\n\t}\n\tlenient\n}\n" + other,
		"missing manifests":              "federation f {\n\tcluster c {\n\t\tregion eu\n\t\tmanifests " + dir + "/none #!\n\t\taddresses 192.0.2.0/24\n\t}\n\tlenient\n}\n" + other,
		"missing registry":               inStanza("registry " + dir + "/none #!\n\tlenient"),
		"two apexes":                     inStanza("apex "+file+"\n\tlenient") + "federation g {\n\tapex " + dir + "/two #!\n\tcluster c {\n\t\tmanifests .\n\t}\n}\n",
		"two limits":                     inStanza("rrl on 10\n\tlenient") + "federation g {\n\trrl on 20 #!\n\tcluster c {\n\t\tmanifests .\n\t}\n}\n",
		"two jars":                       inStanza("cookies "+file+"\n\tlenient") + "federation g {\n\tcookies off #!\n\tcluster c {\n\t\tmanifests .\n\t}\n}\n",
		"secrets that are none":          inStanza("lenient") + "federation g {\n\tcookies " + file + " #!\n\tcluster c {\n\t\tmanifests .\n\t}\n}\n",
	}
	for _, wrong := range []string{
		"speed 5",
		"registry", "registry a b c", "select", "select a=b=c", "apex", "apex a b", "apex " + dir + "/none", "apex " + file,
		"ttl", "ttl soon", "ttl 30s 60s", "heartbeat 2s", "heartbeat 5s 2s", "heartbeat 1ms 2s", "hold", "hold 1ms", "silence", "silence maybe",
		"probe", "probe smoke", "panic", "panic 101%", "guard", "guard 50% 1ms", "guard 50% 10s many", "state", "state " + file, "state " + file + "/state",
		"overrides", "overrides a b", "overrides " + dir, "overrides " + file + "/overrides", "status a b", "status nowhere", "resolver", "resolver dns.example", "policy", "policy closest", "policy nearest failback manual", "policy failover us failback",
		"answers", "answers 0", "answers many", "geo", "nets", "nets 10.0.0/8 eu", "nets 10.0.0.0/8 e_u", "ecs", "ecs on dns.example",
		"local", "local c .", "fast", "fast maybe", "cookies", "cookies " + dir + "/none", "rrl", "rrl 100", "rrl on 0", "lenient yes",
	} {
		cases[wrong] = inStanza(wrong + " #!")
	}
	for _, wrong := range []string{
		"altitude 1", "kubeconfig", "kubeconfig a b c", "kubeconfig a b", "manifests", "manifests .", "region", "region a_b", "region a b",
		"zones", "zones a a", "zones a_b", "location", "location 91 2", "addresses", "addresses 1.2.3",
	} {
		cases["cluster: "+wrong] = inCluster(wrong + " #!")
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			before, _, marked := strings.Cut(text, "#!")
			if !marked {
				t.Fatalf("no line is marked in\n%s", text)
			}
			stanzas, err := parsed(t, text)
			if err == nil {
				_, err = build(stanzas, nil)
			}
			want := fmt.Sprintf("Testfile:%d - Error during parsing: ", strings.Count(before, "\n")+1)
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "Error during parsing") != 1 {
				t.Errorf("error %v, want it to begin with %q, in\n%s", err, want, text)
			}
		})
	}
}
