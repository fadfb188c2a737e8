// Package token gets service accounts tokens that last.
package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
)

// A Token is what a program shows for itself.
type Token struct {
	Value   string
	Expires time.Time // zero: when its service account or its Secret goes
}

const (
	// fillTime is how long a cluster may take to fill in a token. Those that do it
	// at all take a tenth of a second.
	fillTime = 5 * time.Second
	fillStep = 50 * time.Millisecond
	// life is asked for where a cluster fills nothing in; it may give less.
	life = 10 * 365 * 24 * time.Hour
)

// Tokens gets one for each service account in the namespace System, all at once.
//
// A Secret that the cluster fills in is what survives: it has no end, and goes with
// its account. Where there is no controller that does it, a token is asked for,
// and that one ends; some clusters give an hour, some a year.
func Tokens(ctx context.Context, l *apply.Applied, accounts ...string) (map[string]Token, error) {
	out := map[string]Token{}
	missing := slices.Clone(accounts)
	for end := time.Now().Add(fillTime); ; {
		var still []string
		for _, a := range missing {
			t, stale, err := filled(ctx, l, a)
			if err != nil {
				return nil, fmt.Errorf("the token of service account %s: %w", a, err)
			}
			if stale { // there is a controller
				end = time.Now().Add(fillTime)
			}
			if t == "" {
				still = append(still, a)
				continue
			}
			out[a] = Token{Value: t}
		}
		if missing = still; len(missing) == 0 || time.Now().After(end) {
			break
		}
		if !kube.Pause(ctx, fillStep) {
			return nil, context.Cause(ctx)
		}
	}
	for _, a := range missing {
		if err := apply.DeleteOwned(ctx, l.API, l.Federation, apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: Lasting(a)}); err != nil {
			return nil, err
		}
		t, err := Request(ctx, l.API, a)
		if err != nil {
			return nil, err
		}
		out[a] = t
	}
	return out, nil
}

// filled looks whether an account's Secret has been filled in, and makes it where
// there is none. A controller that is behind fills it in for the account of that
// name that was there before, whose tokens are worth nothing: that is stale.
func filled(ctx context.Context, l *apply.Applied, name string) (token string, stale bool, err error) {
	account, err := l.API.Get(ctx, builtin.ServiceAccounts, v1alpha1.System, name)
	if err != nil {
		return "", false, err
	}
	s, err := l.API.Get(ctx, builtin.Secrets, v1alpha1.System, Lasting(name))
	if kube.Missing(err) || err == nil && !apply.Ours(s, l.Federation) {
		s = builtin.Secrets.New(v1alpha1.System, Lasting(name))
		s.SetAnnotations(map[string]string{ofAccount: name})
		s.Object["type"] = builtin.TokenType
		_, err = l.Apply(ctx, s)
		return "", false, err
	}
	if err != nil {
		return "", false, err
	}
	token = string(kube.SecretData(s)["token"])
	if token != "" && s.GetAnnotations()[ofUID] != string(account.GetUID()) {
		return "", true, apply.DeleteOwned(ctx, l.API, l.Federation, apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: Lasting(name)})
	}
	return token, false, nil
}

// Annotations of a token's Secret; the controller writes the second.
const (
	ofAccount = "kubernetes.io/service-account.name"
	ofUID     = "kubernetes.io/service-account.uid"
)

// Ending gets an account a token that ends after life, and with what it is bound to: whoever
// deletes that has no token of the account be worth anything.
func Ending(ctx context.Context, l *apply.Applied, account string, life time.Duration) (t Token, err error) {
	if err := Bind(ctx, l, account); err != nil {
		return t, err
	}
	t.Value, t.Expires, err = l.API.Token(ctx, v1alpha1.System, account, life, v1alpha1.BoundTo(account))
	if err != nil {
		return t, fmt.Errorf("the token of service account %s: %w", account, err)
	}
	return t, nil
}

// Bind makes what tokens of an account are bound to.
func Bind(ctx context.Context, l *apply.Applied, account string) error {
	_, err := l.Apply(ctx, kube.NewSecret(v1alpha1.System, v1alpha1.BoundTo(account), nil))
	return err
}

// Lasting names the Secret that a cluster fills in with a token that doesn't end.
func Lasting(account string) string { return account + "-token" }

// Request asks for a token that ends.
func Request(ctx context.Context, api *kube.API, account string) (t Token, err error) {
	t.Value, t.Expires, err = api.Token(ctx, v1alpha1.System, account, life, "")
	if err != nil {
		return t, fmt.Errorf("the token of service account %s: %w", account, err)
	}
	return t, nil
}
