package ctl

import (
	"context"

	"github.com/fedns/fedns/internal/geo"
)

// regions prints the table of regions that needs no location in the Corefile.
type regions struct{ asking }

func regionsCommand() command {
	return command{
		name: "regions",
		what: "the regions of the big clouds that are known by name",
		example: `# Where they are
fedctl regions`,
		make: func(c *call) action { return &regions{asking{call: c}} },
	}
}

func (c *regions) run(context.Context) error {
	list := geo.Regions()
	if c.json {
		return c.print(list)
	}
	for _, r := range list {
		c.printf("%-26s %-7s %9.3f %9.3f  %s\n", r.Name, r.Provider, r.Point.Lat, r.Point.Lon, r.City)
	}
	return nil
}
