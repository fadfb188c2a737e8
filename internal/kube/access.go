package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/builtin"
)

// A Right is something one may do. Resource may have a subresource: "pods/exec".
type Right struct{ Verb, Group, Resource, Namespace, Name string }

func (r Right) String() string {
	s := r.Verb + " " + r.Resource
	if r.Group != "" {
		s += "." + r.Group
	}
	if r.Name != "" {
		s += " " + r.Name
	}
	if r.Namespace != "" {
		s += " in " + r.Namespace
	}
	return s
}

// May asks whether whoever asks has a right.
func (a *API) May(ctx context.Context, r Right) (bool, error) {
	resource, sub, _ := strings.Cut(r.Resource, "/")
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{
		"resourceAttributes": map[string]any{"verb": r.Verb, "group": r.Group, "resource": resource, "subresource": sub, "namespace": r.Namespace, "name": r.Name},
	}}
	body, err := json.Marshal(review)
	if err != nil {
		return false, err
	}
	said, err := raw(a.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").Timeout(callTimeout).Body(body).Do(ctx))
	if err != nil {
		return false, err
	}
	var answer struct{ Status struct{ Allowed bool } }
	err = json.Unmarshal(said, &answer)
	return answer.Status.Allowed, err
}

// Token asks for a token of a service account, for as long as that or as the
// server allows, and says when it expires. With a Secret to bind it to, it ends with that, too.
func (a *API) Token(ctx context.Context, namespace, account string, life time.Duration, bound string) (token string, expires time.Time, err error) {
	spec := map[string]any{"expirationSeconds": int64(life / time.Second)}
	if bound != "" {
		spec["boundObjectRef"] = map[string]any{"apiVersion": "v1", "kind": builtin.Secrets.Name, "name": bound}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
	if err != nil {
		return "", expires, err
	}
	said, err := raw(a.at(a.rest.Post(), builtin.ServiceAccounts, namespace, account).SubResource("token").Body(body).Do(ctx))
	if err != nil {
		return "", expires, err
	}
	var answer struct {
		Status struct {
			Token               string
			ExpirationTimestamp time.Time
		}
	}
	if err := json.Unmarshal(said, &answer); err != nil {
		return "", expires, err
	}
	if answer.Status.Token == "" {
		return "", expires, fmt.Errorf("service account %s/%s: the server gave no token", namespace, account)
	}
	return answer.Status.Token, answer.Status.ExpirationTimestamp, nil
}

// A Table is a list as kubectl prints it: the server makes the columns.
type Table struct {
	Columns []string
	Rows    [][]string
}

// Table lists a kind for people; wide adds the columns that aren't for everyone.
func (a *API) Table(ctx context.Context, k Kind, namespace string, wide bool) (*Table, error) {
	said, err := raw(a.at(a.rest.Get(), k, namespace, "").SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx))
	if err != nil {
		return nil, err
	}
	var list metav1.Table
	if err := json.Unmarshal(said, &list); err != nil {
		return nil, err
	}
	t := &Table{}
	var shown []int
	for i, c := range list.ColumnDefinitions {
		if c.Priority == 0 || wide {
			shown = append(shown, i)
			t.Columns = append(t.Columns, c.Name)
		}
	}
	for _, r := range list.Rows {
		var row []string
		for _, i := range shown {
			cell := ""
			if i < len(r.Cells) && r.Cells[i] != nil {
				cell = fmt.Sprint(r.Cells[i])
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}
