package stream

// A list is the connections of a goroutine, the one that has been silent for the longest first.
type list struct {
	first, last *conn
	size        int
}

// push adds a connection that isn't in the list, as the last.
func (l *list) push(c *conn) {
	c.before, c.behind = l.last, nil
	if l.last != nil {
		l.last.behind = c
	} else {
		l.first = c
	}
	l.last = c
	l.size++
}

// remove takes a connection of the list out of it.
func (l *list) remove(c *conn) {
	if c.before != nil {
		c.before.behind = c.behind
	} else {
		l.first = c.behind
	}
	if c.behind != nil {
		c.behind.before = c.before
	} else {
		l.last = c.before
	}
	c.before, c.behind = nil, nil
	l.size--
}

// touch makes a connection of the list the last.
func (l *list) touch(c *conn) {
	if l.last != c {
		l.remove(c)
		l.push(c)
	}
}
