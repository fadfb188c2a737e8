package federation

import (
	"fmt"
	"slices"

	"github.com/coredns/caddy"
)

// A position is where something stands in a Corefile. The controller knows only where it
// reads now, which for what is found out later is the end of a stanza.
type position struct {
	file string
	line int
}

// here is where c reads now.
func here(c *caddy.Controller) position { return position{c.File(), c.Line()} }

func (p position) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// errorf is what is wrong there, in the words that c.Errf has for it.
func (p position) errorf(format string, v ...any) error {
	return fmt.Errorf("%s - Error during parsing: %w", p, fmt.Errorf(format, v...))
}

// after says whether p stands behind o, as far as that can be told.
func (p position) after(o position) bool { return p.file == o.file && p.line > o.line }

// positions are where the properties of a block stand.
type positions struct {
	begin position // of the block
	at    map[string]position
}

// note notes where the property stands that c reads. What stands twice is wrong, but for what may:
// one of them wouldn't count, and nobody could tell which was meant.
func (p *positions) note(c *caddy.Controller, may ...string) error {
	if p.at == nil {
		p.at = map[string]position{}
	}
	if first, twice := p.at[c.Val()]; twice && !slices.Contains(may, c.Val()) {
		return c.Errf("%s stands twice, first in line %d", c.Val(), first.line)
	}
	p.at[c.Val()] = here(c)
	return nil
}

// of is where a property was said last; one that wasn't is a matter of the block.
func (p *positions) of(property string) position {
	if at, ok := p.at[property]; ok {
		return at
	}
	return p.begin
}
