// Command man writes the man pages of fedctl into a folder, one a command.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/test/framework/vector"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "man: which folder?")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man: "+err.Error())
		os.Exit(1)
	}
}

// header is of all pages.
var header = doc.GenManHeader{Section: "1", Source: "fedns", Manual: "fedns"}

func write(dir string) error {
	root := ctl.Command()
	codes, err := exitCodes(filepath.Join(vector.Root(), "docs", "reference", "exit-codes.md"))
	if err != nil {
		return err
	}
	root.Long += "\n# EXIT STATUS\n\n" + codes
	root.DisableAutoGenTag = true // pages of one commit are alike
	plainly(root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return doc.GenManTree(root, &header, dir)
}

// row is one of the table of exit codes.
var row = regexp.MustCompile(`(?m)^\| (\d) \| (.*) \|$`)

// exitCodes are those of the manual, a paragraph each.
func exitCodes(page string) (string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		fmt.Fprintf(&out, "**%s**: %s\n\n", m[1], m[2])
	}
	if out.Len() == 0 {
		return "", fmt.Errorf("%s has no exit codes", page)
	}
	return out.String(), nil
}

// plainly takes out of flags what marks their values: these pages have that in another way.
func plainly(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) })
	for _, sub := range c.Commands() {
		plainly(sub)
	}
}
