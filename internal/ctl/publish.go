package ctl

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/publish"
)

// A publisher writes the names of a federation into another server's zone.
type publisher struct {
	*call
	from, fromKey, to, key, zone, domain, federation, owner string
	once, dry                                               bool
}

func (c *publisher) declare(fs *pflag.FlagSet) {
	fs.StringVar(&c.from, "from", "", "`ADDRESS[:PORT]` of a fedns that lets this host have the domain (transfer)")
	fs.StringVar(&c.fromKey, "from-key", "", "`FILE` with the TSIG key for that, as tsig-keygen writes it")
	fs.StringVar(&c.to, "to", "", "`ADDRESS[:PORT]` of the primary server of the zone, which takes dynamic updates")
	fs.StringVar(&c.key, "key", "", "`FILE` with the TSIG key for that, as tsig-keygen writes it")
	fs.StringVar(&c.domain, "domain", "", "`DOMAIN` of the names")
	fs.StringVar(&c.zone, "zone", "", "`ZONE` that the domain is in there; default: the domain")
	fs.StringVar(&c.federation, "federation", "", "`NAME` of the federation")
	fs.StringVar(&c.owner, "owner", "", "`NAME` in the TXT records beside; default: the federation's")
	fs.BoolVar(&c.once, "once", false, "write what there is now; fedns keeps it up to date, with publish in its Corefile")
	fs.BoolVar(&c.dry, "dry-run", false, "print what would change, a record a line, and change nothing")
}

var publishCommand = command{
	name: "publish",
	what: "write the names of a federation into another server's zone",
	long: "Has the names of a federation's services transferred from a fedns, and writes them into the zone of another server by dynamic update (RFC 2136): what " +
		"isn't there yet, is otherwise, or is a service's that is gone; hosts of Ingresses and routes aren't written. A TXT record beside each name says whose it is; names without that aren't touched. It exits with 1 if a name couldn't be written.",
	example: `# What would change
fedctl publish --once --dry-run --from 127.0.0.1:1053 --to 192.0.2.53 --key pub.key --domain example.com --federation myfederation`,
	make: func(c *call) action { return &publisher{call: c} },
}

// publishing bounds how long all of it may take.
const publishing = 5 * time.Minute

func (c *publisher) run(ctx context.Context) error {
	for _, f := range [][2]string{{"from", c.from}, {"to", c.to}, {"domain", c.domain}, {"federation", c.federation}} {
		if f[1] == "" {
			return misused(&c.command, "publish: --%s is missing", f[0])
		}
	}
	if !c.once && !c.dry {
		return misused(&c.command, "publish: needs --once: that it is kept up to date is fedns's part (publish in its Corefile)")
	}
	ctx, cancel := context.WithTimeout(ctx, publishing)
	defer cancel()
	domain := strings.ToLower(strings.TrimSuffix(c.domain, ".")) + "."
	zone := domain
	if c.zone != "" {
		zone = strings.ToLower(strings.TrimSuffix(c.zone, ".")) + "."
	}
	if zone != "." && domain != zone && !strings.HasSuffix(domain, "."+zone) {
		return misused(&c.command, "publish: --domain %s isn't in --zone %s", c.domain, c.zone)
	}
	from := publish.Server{Addr: port53(c.from), Zone: domain}
	p := publish.Publisher{Server: publish.Server{Addr: port53(c.to), Zone: zone, Domain: domain, Owner: c.owner}}
	if p.Owner == "" {
		p.Owner = c.federation
	}
	for _, s := range []struct {
		file string
		of   *publish.Server
	}{{c.fromKey, &from}, {c.key, &p.Server}} {
		if s.file == "" {
			continue
		}
		var err error
		if s.of.Key, s.of.Secret, err = tsigKey(s.file); err != nil {
			return err
		}
	}
	rrs, err := from.Records(ctx)
	if err != nil {
		return advice.Errorf("it needs transfer ADDRESS, or transfer * key NAME, in its Corefile", "fedns %s: the domain %s can't be transferred: %w", c.from, c.domain, err)
	}
	if err := p.Load(ctx); err != nil {
		hint := "what is there has to be known: the server has to be reached, and to hand the zone out (allow-transfer)"
		if publish.Unwilling(err) {
			hint = "what is there has to be known: let the key have the zone (allow-transfer)"
		}
		return advice.Errorf(hint, "server %s: the zone %s can't be transferred: %w", c.to, zone, err)
	}
	others := func(group string) bool { // a static record, a host, or another federation's
		labels := strings.Split(group, ".")
		return len(labels) < 5 || labels[3] != "svc" && labels[3] != "ing" || labels[2] != c.federation
	}
	p.Leave(others) // a fedns may publish hosts there
	groups := map[string]publish.Names{}
	for name, list := range publish.Gather(rrs) {
		g := publish.Group(domain, name)
		if others(g) {
			continue
		}
		if groups[g] == nil {
			groups[g] = publish.Names{}
		}
		groups[g][name] = list
	}
	for g, names := range groups {
		p.Set(g, names, true)
	}
	for _, line := range p.Plan() {
		c.printf("%s\n", strings.ReplaceAll(line, "\t", " "))
	}
	if c.dry {
		return nil
	}
	p.Write(ctx, time.Now())
	if list := p.Problems(); len(list) > 0 {
		return fmt.Errorf("server %s: %s", c.to, strings.Join(list, "; "))
	}
	return nil
}

// port53 adds the usual port.
func port53(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), "53")
}

// Parts of a key file as BIND has it.
var (
	keyNamed  = regexp.MustCompile(`key\s+"?([^"\s{]+)"?\s*\{`)
	keySecret = regexp.MustCompile(`secret\s+"?([^"\s;]+)"?\s*;`)
	keyAlgo   = regexp.MustCompile(`algorithm\s+"?([^"\s;]+)"?\s*;`)
)

// tsigKey reads a key file.
func tsigKey(file string) (name, secret string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	n, s, a := keyNamed.FindSubmatch(text), keySecret.FindSubmatch(text), keyAlgo.FindSubmatch(text)
	switch {
	case n == nil || s == nil:
		return "", "", fmt.Errorf(`%s: there is no key in it, such as: key "pub" { algorithm hmac-sha256; secret "BASE64"; };`, file)
	case a != nil && !strings.EqualFold(string(a[1]), "hmac-sha256"):
		return "", "", fmt.Errorf("%s: the algorithm is %s; keys are used with hmac-sha256", file, a[1])
	}
	return strings.ToLower(strings.TrimSuffix(string(n[1]), ".")) + ".", string(s[1]), nil
}
