// Package advice has errors that come with what may help.
package advice

import "fmt"

// An Error is one, with a line for whoever has to mend it.
type Error struct {
	error
	Hint string
}

// Unwrap gives the error without the hint.
func (e *Error) Unwrap() error { return e.error }

// Errorf makes an error with a hint, which may be "".
func Errorf(hint, format string, v ...any) error {
	return &Error{fmt.Errorf(format, v...), hint}
}
