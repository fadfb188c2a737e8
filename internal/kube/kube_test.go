package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestShared(t *testing.T) {
	for _, test := range []struct {
		name   string
		fields string // of managedFields
		want   bool
	}{
		{"nobody", ``, false},
		{"ours alone", `{"manager":"fedsync","operation":"Apply","fieldsV1":{"f:data":{"f:a":{}},"f:metadata":{"f:labels":{}}}}`, false},
		{"a controller's annotation and status", `{"manager":"fedsync","operation":"Apply","fieldsV1":{"f:spec":{}}},{"manager":"kube-controller-manager","operation":"Update","fieldsV1":{"f:metadata":{"f:annotations":{}},"f:status":{}}},{"manager":"kube-controller-manager","operation":"Update","subresource":"status","fieldsV1":{"f:status":{}}}`, false},
		{"somebody's data", `{"manager":"fedsync","operation":"Apply","fieldsV1":{"f:data":{}}},{"manager":"kubectl","operation":"Update","fieldsV1":{"f:data":{"f:b":{}}}}`, true},
		{"somebody's labels", `{"manager":"kubectl","operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{"f:kubernetes.io/metadata.name":{}}}}}`, true},
		{"ours, but not applied", `{"manager":"fedsync","operation":"Update","fieldsV1":{"f:data":{}}}`, true},
	} {
		o := &Object{}
		if err := o.UnmarshalJSON([]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","managedFields":[` + test.fields + `]}}`)); err != nil {
			t.Fatal(err)
		}
		if got := Shared(o, "fedsync"); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// A webhook with side effects says nothing of what it would do, and a server that is silent nothing of whether it is
// there.
func TestUncertain(t *testing.T) {
	for _, test := range []struct {
		err                 error
		unrehearsed, silent bool
	}{
		{err: apierrors.NewBadRequest(`admission webhook "color.example.com" does not support dry run`), unrehearsed: true},
		{err: apierrors.NewBadRequest("unknown field")},
		{err: errors.New("a log that does not support dry run")},
		{err: fmt.Errorf("wrapped: %w", context.DeadlineExceeded), silent: true},
		{err: &url.Error{Op: "Get", URL: "https://x", Err: os.ErrDeadlineExceeded}, silent: true},
		{err: fmt.Errorf("wrapped: %w", syscall.ECONNREFUSED)},
		{err: context.Canceled},
		{},
	} {
		if Unrehearsed(test.err) != test.unrehearsed || Silent(test.err) != test.silent {
			t.Errorf("%v: unrehearsed %v, silent %v", test.err, Unrehearsed(test.err), Silent(test.err))
		}
	}
}

func TestErrors(t *testing.T) {
	r := schema.GroupResource{Resource: "configmaps"}
	status := func(code int32, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message}}
	}
	terminating := apierrors.NewForbidden(r, "a", errors.New("x"))
	terminating.ErrStatus.Details.Causes = append(terminating.ErrStatus.Details.Causes, metav1.StatusCause{Type: "NamespaceTerminating"})
	for _, test := range []struct {
		err                                      error
		refused, conflict, notFound, terminating bool
	}{
		{err: apierrors.NewForbidden(r, "a", errors.New("x")), refused: true},
		{err: fmt.Errorf("wrapped: %w", apierrors.NewUnauthorized("x")), refused: true},
		{err: apierrors.NewInvalid(schema.GroupKind{}, "a", nil), refused: true},
		{err: apierrors.NewConflict(r, "a", errors.New("x")), conflict: true},
		{err: apierrors.NewAlreadyExists(r, "a"), conflict: true},
		{err: apierrors.NewNotFound(r, "a"), notFound: true},
		{err: terminating, refused: true, terminating: true},
		{err: status(http.StatusInternalServerError, "failed to create typed patch object (ns/a; v1): .spec.new: field not declared in schema"), refused: true},
		{err: status(http.StatusInternalServerError, "etcdserver: request timed out")},
		{err: apierrors.NewTooManyRequests("x", 1)},
		{err: errors.New("connection refused")},
		{err: fmt.Errorf("%w: why", Refusal("no")), refused: true},
	} {
		if Refused(test.err) != test.refused || Conflict(test.err) != test.conflict || Missing(test.err) != test.notFound || Terminating(test.err) != test.terminating {
			t.Errorf("%v: refused %v, conflict %v, not found %v, terminating %v", test.err, Refused(test.err), Conflict(test.err), Missing(test.err), Terminating(test.err))
		}
	}
}

func TestOpen(t *testing.T) {
	const good = `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"x","user":"u"}},{"name":"lost","context":{"cluster":"y"}}],"clusters":[{"name":"x","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"u","user":{"token":"t"}}]}`
	for _, test := range []struct{ name, content, context, want string }{
		{"good", good, "", ""},
		{"no YAML", "{", "", "kubeconfig: "},
		{"empty", "", "", "no current-context"},
		{"another context", good, "nowhere", `context "nowhere" isn't there`},
		{"a context without a cluster", good, "lost", `cluster "y" has no server`},
		{"a program", strings.Replace(good, `"token":"t"`, `"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"evil"}`, 1), "", `user "u": exec runs a program`},
		{"a file", strings.Replace(good, `"token":"t"`, `"tokenFile":"/etc/passwd"`, 1), "", `user "u": tokenFile names a file`},
		{"a plugin", strings.Replace(good, `"token":"t"`, `"auth-provider":{"name":"gcp"}`, 1), "", `auth-provider "gcp" may run a program`},
		{"a file of authorities", strings.Replace(good, `"server":`, `"certificate-authority":"/etc/ca","server":`, 1), "", "certificate-authority names a file"},
		{"a proxy", strings.Replace(good, `"server":`, `"proxy-url":"http://127.0.0.1:1","server":`, 1), "", `cluster "x": proxy-url has`},
		{"no look at certificates", strings.Replace(good, `"server":`, `"insecure-skip-tls-verify":true,"server":`, 1), "", `cluster "x": insecure-skip-tls-verify has`},
		{"a proxy of nobody's", strings.Replace(good, `"clusters":[`, `"clusters":[{"name":"z","cluster":{"server":"https://127.0.0.1:2","proxy-url":"socks5://127.0.0.1:1"}},`, 1), "", `cluster "z": proxy-url has`},
	} {
		api, err := Open(Config{Content: []byte(test.content), Context: test.context, Inline: true})
		if err == nil {
			api.Close()
		}
		if text := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(text, test.want) && test.want != "" {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := Open(Config{Kubeconfig: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

// What Go and API servers say of calls that come to nothing is put into words.
func TestPlain(t *testing.T) {
	dead := &url.Error{Op: "Get", URL: "https://127.0.0.1:1/api?timeout=30s", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "federation",
		errors.New(`User "jane" cannot get resource "configmaps" in API group "" in the namespace "federation-system"`))
	for _, tt := range []struct {
		err          error
		want, advice string
	}{
		{fmt.Errorf("https://127.0.0.1:1: %w", dead), "https://127.0.0.1:1: can't be reached: connection refused", "does its API server run"},
		{&url.Error{Op: "Get", URL: "https://x/", Err: context.DeadlineExceeded}, "https://x can't be reached: it didn't answer in time", "does its API server run"},
		{&url.Error{Op: "Get", URL: "https://x/", Err: io.EOF}, "https://x can't be reached: it closed the connection", "does its API server run"},
		{&url.Error{Op: "Get", URL: "https://x/", Err: &net.OpError{Op: "dial", Err: &net.DNSError{Name: "x", IsNotFound: true}}}, `https://x can't be reached: there is no host "x"`, "does its API server run"},
		{&url.Error{Op: "Get", URL: "https://x/", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, "https://x can't be reached: its certificate isn't accepted: nobody who is trusted here has signed it", "does its API server run"},
		{errors.Join(errors.New("one:\n  two"), errors.New("three\n")), "one: two; three", ""},
		{fmt.Errorf("https://x: %w", forbidden), `https://x: forbidden: user "jane" may not get configmaps in namespace federation-system`, "somebody with more rights has to give it these: kubectl create role fedctl -n federation-system --verb=get --resource=configmaps, and kubectl create rolebinding fedctl -n federation-system --role=fedctl --user=jane, or --context"},
		{fmt.Errorf("https://x: %w", apierrors.NewUnauthorized("Unauthorized")), "https://x: its credentials aren't accepted (401)", "has its token"},
		{errors.New("anything else"), "anything else", ""},
	} {
		if got := Plain(tt.err); got != tt.want || !strings.HasPrefix(Advice(tt.err), tt.advice) || tt.advice == "" && Advice(tt.err) != "" {
			t.Errorf("%v:\n%s; %s\nwant\n%s; %s", tt.err, got, Advice(tt.err), tt.want, tt.advice)
		}
	}
}
