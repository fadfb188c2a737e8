package kube

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// made is a token as a server makes them, but for its signature.
func made(sub string, issued, expires time.Time) string {
	claims := fmt.Sprintf(`{"sub":%q}`, sub)
	if !expires.IsZero() {
		claims = fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, sub, issued.Unix(), expires.Unix())
	}
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
}

const fedsyncs = "system:serviceaccount:federation-system:fedsync-prod"

func TestDue(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	const week = 7 * 24 * time.Hour
	for _, tt := range []struct {
		name   string
		issued time.Duration // ago
		given  time.Duration
		life   time.Duration
		want   bool
	}{
		{"just made", 0, week, week, false},
		{"a quarter is over", week / 4, week, week, false},
		{"a third is over", week/3 + time.Minute, week, week, true},
		{"over", 2 * week, week, week, true},
		{"one that doesn't end", 0, 0, week, true},
		{"for longer than it should", 0, 365 * 24 * time.Hour, week, true},
		{"the server gave less", time.Hour, 24 * time.Hour, week, false},
		{"the server gave less, and a third of that is over", 9 * time.Hour, 24 * time.Hour, week, true},
		{"a little more, as servers give for being late", 0, week + 7*time.Second, week, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issued, expires := now.Add(-tt.issued), time.Time{}
			if tt.given > 0 {
				expires = issued.Add(tt.given)
			}
			c, ok := Claims(made(fedsyncs, issued, expires))
			if !ok || c.Account != "fedsync-prod" {
				t.Fatalf("%+v, %v", c, ok)
			}
			if got := c.Due(tt.life, now); got != tt.want {
				t.Errorf("it is due: %v", got)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	for _, token := range []string{"", "static", "a.b.c", "e30.e30.e30", "e30.bnVsbA.x", made("alice", time.Time{}, time.Time{}), made("system:node:a:b:c", time.Time{}, time.Time{})} {
		if c, ok := Claims(token); ok {
			t.Errorf("%q is one of %+v", token, c)
		}
	}
}

// TestRenew is that another token is shown from then on, and that kubeconfigs are told apart.
func TestRenew(t *testing.T) {
	var shown string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		fmt.Fprint(w, "ok")
	}))
	defer s.Close()
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	content := func(token, server string) []byte {
		return []byte(fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"u","user":{"token":%q}}]}`, server, authority, token))
	}
	first, second := made(fedsyncs, time.Time{}, time.Time{}), made(fedsyncs, time.Now(), time.Now().Add(time.Hour))
	one := content(first, s.URL)
	api, err := Open(Config{Content: one})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	two, err := WithToken(one, second)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{first, second} {
		if err := api.Ready(t.Context()); err != nil || shown != "Bearer "+want {
			t.Errorf("it has shown %q, %v", shown, err)
		}
		api.Renew(TokenIn(two))
	}
	if !SameBut(one, two) || SameBut(one, content(second, "https://elsewhere")) || SameBut(one, content(made("system:serviceaccount:a:b", time.Time{}, time.Time{}), s.URL)) || SameBut(content("a", s.URL), content("b", s.URL)) || SameBut(one, []byte("nonsense")) || SameBut(content("", s.URL), one) {
		t.Error("kubeconfigs that differ in their token only aren't told from others")
	}
}
