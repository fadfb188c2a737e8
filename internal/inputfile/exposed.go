package inputfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Exposed says who else may read or write a file that holds secrets; "": nobody whom its owner
// hasn't named, as far as its mode tells. In a volume that Kubernetes has made of a Secret it
// tells nothing: who sees that is in the container.
func Exposed(path string) string {
	const everybody, others = 0o004, 0o022
	info, err := os.Stat(path)
	if err != nil || mounted(path) {
		return "" // opening it says what is wrong
	}
	switch mode := info.Mode().Perm(); {
	case mode&others != 0:
		return exposed(path, "is written by others than its owner, or may be", mode, mode&^others&^everybody)
	case mode&everybody != 0:
		return exposed(path, "can be read by everybody on this host", mode, mode&^everybody)
	}
	return ""
}

func exposed(path, what string, is, should fs.FileMode) string {
	return fmt.Sprintf("%s holds secrets and %s (mode %04o): chmod %04o", path, what, is, should)
}

// mounted says whether a file is one of a volume that Kubernetes has made, whose links lead through "..data".
func mounted(path string) bool {
	to, err := os.Readlink(path)
	return err == nil && strings.HasPrefix(filepath.ToSlash(to), "..data/")
}
