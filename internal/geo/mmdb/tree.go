package mmdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oschwald/maxminddb-golang/v2"
)

// regrowth is how often a tree may be as large as it looks. Branches can grow together
// again: IPv6 databases have IPv4 in four places. But a hundred nodes of which each
// leads to the next one twice have more ends than there is time for, and one that leads
// back has no end. The reader goes wherever it is led.
const regrowth = 16

// walk goes through the search tree, as the reader will, and says whether that comes to
// an end.
func walk(data []byte, m *maxminddb.Metadata) error {
	deepest := 128
	if m.IPVersion == 4 {
		deepest = 32
	}
	size := int(m.RecordSize) // of two in a node
	if size != 24 && size != 28 && size != 32 {
		return fmt.Errorf("records of %d bits; 24, 28 and 32 are known", size)
	}
	type step struct{ node, depth int }
	todo := []step{{}}
	for budget := regrowth * int(m.NodeCount); len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.node >= int(m.NodeCount) {
			continue
		}
		if s.depth == deepest {
			return errors.New("its search tree is deeper than an address is long")
		}
		if budget--; budget < 0 {
			return errors.New("its search tree grows together too often")
		}
		left, right := children(data[s.node*size/4:], size)
		todo = append(todo, step{left, s.depth + 1}, step{right, s.depth + 1})
	}
	return nil
}

// children reads a node. Of 28 bits, the highest four are together in its middle.
func children(node []byte, size int) (left, right int) {
	switch size {
	case 24:
		return int(binary.BigEndian.Uint32(node) >> 8), int(binary.BigEndian.Uint32(node[2:]) & (1<<24 - 1))
	case 28:
		return int(binary.BigEndian.Uint32(node)>>8) | int(node[3]>>4)<<24, int(binary.BigEndian.Uint32(node[3:]) & (1<<28 - 1))
	}
	return int(binary.BigEndian.Uint32(node)), int(binary.BigEndian.Uint32(node[4:]))
}
