package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fedns/fedns/test/framework/vector"
)

// A contender is a server that can be raced. In its arguments, files and
// environment PORT stands for the port it is to serve, DIR for a folder of its own,
// ZONE for the zone file and WHERE for the database of where networks are.
type contender struct {
	name    string
	program string // looked for where Debian puts it; of ours, in build
	debian  string // the package it is in
	version string // an argument that makes it tell
	build   func(r *race) (path string, err error)
	args    []string
	env     []string
	files   map[string]string // under DIR, with the folders they lie in
	secure  string            // what stands for SECURE in its files where it is to answer over TLS and HTTPS, too
	signed  string            // what stands for SIGNED in its files where it is to sign
	fixed   bool              // answers without reading the question
	nearest bool              // gives the shards of the region that is closest to the client
}

// oneThread is what the others are told in their configuration.
var oneThread = []string{"GOMAXPROCS=1"}

// contenders are in the order they are raced in. Each is set up with one thread that
// answers, its log where we find it, and for the rest as it comes, but for what would
// hold answers back (rate limits), keep a second port open or touch the zone file.
var contenders = []contender{
	{
		name:  "floor",
		build: func(r *race) (string, error) { return r.compile("floor.c") },
		args:  []string{"PORT"},
		fixed: true,
	},
	{
		name: "nsd", program: "nsd", debian: "nsd", version: "-v",
		args: []string{"-d", "-c", "DIR/nsd.conf"},
		files: map[string]string{"nsd.conf": `
server:
	ip-address: 127.0.0.1@PORTSECURE
	server-count: 1
	minimal-responses: yes
	username: ""
	zonesdir: "DIR"
	database: ""
	pidfile: "DIR/pid"
	xfrdfile: "DIR/xfrd"
	zonelistfile: "DIR/zones"
	rrl-ratelimit: 0
remote-control:
	control-enable: no
zone:
	name: ` + domain + `
	zonefile: "ZONE"
`},
		secure: `
	ip-address: 127.0.0.1@TLS
	tls-port: TLS
	tls-service-key: "FILES/key.pem"
	tls-service-pem: "FILES/cert.pem"`,
	},
	{
		name: "knot", program: "knotd", debian: "knot", version: "-V",
		args: []string{"-c", "DIR/knot.conf"},
		files: map[string]string{"run/.keep": "", "storage/.keep": "", "knot.conf": `
server:
    rundir: DIR/run
    listen: 127.0.0.1@PORT
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: DIR/storage
zone:
  - domain: ` + domain + `
    file: ZONE
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
SIGNED`},
		signed: "    module: mod-onlinesign\n",
	},
	{
		name: "gdnsd", program: "gdnsd", debian: "gdnsd", version: "version",
		args: []string{"-c", "DIR", "start"},
		files: map[string]string{"run/.keep": "", "state/.keep": "", "zones/.keep": "", "config": `
options => {
	listen => "127.0.0.1:PORT"
	udp_threads => 1
	tcp_threads => 1
	run_dir => "DIR/run"
	state_dir => "DIR/state"
}
`},
	},
	{
		name: "bind", program: "named", debian: "bind9", version: "-v",
		args: []string{"-g", "-n", "1", "-c", "DIR/named.conf"},
		secure: `
	listen-on port TLS tls own { 127.0.0.1; };
	listen-on port HTTPS tls own http default { 127.0.0.1; };
};
tls own {
	cert-file "FILES/cert.pem";
	key-file "FILES/key.pem";`,
		files: map[string]string{"named.conf": `
options {
	directory "DIR";
	pid-file none;
	session-keyfile none;
	listen-on port PORT { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion no;
	notify no;
	minimal-responses yes;SECURE
};
controls { };
zone "` + domain + `" { type primary; file "ZONE"; };
`},
	},
	{
		name: "pdns", program: "pdns_server", debian: "pdns-backend-bind", version: "--version",
		args: []string{"--config-dir=DIR"},
		files: map[string]string{"pdns.conf": `
launch=bind
bind-config=DIR/zones.conf
local-address=127.0.0.1
local-port=PORT
receiver-threads=1
distributor-threads=1
socket-dir=DIR
daemon=no
guardian=no
SIGNED`, "zones.conf": `zone "` + domain + `" { type master; file "ZONE"; };`},
		signed: "bind-dnssec-db=DIR/dnssec.db\n",
	},
	{
		name: "coredns", version: "-version",
		build:  (*race).coredns,
		args:   []string{"-conf", "DIR/Corefile"},
		env:    oneThread,
		files:  map[string]string{"Corefile": domain + ":PORT SECURE{\n bind 127.0.0.1\n SIGNED file ZONE\n}\n"},
		signed: "dnssec {\n  key file KEY\n }\n",
	},
	{
		name: "fedns", version: "-version",
		build:  (*race).fedns,
		args:   []string{"-conf", "DIR/Corefile"},
		env:    oneThread,
		files:  map[string]string{"Corefile": "FEDERATION SIGNED"},
		secure: secureKeys,
		signed: "dnssec FILES/keys",
	},
	{
		name: "fedns-nearest", nearest: true,
		build: (*race).fedns,
		args:  []string{"-conf", "DIR/Corefile"},
		env:   oneThread,
		files: map[string]string{"Corefile": "FEDERATION policy nearest\n  geo WHERE"},
	},
	{
		name:   "fedns-slow", // every answer the whole way through CoreDNS
		build:  (*race).fedns,
		args:   []string{"-conf", "DIR/Corefile"},
		env:    oneThread,
		files:  map[string]string{"Corefile": "FEDERATION fast off"},
		secure: secureKeys,
	},
}

// secureKeys begin a server block for TLS, HTTPS, QUIC and HTTP/3, too.
const secureKeys = "tls://" + domain + ":TLS quic://" + domain + ":TLS https://" + domain + ":HTTPS https3://" + domain + ":HTTPS {\n tls FILES/cert.pem FILES/key.pem\n#"

// pick gives the contenders of a list of names.
func pick(names string) ([]contender, error) {
	var out []contender
	for _, n := range strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c == ' ' }) {
		i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == n })
		if i < 0 {
			return nil, hinted(fmt.Errorf("there is no server %q", n), "there are: "+strings.Join(all(), " "))
		}
		out = append(out, contenders[i])
	}
	if len(out) == 0 {
		return nil, hinted(errors.New("no server is named"), "there are: "+strings.Join(all(), " "))
	}
	return out, nil
}

// beforeSuffix ends the names of those that race with the fedns of before a change.
const beforeSuffix = "-before"

// besideEarlier puts beside each fedns of a field one that is set up alike and is another program.
func besideEarlier(field []contender, program string) []contender {
	var out []contender
	for _, c := range field {
		out = append(out, c)
		if c.name == "fedns" || strings.HasPrefix(c.name, "fedns-") {
			c.name += beforeSuffix
			c.build = func(*race) (string, error) { return program, nil }
			out = append(out, c)
		}
	}
	return out
}

func all() []string {
	var out []string
	for _, c := range contenders {
		out = append(out, c.name)
	}
	return out
}

// find gives the path of a contender's program, made first if it is one of ours.
func (r *race) find(c contender) (string, error) {
	if c.build != nil {
		return c.build(r)
	}
	return find(c.program, c.debian)
}

// find looks for a program of a Debian package. Servers are where not everybody
// looks.
func find(program, debian string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s isn't installed: Debian package %s", program, debian)
}

// prepare writes a contender's files and gives its arguments.
func (r *race) prepare(c contender, p *process) (args []string, err error) {
	secure := ""
	if p.tls > 0 {
		secure = c.secure
	}
	signed := ""
	if r.key != "" {
		signed = c.signed
	}
	dir := filepath.Join(r.dir, c.name)
	fill := strings.NewReplacer("PORT", fmt.Sprint(p.port), "TLS", fmt.Sprint(p.tls), "HTTPS", fmt.Sprint(p.https), "FILES", r.dir, "KEY", r.key, "DIR", dir, "ZONE", filepath.Join(r.dir, "zone"), "WHERE", filepath.Join(r.dir, "where.mmdb"))
	for name, text := range c.files {
		if options, ok := strings.CutPrefix(text, "FEDERATION"); ok {
			text = corefile(r.dir, strings.TrimSpace(options))
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		text = strings.Replace(strings.Replace(text, "SECURE", secure, 1), "SIGNED", signed, 1)
		if err := os.WriteFile(path, []byte(fill.Replace(text)), 0o644); err != nil {
			return nil, err
		}
	}
	if c.name == "gdnsd" { // it takes zones by the names of their files
		zone := filepath.Join(dir, "zones", domain)
		if err := os.Symlink(filepath.Join(r.dir, "zone"), zone); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	if c.name == "pdns" && signed != "" {
		if err := pdnsKeys(dir); err != nil {
			return nil, err
		}
	}
	for _, a := range c.args {
		args = append(args, fill.Replace(a))
	}
	return args, nil
}

//go:embed floor.c
var floorSource []byte

//go:embed ask.c
var askSource []byte

//go:embed flood.c
var floodSource []byte

//go:embed connect.c
var connectSource []byte

//go:embed questions.h
var questionsHeader []byte

// compile makes a program of one of our C files, once a race.
func (r *race) compile(source string) (string, error) {
	if program, ok := r.compiled[source]; ok {
		return program, nil
	}
	gcc, err := find("gcc", "gcc, and libc6-dev")
	if err != nil {
		return "", err
	}
	text := map[string][]byte{"floor.c": floorSource, "ask.c": askSource, "flood.c": floodSource, "connect.c": connectSource}[source]
	path := filepath.Join(r.dir, source)
	program := strings.TrimSuffix(path, ".c") + ".bin" // floor itself is that server's folder
	for name, text := range map[string][]byte{path: text, filepath.Join(r.dir, "questions.h"): questionsHeader} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return "", err
		}
	}
	if out, err := exec.Command(gcc, "-O2", "-o", program, path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s: %w\n%s", source, err, out)
	}
	r.compiled[source] = program
	return program, nil
}

// coredns builds the CoreDNS of this folder, as fedns is built.
func (r *race) coredns() (string, error) {
	path := filepath.Join(vector.Root(), "bin", "test", "coredns-file")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./test/perf/race/coredns")
	build.Dir = vector.Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./test/perf/race/coredns: %w\n%s", err, out)
	}
	return path, nil
}

// fedns is what make build has made, or what -fedns says.
func (r *race) fedns() (string, error) {
	if _, err := os.Stat(r.program); err != nil {
		return "", fmt.Errorf("%w; `make build` makes it", err)
	}
	return r.program, nil
}
