// Package ctl has fedctl's commands: what an operator asks of a running fedns,
// orders to it, and the federation's API with its clusters.
//
// What is asked goes to the status server of fedns. What is ordered goes into its
// file of overrides, which is edited here and followed there: an order holds
// whether or not anybody can be reached.
//
// Begin with groups, which lists the commands, and with the file of one of them. Each is
// made a command of cobra's in root.go.
package ctl

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
)

// An Env is what a command knows of the world.
type Env struct {
	Program        string // how it is called; "": fedctl
	Stdout, Stderr io.Writer
	Stdin          io.Reader // nil: nobody is there to be asked
	Input          io.Reader // what FILE - reads
	// Columns and ErrColumns are how wide the terminals are that Stdout and Stderr are; 0:
	// they are none. On a terminal tables fit, colors are shown, and lines written over.
	Columns, ErrColumns int
	Getenv              func(string) string
	Now                 func() time.Time
	Version             string
}

// An action is a command with its flags, made for one call.
type action interface {
	declare(*pflag.FlagSet)
	run(context.Context) error
}

// A command is one of fedctl's.
type command struct {
	name     string   // of one word or two
	args     string   // as usage shows them
	what     string   // in a line
	long     string   // "": what says it all
	example  string   // lines to type, each below a comment
	min, max int      // positional arguments
	proposes proposal // what completion has for these
	make     func(*call) action
}

// A group of commands is about one thing.
type group struct {
	id, about string
	commands  []command
}

// groups are all commands, in the order of the help.
var groups = []group{
	{"server", "A running fedns", []command{
		checkCommand, explainCommand, servicesCommand, clustersCommand, eventsCommand, pageCommand, regionsCommand, topCommand, stubCommand, keysCommand, generateKeysCommand, publishCommand, versionCommand,
	}},
	{"orders", "Orders to it; SUBJECT is cluster/NAME, region/NAME, zone/NAME or service/NAMESPACE/NAME", []command{
		drainCommand, downCommand, upCommand, failbackCommand, undrainCommand, overridesCommand,
	}},
	{"clusters", "The API of a federation, and its clusters", []command{
		initCommand, joinCommand, unjoinCommand, getClustersCommand, rightsCommand, backupCommand, restoreCommand, deinitCommand,
	}},
	{"objects", "The objects of a federation, which fedsync keeps in its clusters", []command{
		statusCommand, getObjectsCommand, planCommand, confirmCommand, adoptCommand,
	}},
}

// A call is a command with what it was given.
type call struct {
	Env
	command
	positional []string
	given      map[string]bool // flags that were
	once       sync.Once
	line       *progress // made once
}

// agreed asks whoever sits before the terminal.
func (c *call) agreed(question string) bool {
	fmt.Fprintf(c.Stderr, "%s Only \"yes\" does: ", question)
	answer, err := bufio.NewReader(c.Stdin).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return "[" + strings.Join(*l, ",") + "]" }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }
func (l *list) Type() string       { return "list" }

// A problem is an error in how a command was called.
type problem struct {
	error
	hint string
}

func (p *problem) Unwrap() error { return p.error }

// What fedctl exits with, beside 0.
const (
	wentWrong    = 1
	askedWrongly = 2
	notWell      = 3 // of status
	anythingToDo = 3 // of plan --exit-code
	notAllAsked  = 4 // of plan and adopt --dry-run, whatever else there is to do: nobody can say that it is all
)

// ExitCodes are what fedctl exits with, as the manual says it.
var ExitCodes = []struct {
	Code int
	Says string
}{
	{0, "done, or help was printed"},
	{wentWrong, "it went wrong: the reason is on stderr; `check`, `keys check`: there is an error"},
	{askedWrongly, "it was asked wrongly"},
	{anythingToDo, "`plan --exit-code`: there is something to do; `status --exit-code`: something isn't as it should be"},
	{notAllAsked, "`plan`, `adopt --dry-run`: a cluster couldn't be asked: what is shown isn't all"},
}

// An exit is a result that isn't an error, and that scripts ask for.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func misused(c *command, format string, v ...any) error {
	return &problem{fmt.Errorf(format, v...), "usage: fedctl " + strings.TrimSpace(c.name+" "+c.args) + " [options]; fedctl help " + c.name + " lists them"}
}
