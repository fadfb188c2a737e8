package ctl

import (
	"path/filepath"
	"regexp"
	"strings"
)

// What fedctl is called: by itself, as kubectl's plugin, and as what completes that.
const (
	program   = "fedctl"
	plugin    = "kubectl-fedns"
	completer = "kubectl_complete-fedns"
)

// called is the name of the program, without its folder.
func (e *Env) called() string {
	return strings.TrimSuffix(filepath.Base(e.Program), ".exe")
}

// toType is fedctl where it is to be typed.
var toType = regexp.MustCompile(`\bfedctl( -?-?[a-z])`)

// typed is a text with what somebody types who has called fedctl as a plugin.
func (e *Env) typed(text string) string {
	if e.called() != plugin {
		return text
	}
	return toType.ReplaceAllString(text, "kubectl fedns$1")
}
