package kube

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
	return errors.As(err, &own) || Forbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsUnsupportedMediaType(err)
}

// Reached says that an error came from a server: one that doesn't answer gives
// errors without a status.
func Reached(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}
