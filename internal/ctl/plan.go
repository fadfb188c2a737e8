package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/sync/controller"
	"github.com/fedns/fedns/internal/sync/workload"
)

// plan shows what fedsync would do.
type plan struct {
	previewing
	exit bool
}

// previewing is what commands have in common that show what fedsync would do.
type previewing struct {
	steering
	deadline   time.Duration
	maxDeletes int
	kinds      list
	out        output
}

func (c *previewing) declare(fs *pflag.FlagSet) {
	c.steering.declare(fs)
	fs.DurationVar(&c.deadline, "deadline", 30*time.Second, "`DURATION` that clusters may take to say what they have")
	c.out.declare(fs, dataForms)
}

func (c *plan) declare(fs *pflag.FlagSet) {
	c.previewing.declare(fs)
	fs.IntVar(&c.maxDeletes, "max-deletes", controller.DefaultMaxDeletes, "`N`, instead of what fedsync runs with: more deletions in a cluster wait for an operator")
	fs.Var(&c.kinds, "kind", "`GROUP/VERSION/KIND`, instead of those that fedsync runs with, beside its own; may be given several times")
	fs.BoolVar(&c.exit, "exit-code", false, "exit with 3 if there is anything to do")
}

func (c *plan) run(ctx context.Context) error {
	if c.maxDeletes < 0 {
		return misused(&c.command, "plan: --max-deletes %d: has to be 0 or more", c.maxDeletes)
	}
	p, err := c.preview(ctx, controller.Adopting{})
	if err != nil {
		return err
	}
	if c.out.data() {
		err = c.put(c.out, foreseen(c.federation, p))
	} else if err = p.Print(c.Stdout); err == nil && len(p.Steps) > 0 {
		c.printf("%s; nothing is done\n", tally(p.Steps))
	}
	switch {
	case err != nil:
		return err
	case len(p.Unknown) > 0:
		return exit(notAllAsked)
	case c.exit && len(p.Steps) > 0:
		return exit(anythingToDo)
	}
	return nil
}

// preview finds out what fedsync would do, where more may be taken over than says so itself.
func (c *previewing) preview(ctx context.Context, adopting controller.Adopting) (controller.Preview, error) {
	none := controller.Preview{}
	if c.deadline <= 0 {
		return none, misused(&c.command, "%s: --deadline %s is over already", c.name, c.deadline)
	}
	kinds, err := c.call.kinds(c.kinds)
	if err != nil {
		return none, err
	}
	cut, err := c.find().Choose(c.chosen())
	if err != nil {
		return none, err
	}
	api, err := c.home(ctx) // says at once, and in detail, what fedsync would wait for
	if err != nil {
		return none, err
	}
	whose, err := c.settings(ctx, api)
	if err != nil {
		return none, err
	}
	config := c.previewed(whose, kinds)
	config.Federation, config.Content, config.Adopting = c.federation, cut.Content, adopting
	within, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	done := c.waiting("the clusters to say what they have")
	defer done()
	return controller.Plan(within, config)
}

// previewed is the fedsync that runs, but for what the flags say otherwise.
func (c *previewing) previewed(whose v1alpha1.Settings, kinds []v1alpha1.Kind) controller.Config {
	config := controller.Config{
		MaxDeletes: controller.DefaultMaxDeletes, LostAfter: controller.DefaultLostAfter, Kinds: append([]v1alpha1.Kind{}, whose.Kinds...),
		Log: slog.New(slog.DiscardHandler), // what it would log is in the preview
	}
	f := whose.Fedsync
	if f != nil {
		config.MaxDeletes, config.LostAfter, config.Kinds = f.MaxDeletes, f.LostAfter, append(config.Kinds[:0], f.Kinds...)
	} else {
		c.hint("what fedsync runs with isn't known: none of this version has run here; this is what one without flags would do")
	}
	if c.given["max-deletes"] {
		if f != nil && f.MaxDeletes != c.maxDeletes {
			c.hint(fmt.Sprintf("fedsync runs with --max-deletes %d, and not with %d as is shown here", f.MaxDeletes, c.maxDeletes))
		}
		config.MaxDeletes = c.maxDeletes
	}
	if len(kinds) > 0 {
		if mine, theirs := v1alpha1.FormatKinds(kinds), v1alpha1.FormatKinds(config.Kinds); f != nil && mine != theirs {
			c.hint(fmt.Sprintf("fedsync runs with the kinds %s beside its own, and not with %s as is shown here", cmp.Or(theirs, "none"), mine))
		}
		config.Kinds = kinds
	}
	return config
}

// tally counts steps by what they do.
func tally(steps []controller.Foreseen) string {
	n := map[workload.Verb]int{}
	refused := 0
	for _, s := range steps {
		if n[s.Verb]++; s.Refused != "" {
			refused++
		}
	}
	var parts []string
	for _, v := range []workload.Verb{workload.Create, workload.Update, workload.Adopt, workload.Delete, workload.Release} {
		if n[v] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", v, n[v]))
		}
	}
	text := cli.Plural(len(steps), "step") + ": " + strings.Join(parts, ", ")
	if refused > 0 {
		text += fmt.Sprintf("; %d would be refused", refused)
	}
	return text
}

// A foresight is a plan as data.
type foresight struct {
	Federation string         `json:"federation"`
	Steps      []foreseenStep `json:"steps"`
	// Strays are objects of fedsync's that no federated object asks for; they stay.
	Strays []foreseenStray `json:"strays"`
	// Confirm are clusters in which more would go than is done unasked.
	Confirm []string `json:"confirm"`
	Notes   []string `json:"notes"`
	Unknown []string `json:"unknown"` // clusters that could not be asked, and why
}

type foreseenStep struct {
	Cluster    string           `json:"cluster"`
	Verb       workload.Verb    `json:"verb"`
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Namespace  string           `json:"namespace,omitempty"`
	Name       string           `json:"name"`
	Why        string           `json:"why"`
	Scale      workload.Scale   `json:"scale,omitempty"` // its part of what is split
	Changes    []foreseenChange `json:"changes,omitempty"`
	// Refused is why the cluster would not let it be done, and Untried why that can't be
	// said yet.
	Refused string `json:"refused,omitempty"`
	Untried string `json:"untried,omitempty"`
}

// A foreseenChange is a field with its values; null where it isn't there.
type foreseenChange struct {
	Path string          `json:"path"`
	Was  json.RawMessage `json:"was"`
	Now  json.RawMessage `json:"now"`
}

type foreseenStray struct {
	Cluster string `json:"cluster"`
	Object  string `json:"object"`
}

func foreseen(federation string, p controller.Preview) foresight {
	out := foresight{Federation: federation, Steps: []foreseenStep{}, Strays: []foreseenStray{}, Confirm: list(p.TooMany), Notes: list(p.Notes), Unknown: list(p.Unknown)}
	for _, s := range p.Steps {
		f := foreseenStep{s.Cluster, s.Verb, s.APIVersion(), s.Kind.Name, s.Namespace, s.Name, s.Why, s.Scale, nil, s.Refused, s.Untried}
		for _, c := range s.Changes {
			f.Changes = append(f.Changes, foreseenChange{c.Path, json.RawMessage(cmp.Or(c.Was, "null")), json.RawMessage(cmp.Or(c.Now, "null"))})
		}
		out.Steps = append(out.Steps, f)
	}
	for _, s := range p.Waiting {
		out.Strays = append(out.Strays, foreseenStray{s.Cluster, s.Key.String()})
	}
	for _, l := range []*[]string{&out.Confirm, &out.Notes, &out.Unknown} {
		if *l == nil {
			*l = []string{}
		}
	}
	return out
}

var planCommand = command{
	name: "plan",
	what: "what fedsync would do now, and why",
	long: "What fedsync would do now, and why: each step with the fields that it changes, from the very calls of a run made as dry runs. Nothing is done. Where a cluster couldn't be asked, it is said which, and why: what there is to do there isn't shown, and it exits with 4.",
	example: `# All steps
fedctl plan --context myfederation

# Is there anything to do?
fedctl plan --context myfederation --exit-code`,
	make: func(c *call) action {
		return &plan{previewing: previewing{steering: steering{reaching: newReaching(c)}}}
	},
}
