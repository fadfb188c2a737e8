package ctl

import (
	"fmt"
	"strings"
)

// judged are the columns that say how something stands.
var judged = map[string]bool{"VERDICT": true, "STATE": true, "STATUS": true, "IN FORCE": true}

// The colors of terminals.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	plain  = "0"
)

// color is that of a word for how something stands.
func color(word string) string {
	switch strings.ToLower(word) {
	case "up", "listed", "yes", "ready", "true":
		return green
	case "down", "no", "notready", "offline", "false":
		return red
	case "unknown", "partly", "overruled", "silent", "not", "expired":
		return yellow
	}
	return ""
}

// paint gives a text the color of its first word.
func (c *call) paint(text string) string {
	word, _, _ := strings.Cut(text, " ")
	word, _, _ = strings.Cut(word, ",")
	if code := color(word); code != "" && c.Columns > 0 {
		return c.colored(code, text)
	}
	return text
}

// colored is a text in a color, where colors are wanted.
func (e *Env) colored(code, text string) string {
	if !e.colors() {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[%sm", code, text, plain)
}

// colors says whether they are wanted. NO_COLOR is said if it is there and isn't empty.
func (e *Env) colors() bool {
	if e.Getenv == nil {
		return false
	}
	return e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
}
