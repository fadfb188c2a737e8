package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Ready asks whether the API server is ready: nil, or why it isn't.
func (a *API) Ready(ctx context.Context) error {
	body, err := raw(a.rest.Get().AbsPath("/readyz").Timeout(callTimeout).Do(ctx))
	if err != nil {
		return brief(err)
	}
	if s := strings.TrimSpace(string(body)); !strings.EqualFold(s, "ok") {
		return fmt.Errorf("readyz: %q", s)
	}
	return nil
}

// An unready error is that of an API server that says what it isn't ready for. It
// lists some fifty checks; who reads it wants to know of those that fail.
type unready struct {
	checks []string
	err    error
}

func (e *unready) Error() string {
	const few = 3
	switch n := len(e.checks); {
	case n == 0:
		return "/readyz fails"
	case n > few:
		return fmt.Sprintf("/readyz fails: %s and %d more", strings.Join(e.checks[:few], ", "), n-few)
	}
	return "/readyz fails: " + strings.Join(e.checks, ", ")
}

func (e *unready) Unwrap() error { return e.err }

// brief makes an error short that has the list of checks in it, such as
// "[-]informer-sync failed: reason withheld" in a line. Of a long list there is only
// the beginning.
func brief(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, c := range status.Status().Details.Causes {
		if !strings.HasPrefix(c.Message, "[") {
			continue
		}
		out := &unready{err: err}
		for line := range strings.Lines(c.Message) {
			if check, ok := strings.CutPrefix(line, "[-]"); ok {
				name, _, _ := strings.Cut(check, " ")
				out.checks = append(out.checks, strings.TrimSpace(name))
			}
		}
		return out
	}
	return err
}
