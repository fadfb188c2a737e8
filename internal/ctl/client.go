package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
)

// patience is for a preview of a federation of any size; everything else is
// answered at once.
var patience = 30 * time.Second

// defaultServer is where fedns serves its status unless it is told otherwise.
const defaultServer = "http://127.0.0.1:8053"

// asking is what commands have in common that ask a server.
type asking struct {
	*call
	server string
	out    output
}

func (c *asking) declare(fs *pflag.FlagSet) {
	c.at(fs)
	c.out.declare(fs, forms)
}

// at declares the flag that says which server; its default is one of the
// environment.
func (c *asking) at(fs *pflag.FlagSet) {
	fs.StringVar(&c.server, "server", c.usualServer(), "`URL` of fedns's status; $FEDNS_SERVER says it, too")
}

// usualServer is asked where none is named.
func (c *call) usualServer() string {
	if c.Getenv != nil {
		if s := c.Getenv("FEDNS_SERVER"); s != "" {
			return s
		}
	}
	return defaultServer
}

// errUnreachable says that the server could not be asked at all.
var errUnreachable = errors.New("can't be asked")

// largest is how large a report may be: ten times that of a federation with 10,000 services.
const largest = 256 << 20

// get asks the server for a report, and says so where that takes a while.
func (c *asking) get(ctx context.Context, what string, v url.Values, into any) error {
	defer c.waiting("server " + c.server)()
	return c.fetch(ctx, what, v, into)
}

// fetch asks the server for a report.
func (c *asking) fetch(ctx context.Context, what string, v url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+"/api/v1/"+what+"?"+v.Encode(), nil)
	if err != nil {
		return misused(&c.command, "server %q is not a URL, such as %s", c.server, defaultServer)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return advice.Errorf("does its Corefile say `status`? --server URL, or FEDNS_SERVER, says where", "server %s %w: %s", c.server, errUnreachable, kube.Cause(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err == nil && len(body) == largest {
		err = fmt.Errorf("it says more than %d bytes", largest)
	}
	if err != nil {
		return advice.Errorf("", "server %s %w: %s", c.server, errUnreachable, kube.Cause(err))
	}
	if resp.StatusCode != http.StatusOK {
		var e report.Error
		if json.Unmarshal(body, &e) != nil || e.Error == "" {
			return advice.Errorf("is that the status of fedns?", "server %s %w: it says %s", c.server, errUnreachable, resp.Status)
		}
		return advice.Errorf(e.Hint, "%s", e.Error)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return advice.Errorf("is that the status of fedns?", "server %s %w: what it says is none of fedns's reports", c.server, errUnreachable)
	}
	return nil
}

// services asks for all that v says, a page at a time; with an error, it gives those of the pages before.
func (c *asking) services(ctx context.Context, v url.Values) (all report.Services, err error) {
	all.Services = []report.Service{}
	for {
		var page report.Services
		if err := c.get(ctx, "services", v, &page); err != nil {
			return all, err
		}
		all.Serial, all.Total = page.Serial, page.Total
		if all.Services = append(all.Services, page.Services...); page.Next == "" {
			return all, nil
		}
		v.Set("after", page.Next)
	}
}

// base is the server's URL.
func (c *asking) base() string {
	base := strings.TrimSuffix(c.server, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return base
}

// client asks the server.
func (c *asking) client() *http.Client {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // fedns leads nobody elsewhere
	return &http.Client{Transport: t, CheckRedirect: stay}
}

// print writes a report as JSON.
func (c *call) print(v any) error {
	e := json.NewEncoder(c.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// collect gives a text for each entry of a list.
func collect[T any](all []T, text func(T) string) (out []string) {
	for _, e := range all {
		out = append(out, text(e))
	}
	return out
}

// heard prints an age.
func heard(age *float64) string {
	if age == nil {
		return "never heard"
	}
	return "heard " + cli.Span(*age) + " ago"
}

// bare is a name as people write it, without the dot of the root.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
