// Package tls is the directive of that name: the certificate that a server block shows
// over TLS, HTTPS, QUIC and gRPC, from files.
//
//	tls CERT KEY [CA] {
//	    client_auth nocert|request|require|verify_if_given|require_and_verify
//	    keylog FILE
//	}
//
// It reads what CoreDNS's own plugin reads, but for certificates by ACME: for these alone
// nine modules would be linked, and in a server on the open Internet be waiting for a use.
package tls

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	pkgtls "github.com/coredns/coredns/plugin/pkg/tls"

	"github.com/fedns/fedns/internal/inputfile"
)

const name = "tls"

var log = clog.NewWithPlugin(name)

func init() { plugin.Register(name, setup) }

func setup(c *caddy.Controller) error {
	config := dnsserver.GetConfig(c)
	for c.Next() {
		if config.TLSConfig != nil {
			return plugin.Error(name, c.Err("the server block has a certificate already"))
		}
		f, err := parse(c)
		if err != nil {
			return plugin.Error(name, err)
		}
		if config.TLSConfig, err = f.in(config.Root).config(c); err != nil {
			return plugin.Error(name, c.Err(err.Error()))
		}
	}
	return nil
}

// files are those that the directive names, and who has to show a certificate.
type files struct {
	pair   []string // certificate, key, and perhaps authorities
	keylog string   // "": there is none
	auth   tls.ClientAuthType
}

// auths are the values of client_auth.
var auths = map[string]tls.ClientAuthType{
	"nocert":             tls.NoClientCert,
	"request":            tls.RequestClientCert,
	"require":            tls.RequireAnyClientCert,
	"verify_if_given":    tls.VerifyClientCertIfGiven,
	"require_and_verify": tls.RequireAndVerifyClientCert,
}

func parse(c *caddy.Controller) (f files, err error) {
	switch f.pair = c.RemainingArgs(); len(f.pair) {
	case 0:
		return f, c.Err("certificates aren't got by ACME here; have another program get one, and name its files: tls CERT KEY [CA]")
	case 2, 3:
	default:
		return f, c.Errf("%d files; it is: tls CERT KEY [CA]", len(f.pair))
	}
	for c.NextBlock() {
		option := c.Val()
		values := c.RemainingArgs()
		if option != "client_auth" && option != "keylog" {
			return f, c.Errf("there is no option %q; there are client_auth and keylog", option)
		}
		if len(values) != 1 {
			return f, c.Errf("%s has one value, not %d", option, len(values))
		}
		if option == "keylog" {
			f.keylog = values[0]
			continue
		}
		known := false
		if f.auth, known = auths[values[0]]; !known {
			return f, c.Errf("client_auth %q isn't known; there are %s", values[0], strings.Join(slices.Sorted(maps.Keys(auths)), ", "))
		}
	}
	return f, nil
}

// in takes relative paths from the directory of the directive root.
func (f files) in(root string) files {
	from := func(path string) string {
		if root == "" || path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(root, path)
	}
	f.pair = slices.Clone(f.pair)
	for i := range f.pair {
		f.pair[i] = from(f.pair[i])
	}
	f.keylog = from(f.keylog)
	return f
}

// most is how large a file of certificates may be: a chain of a hundred.
const most = 1 << 20

// readable looks at the files before they are read: a pipe would hold up a start, or a reload, for as long as nobody writes
// to it. Links are followed wherever they lead, since those who renew certificates put the last one there by such.
func (f files) readable() error {
	for _, path := range f.pair {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			continue // reading says what is wrong
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s isn't a regular file", path)
		case info.Size() > most:
			return fmt.Errorf("%s has more than %d bytes, as many as are read", path, most)
		}
	}
	if why := inputfile.Exposed(f.pair[1]); why != "" {
		log.Warning(why)
	}
	return nil
}

// config reads the files. The one of keys is closed with the server block.
func (f files) config(c *caddy.Controller) (*tls.Config, error) {
	if err := f.readable(); err != nil {
		return nil, err
	}
	config, err := pkgtls.NewTLSConfigFromArgs(f.pair...)
	if err != nil {
		return nil, err
	}
	config.ClientAuth = f.auth
	config.NextProtos = []string{"dot"} // without which BIND refuses a transfer (RFC 9103 section 7.1); servers of other protocols put in their own
	config.ClientCAs = config.RootCAs   // the authorities are those of clients, in a server
	if f.keylog == "" {
		return config, nil
	}
	keys, err := inputfile.Append(f.keylog)
	if err != nil {
		return nil, err
	}
	c.OnShutdown(keys.Close)
	config.KeyLogWriter = keys
	log.Warningf("the keys of all connections are written to %s: who reads it reads them", f.keylog)
	return config, nil
}
