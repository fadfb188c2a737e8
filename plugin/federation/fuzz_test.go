package federation

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/page"
	"github.com/fedns/fedns/plugin/federation/status"
)

// FuzzCorefile is that a stanza is read, or is an error in one line that says where.
func FuzzCorefile(f *testing.F) {
	for _, text := range []string{
		"cluster a {\nkubeconfig /nowhere ctx\nregion eu\nzones eu-a eu-b\nlocation 60 24\naddresses 192.0.2.0/24\nexports shop/*\nhosts *.example.com\n}\n",
		"registry /nowhere ctx\nselect a=b,c!=d\nttl 180s 30s 1s 1h\nannotations ttl policy\nhold 5m\nsilence keep\nguard 50% 10s 20\n",
		"probe http /healthz 200-399 interval 2s timeout 1s fall 3 rise 2 annotations off\npanic 50%\npolicy failover eu us\nanswers 8\n",
		"nets 10.0.0.0/8 eu\nlocal a cluster.local\nresolver 127.0.0.1:53\nstatus 127.0.0.1:8053\nfast off\nlenient\nfallthrough\nrrl public 2000 2\ntcp 10 2\ncookies off\necs off\n",
		"cluster a {\nmanifests \n}\n}", "\"\\", "{$HOME}", "ttl -1s", "guard 101% 1ns 0", "answers 0", "policy weighted", "nets ::/0 eu 10.0.0.0/33 x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "import") || strings.Contains(text, "{$") || strings.Contains(text, "{%") {
			return // which are the reader's, and of this machine
		}
		c := caddy.NewTestController("dns", "federation fed example.com {\n"+text+"\n}")
		stanzas, err := parse(c)
		switch {
		case err == nil && len(stanzas) == 0:
			t.Error("nothing is read, and nothing said")
		case err != nil && strings.TrimSpace(err.Error()) == "":
			t.Error("an error says nothing")
		}
		for _, s := range stanzas {
			if s.ttl < s.degraded && s.degraded == 0 {
				t.Errorf("it is read as %+v", s)
			}
		}
	})
}

// FuzzStatus is that whatever is asked of the status is answered: by data, or by what was wrong with the question.
func FuzzStatus(f *testing.F) {
	s := varied(f)
	for _, q := range []string{
		"explain?name=web.shop.fed.svc.example.com&type=A&client=192.0.2.1", "explain?name=shop/web&without=one,two", "explain?name=host/shop.example.com&type=TYPE65535",
		"services?limit=1&after=x&federation=fed&namespace=shop&unhealthy=true", "clusters", "snapshot", "preview?order=drain+cluster/one&limit=0", "preview?order=up+service/shop/web+until+x",
		"explain?name=" + strings.Repeat("a.", 130), "explain?name=%00&client=::ffff:1.2.3.4%25eth0", "services?limit=-1", "explain?name=a&name=b",
		"events?kind=shard&text=x&since=1&until=2&after=3&limit=4", "stream?after=1&service=a/b", "peers", "openapi.json", "explain?name=shop/web&at=1", "services?at=1e400&healthy=x", "../../why?name=x&take=cluster/a&order=y", "../../events?at=NaN", "../../?text=x&at=-1",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		u, err := url.Parse("/api/v1/" + asked)
		if err != nil || u.Host != "" || u.Path == "" || u.Path[0] != '/' || strings.ContainsAny(u.RequestURI(), " \r\n") {
			return // no HTTP client asks so
		}
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = u, u.RequestURI()
		if u.Path == status.Stream || u.Path == page.Live { // have no end but this
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			r = r.WithContext(ctx)
		}
		s.ServeHTTP(rec, r)
		if rec.Code >= 500 && rec.Code != 503 {
			t.Errorf("%q: %d %s", asked, rec.Code, rec.Body)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %d, and no JSON:\n%s", asked, rec.Code, rec.Body)
		}
	})
}
