package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	return errors.As(err, &own) || Undeclared(err) || Forbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsUnsupportedMediaType(err)
}

// Unrehearsed says that a server doesn't do a call as a dry run, since one of its webhooks has side effects, and
// not that it refuses it.
func Unrehearsed(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

// Invalid says that an object, as it would be, breaks the rules of its kind.
func Invalid(err error) bool { return apierrors.IsInvalid(err) }

// Undeclared says that a server doesn't know a field of an applied object, such as an
// older one. It says so as if it were in trouble, with 500.
func Undeclared(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError && strings.HasPrefix(status.Status().Message, "failed to create typed patch object")
}

// terminating is how the API server says it (corev1.NamespaceTerminatingCause).
const terminating metav1.CauseType = "NamespaceTerminating"

// Terminating says that the namespace is on its way out.
func Terminating(err error) bool { return apierrors.HasStatusCause(err, terminating) }

// Silent says that nobody answered in time: a server that may be there, and slow.
func Silent(err error) bool {
	var slow net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &slow) && slow.Timeout()
}

// Reached says that an error came from a server: one that doesn't answer gives
// errors without a status.
func Reached(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}
