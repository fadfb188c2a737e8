package ctl

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fedns/fedns/internal/cli"
)

// A table is rows of cells under a head, for people.
type table struct {
	head []string
	rows [][]string
	// A terminal that is too narrow shows less: not the columns that say the same in all rows,
	// of free ones the beginning of their text, and of names both ends. What isn't printed to a
	// terminal is whole.
	same, free, names []string
	// pad is between two columns, and least how wide one is with it.
	pad, least int
}

// tabulate prints a table. A terminal in which it can't be made to fit gets each row as lines,
// one a cell, whole.
func (c *call) tabulate(t table) {
	if t.pad == 0 {
		t.pad = 2
	}
	whole := t
	width := t.widths()
	if c.Columns > 0 && t.over(width, c.Columns) > 0 {
		t = t.without(t.same)
		width = t.widths()
		if !t.fit(width, c.Columns, t.free, enough) && !t.fit(width, c.Columns, t.names, bothEnds) {
			c.lines(whole)
			return
		}
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

// without leaves those of some columns out that have one value.
func (t table) without(columns []string) table {
	for _, name := range columns {
		at := slices.Index(t.head, name)
		values := map[string]bool{}
		for _, r := range t.rows {
			if r[at] != "" { // else it is that of the row above
				values[r[at]] = true
			}
		}
		if len(values) > 1 {
			continue
		}
		t.head = slices.Delete(slices.Clone(t.head), at, at+1)
		rows := t.rows
		t.rows = nil
		for _, r := range rows {
			t.rows = append(t.rows, slices.Delete(slices.Clone(r), at, at+1))
		}
	}
	return t
}

// How much of a text says something, and of a name.
const (
	enough   = 12
	bothEnds = 20
)

// over is by how much a table is wider than columns.
func (t *table) over(width []int, columns int) int {
	n := -t.pad - columns
	for _, w := range width {
		n += w + t.pad
	}
	return n
}

// fit makes the widest of some columns narrower, all alike, until a table is no wider than
// columns, and says whether that is possible with so much of each left.
func (t *table) fit(width []int, columns int, some []string, left int) bool {
	for {
		over := t.over(width, columns)
		if over <= 0 {
			return true
		}
		widest, next := -1, 0
		for i, w := range width {
			switch least := max(left, len(t.head[i])); {
			case w <= least || !slices.Contains(some, t.head[i]):
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
		if slices.Contains(t.names, t.head[i]) {
			text = middle(cell, width[i])
		}
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

// lines prints each row of a table as lines, a cell a line. A row that goes on from the one
// above stands below it, further in.
func (c *call) lines(t table) {
	for i, r := range t.rows {
		indent := ""
		if r[0] == "" {
			indent = "  "
		} else if i > 0 {
			c.printf("\n")
		}
		for j, cell := range r {
			if cell == "" {
				continue
			}
			head := t.head[j] + ": "
			text := strings.TrimLeft(cli.Fold(head+cell, indent+"  ", c.Columns), " ")
			if judged[t.head[j]] {
				text = head + c.paint(strings.TrimSpace(strings.TrimPrefix(text, head))) + "\n"
			}
			c.printf("%s%s", indent, text)
		}
	}
}

// dots stand for what is cut.
const dots = "..."

// cut is the beginning of a text that is too long.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-len(dots), 0)]) + dots
}

// middle is a name that is too long, without its middle.
func middle(name string, width int) string {
	all := []rune(name)
	if len(all) <= width {
		return name
	}
	half := (width - len(dots)) / 2
	return string(all[:width-len(dots)-half]) + dots + string(all[len(all)-half:])
}
