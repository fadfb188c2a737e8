//go:build !unix

package inputfile

// nonblocking is for pipes, which have no names here.
const nonblocking = 0
