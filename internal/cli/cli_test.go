package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flags are some of each sort.
func flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("reason", "", "`TEXT` of it")
	fs.Duration("for", 0, "how long")
	fs.Int("many", 5, "how many")
	fs.Float64("qps", 1, "how often")
	fs.BoolP("force", "f", false, "even so")
	fs.StringP("output", "o", "table", "how")
	fs.String("old", "", "gone")
	fs.Lookup("old").Hidden = true
	return fs
}

func TestRead(t *testing.T) {
	for _, tt := range []struct{ args, want, words, old string }{
		{"", "", "", ""},
		{"drain a --reason x b", "drain a --reason x b", "drain a b", ""},
		{"-reason x a", "--reason x a", "a", "reason"},
		{"-reason=x a", "--reason=x a", "a", "reason"},
		{"--reason -force -force a", "--reason -force --force a", "a", "force"},
		{"-f a", "-f a", "a", ""},
		{"-o json a", "-o json a", "a", ""},
		{"-ojson a", "-ojson a", "a", ""},
		{"-o=json a", "-o=json a", "a", ""},
		{"-fo json a", "-fo json a", "a", ""},
		{"-output json a", "--output json a", "a", "output"},
		{"--unknown x a", "--unknown x a", "a", ""},
		{"--unknown=x a", "--unknown=x a", "a", ""},
		{"a -- -force --reason", "a -- -force --reason", "a -force --reason", ""},
		{"- a", "- a", "- a", ""},
		{"-help a", "--help a", "a", ""},
		{"-h a", "-h a", "a", ""},
		{"a --reason", "a --reason", "a", ""},
	} {
		f := Flags{}
		f.Add(flags())
		read, old := f.Read(strings.Fields(tt.args))
		var words []string
		for _, a := range read {
			if a.Word {
				words = append(words, a.Text)
			}
		}
		if got := strings.Join(Texts(read), " "); got != tt.want || strings.Join(words, " ") != tt.words || strings.Join(old, " ") != tt.old {
			t.Errorf("%q: %q, words %q, old %q", tt.args, got, words, old)
		}
	}
}

func TestWrong(t *testing.T) {
	for args, want := range map[string]string{
		"--cnf":          "there is no flag --cnf",
		"--raeson x":     "there is no flag --raeson; did you mean --reason?",
		"--oldd x":       "there is no flag --oldd",
		"-x":             "there is no flag -x",
		"-ofrce -x":      "there is no flag -x",
		"-force":         "", // o's value is behind it
		"-reasn=x":       "there is no flag -reasn; did you mean --reason?",
		"--o json":       "there is no flag --o; did you mean -o?",
		"-reasn":         "there is no flag -reasn; did you mean --reason?",
		"--reason":       "--reason is without a value",
		"-o":             "-o is without a value",
		"--for 1hour":    `--for: "1hour" isn't a duration such as 90s, 15m or 2h`,
		"--many x":       `--many: "x" isn't a whole number`,
		"--qps x":        `--qps: "x" isn't a number`,
		"--force=maybe":  `-f takes no value, and "maybe" is one`,
		"--=x":           `"--=x" is no flag`,
		"--force=true a": "",
	} {
		fs := flags()
		err := fs.Parse(strings.Fields(args))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", args, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: accepted", args)
			continue
		}
		if got := Wrong(fs, err).Error(); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "does things"}
	root.AddGroup(&cobra.Group{ID: "g", Title: "Things:"})
	parent := &cobra.Command{Use: "get", GroupID: "g", Run: func(*cobra.Command, []string) {}}
	parent.AddCommand(&cobra.Command{Use: "all", Short: "every one of them, wherever it may stand", Run: func(*cobra.Command, []string) {}})
	do := &cobra.Command{Use: "do WHAT", Short: "do it", GroupID: "g", Example: "# like so\ntool do x\n\n# or so\ntool do y", DisableFlagsInUseLine: true, Run: func(*cobra.Command, []string) {}}
	do.Flags().AddFlagSet(flags())
	root.AddCommand(do, parent)
	for _, tt := range []struct {
		c       *cobra.Command
		columns int
		want    string
	}{
		{root, 40, `Does things.

Things:
  do       Do it.
  get all  Every one of them, wherever
           it may stand.

Usage:
  tool [options]

Use "tool COMMAND --help" for more about one of them.
`},
		{do, 0, `Do it.

Examples:
  # like so
  tool do x

  # or so
  tool do y

Options:
    --for=0s:
        how long

    -f, --force=false:
        even so

    --many=5:
        how many

    -o, --output='table':
        how

    --qps=1:
        how often

    --reason='':
        TEXT of it

Usage:
  tool do WHAT [options]
`},
	} {
		var b bytes.Buffer
		Help(&b, tt.c, tt.columns)
		if b.String() != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.c.Name(), b.String(), tt.want)
		}
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		text, indent string
		columns      int
		want         []string
	}{
		{"a b c", "", 0, []string{"a b c"}},
		{"a b c", "  ", 5, []string{"  a b", "  c"}},
		{"longer than that a", "", 4, []string{"longer", "than", "that", "a"}},
		{"", "", 4, []string{""}},
	} {
		got := strings.Split(strings.TrimSuffix(Fold(tt.text, tt.indent, tt.columns), "\n"), "\n")
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}
