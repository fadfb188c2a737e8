package kube

import (
	"context"
	"encoding/json"
)

// A Review is what an API says of whoever shows a token.
type Review struct {
	User    string // "": the token is nobody's
	Allowed bool
}

// Review asks the API whose a token is, and whether that one may do something with a path that is no
// resource (TokenReview, SubjectAccessReview).
func (a *API) Review(ctx context.Context, token, verb, path string) (r Review, err error) {
	var who struct {
		Status struct {
			Authenticated bool
			User          struct {
				Username string              `json:"username"`
				UID      string              `json:"uid,omitempty"`
				Groups   []string            `json:"groups,omitempty"`
				Extra    map[string][]string `json:"extra,omitempty"`
			}
		}
	}
	err = a.review(ctx, "/apis/authentication.k8s.io/v1/tokenreviews", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]any{"token": token},
	}, &who)
	if err != nil || !who.Status.Authenticated || who.Status.User.Username == "" {
		return r, err
	}
	u := who.Status.User
	r.User = u.Username
	var may struct{ Status struct{ Allowed bool } }
	err = a.review(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": u.Username, "uid": u.UID, "groups": u.Groups, "extra": u.Extra, "nonResourceAttributes": map[string]any{"verb": verb, "path": path}},
	}, &may)
	r.Allowed = may.Status.Allowed
	return r, err
}

func (a *API) review(ctx context.Context, path string, what, into any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	said, err := raw(a.rest.Post().AbsPath(path).Timeout(callTimeout).Body(body).Do(ctx))
	if err != nil {
		return err
	}
	return json.Unmarshal(said, into)
}
