package ctl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fedns/fedns/internal/cli"
)

// A table is rows of cells under a head, for people.
type table struct {
	head []string
	rows [][]string
	// free are the columns of text, of which a terminal that is too narrow shows the
	// beginning only. What isn't printed to a terminal is whole.
	free []string
	// pad is between two columns, and least how wide one is with it.
	pad, least int
}

// tabulate prints a table. A terminal in which it doesn't fit even with its text cut gets each row
// as lines, one a cell.
func (c *call) tabulate(t table) {
	if t.pad == 0 {
		t.pad = 2
	}
	width := t.widths()
	if c.Columns > 0 && !t.fit(width, c.Columns) {
		c.lines(t)
		return
	}
	c.row(t, width, t.head, false)
	for _, r := range t.rows {
		c.row(t, width, r, true)
	}
}

// widths are those of the columns, without what is between them.
func (t *table) widths() []int {
	width := make([]int, len(t.head))
	for _, r := range append([][]string{t.head}, t.rows...) {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for i := range width {
		width[i] = max(width[i], t.least-t.pad)
	}
	return width
}

// enough is how much of a text says something.
const enough = 12

// fit makes the widest columns of text narrower, all alike, until a table is no wider than
// columns, and says whether that is possible.
func (t *table) fit(width []int, columns int) bool {
	for {
		over := -t.pad - columns
		for _, w := range width {
			over += w + t.pad
		}
		if over <= 0 {
			return true
		}
		widest, next := -1, 0
		for i, w := range width {
			switch least := max(enough, len(t.head[i])); {
			case w <= least || !slices.Contains(t.free, t.head[i]):
			case widest < 0 || w > width[widest]:
				next = least
				if widest >= 0 {
					next = max(least, width[widest])
				}
				widest = i
			default:
				next = max(next, w)
			}
		}
		if widest < 0 {
			return false
		}
		width[widest] -= min(over, max(width[widest]-next, 1))
	}
}

func (c *call) row(t table, width []int, cells []string, paint bool) {
	var b strings.Builder
	gap := 0 // of blanks that are owed: no line ends with some
	for i, cell := range cells {
		text := cut(cell, width[i])
		n := width[i] + t.pad - utf8.RuneCountInString(text)
		if paint && judged[t.head[i]] {
			text = c.paint(text)
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", gap) + text)
			gap = 0
		}
		gap += n
	}
	c.printf("%s\n", b.String())
}

// lines prints each row of a table as lines, a cell a line.
func (c *call) lines(t table) {
	for i, r := range t.rows {
		if i > 0 {
			c.printf("\n")
		}
		for j, cell := range r {
			if cell == "" {
				continue
			}
			head := t.head[j] + ": "
			text := strings.TrimSpace(cli.Fold(head+cell, "  ", c.Columns))
			if judged[t.head[j]] {
				text = head + c.paint(strings.TrimPrefix(text, head))
			}
			c.printf("%s\n", text)
		}
	}
}

// cut is the beginning of a text that is too long.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	const dots = "..."
	return string([]rune(text)[:max(width-len(dots), 0)]) + dots
}

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
	word, _, _ := strings.Cut(strings.TrimRight(text, " "), " ")
	if code := color(strings.Trim(word, ",.;:")); code != "" && c.Columns > 0 {
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
