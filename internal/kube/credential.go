package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A Credential is what a token of a service account says of itself (RFC 7519). Nobody has looked at its
// signature: it is good for knowing when to ask for another one, and for nothing else.
type Credential struct {
	Account         string    // its service account
	Issued, Expires time.Time // zero: it doesn't end
}

// Life is how long the token was made for; 0: for ever.
func (c Credential) Life() time.Duration {
	if c.Expires.IsZero() {
		return 0
	}
	return c.Expires.Sub(c.Issued)
}

// fresh is how much of its life a token has to have left not to be renewed: whoever renews it may be
// away for so long.
const fresh = 2.0 / 3

// Due says whether a token that is to last for life has to be renewed: a third of the time that it was
// given is over, or it lasts for longer than it should. Servers may give less than was asked for.
func (c Credential) Due(life time.Duration, now time.Time) bool {
	given := c.Life()
	return given == 0 || given > life+life/10 || c.Expires.Sub(now) < time.Duration(float64(given)*fresh)
}

// Claims reads what a token says of itself; ok is false for what isn't one of a service account.
func Claims(token string) (c Credential, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, false
	}
	var said struct {
		Sub      string
		Iat, Exp float64
	}
	if json.Unmarshal(claims, &said) != nil {
		return c, false
	}
	subject := strings.Split(said.Sub, ":") // system:serviceaccount:NAMESPACE:NAME
	if len(subject) != 4 || subject[1] != "serviceaccount" {
		return c, false
	}
	c.Account = subject[3]
	if said.Exp > 0 {
		c.Issued, c.Expires = time.Unix(int64(said.Iat), 0), time.Unix(int64(said.Exp), 0)
	}
	return c, true
}

// current is the user of a kubeconfig's current context.
func current(content []byte) (*clientcmdapi.Config, *clientcmdapi.AuthInfo, error) {
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, nil, errors.New("it isn't a kubeconfig")
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.AuthInfos[context.AuthInfo] == nil {
		return nil, nil, errors.New("its current-context has no user")
	}
	return config, config.AuthInfos[context.AuthInfo], nil
}

// TokenIn is the token that a kubeconfig has; "": it has none.
func TokenIn(content []byte) string {
	_, user, err := current(content)
	if err != nil {
		return ""
	}
	return user.Token
}

// NamespaceIn is the namespace of a kubeconfig's current context; "": it has none.
func NamespaceIn(content []byte) string {
	config, _, err := current(content)
	if err != nil {
		return ""
	}
	return config.Contexts[config.CurrentContext].Namespace
}

// WithToken is a kubeconfig with another token.
func WithToken(content []byte, token string) ([]byte, error) {
	config, user, err := current(content)
	if err != nil {
		return nil, err
	}
	user.Token = token
	return clientcmd.Write(*config)
}

// SameBut says whether two kubeconfigs differ in nothing but the token of one service account: with
// that of somebody else, other things may be done there.
func SameBut(a, b []byte) bool {
	was, known := Claims(TokenIn(a))
	is, ok := Claims(TokenIn(b))
	if !known || !ok || was.Account != is.Account {
		return false
	}
	x, err := WithToken(a, "")
	if err != nil {
		return false
	}
	y, err := WithToken(b, "")
	return err == nil && string(x) == string(y)
}

// A bearer shows a token that was renewed instead of the one that it began with: whoever follows
// an API needn't begin anew for it.
type bearer struct {
	next  http.RoundTripper
	token *atomic.Pointer[string]
}

// RoundTrip is for http.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if t := b.token.Load(); t != nil {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+*t)
	}
	return b.next.RoundTrip(r)
}

// WrappedRoundTripper is for client-go, which looks for what has idle connections.
func (b bearer) WrappedRoundTripper() http.RoundTripper { return b.next }

// Renew has another token be shown from now on.
func (a *API) Renew(token string) {
	if rest.IsConfigTransportTLS(*a.REST) { // as the first: none is shown where anybody could read it
		a.token.Store(&token)
	}
}
