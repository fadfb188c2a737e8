package kube

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// IsNotFound says that there is no such object, or no such namespace.
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }

// IsConflict says that somebody else has written first.
func IsConflict(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// A Refusal is a no of our own, that asking again doesn't change.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Refused says that an API server understood, and said no: asking again is of no
// use until something is changed.
func Refused(err error) bool {
	var own Refusal
	return errors.As(err, &own) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsUnsupportedMediaType(err)
}

// Answered says that the error came from an API server, and not from the way
// there.
func Answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}
