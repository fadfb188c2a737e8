package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/apireply"
)

// Missing says that what was asked for isn't there.
func Missing(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

// Forbidden says that the server knows who asked, or doesn't, and won't do it.
func Forbidden(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }

// Conflict says that somebody else was faster.
func Conflict(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// A Refusal is a no of our own, that asking again doesn't change.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Refused says that an API server understood, and said no: asking again is of no
// use until something is changed.
func Refused(err error) bool {
	var own Refusal
	return errors.As(err, &own) || untyped(err) || Forbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsUnsupportedMediaType(err)
}

// untyped says that a server knows a field of an applied object not, such as an
// older one. It says so as if it were in trouble, with 500.
func untyped(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError && strings.HasPrefix(status.Status().Message, "failed to create typed patch object")
}

// terminating is how the API server says it (corev1.NamespaceTerminatingCause).
const terminating metav1.CauseType = "NamespaceTerminating"

// Terminating says that the namespace is on its way out.
func Terminating(err error) bool { return apierrors.HasStatusCause(err, terminating) }

// Reached says that an error came from a server: one that doesn't answer gives
// errors without a status.
func Reached(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// denial is how an API server says that somebody lacks a right.
var denial = regexp.MustCompile(`(\S+)(?: "[^"]*")? is forbidden: User "([^"]*)" cannot (\w+) resource "([^"]*)"(?: in API group "[^"]*")?(?: in the namespace "([^"]*)"| at the cluster scope)?`)

// Plain is what an error says, for people: what Go and an API server say of calls
// that came to nothing is put into words, wherever it stands in it.
func Plain(err error) string {
	text := err.Error()
	var u *url.Error
	if errors.As(err, &u) {
		said := "can't be reached: " + cause(u)
		if apireply.Answered(u.Err) {
			said = u.Err.Error()
		}
		text = strings.ReplaceAll(text, u.Error(), said)
	}
	text = denial.ReplaceAllStringFunc(text, func(s string) string {
		m := denial.FindStringSubmatch(s)
		out := fmt.Sprintf("forbidden: user %q may not %s %s", m[2], m[3], m[4])
		if m[5] != "" {
			out += " in namespace " + m[5]
		}
		return out
	})
	if apierrors.IsUnauthorized(err) {
		text = strings.ReplaceAll(text, "the server has asked for the client to provide credentials", "Unauthorized")
		text = strings.ReplaceAll(text, "Unauthorized", "its credentials aren't accepted (401)")
	}
	return text
}

// cause is why a call didn't get to an answer.
func cause(u *url.Error) string {
	var op *net.OpError
	var unknown *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(u.Err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("there is no host %q", unknown.Name)
	case errors.As(u.Err, &certificate):
		return "its certificate isn't accepted: " + certificate.Err.Error()
	case u.Timeout() || errors.Is(u.Err, context.DeadlineExceeded):
		return "it didn't answer in time"
	case errors.Is(u.Err, io.EOF):
		return "it closed the connection"
	case errors.As(u.Err, &op):
		var sys *os.SyscallError
		if errors.As(op.Err, &sys) {
			return sys.Err.Error()
		}
		return op.Err.Error()
	}
	return u.Err.Error()
}

// Advice is what to do about an error of an API, as far as that is known; "": it isn't.
func Advice(err error) string {
	var u *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return "has its token or certificate ended? --kubeconfig and --context say which is taken"
	case apierrors.IsForbidden(err):
		return "somebody with more rights has to give it these, or --context names one who has them"
	case errors.Is(err, apireply.ErrStrange), errors.Is(err, apireply.ErrRedirect):
		return "is the address in the kubeconfig that of an API server, or does something stand in front of it?"
	case errors.Is(err, apireply.ErrCredential):
		return "the user's exec in the kubeconfig says what is run"
	case errors.As(err, &u):
		return "does its API server run, and is the address in the kubeconfig right? --context says which is meant"
	}
	return ""
}
