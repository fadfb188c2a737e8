package ctl

import (
	"context"
	"fmt"

	"github.com/fedns/fedns/internal/geo"
)

// regions prints the table of regions that needs no location in the Corefile.
type regions struct{ asking }

var regionsCommand = command{
	name: "regions",
	what: "the regions of the big clouds that are known by name",
	example: `# Where they are
fedctl regions`,
	make: func(c *call) action { return &regions{asking{call: c}} },
}

func (c *regions) run(context.Context) error {
	list := geo.Regions()
	if c.out.data() {
		return c.put(c.out, list, collect(list, func(r geo.RegionInfo) string { return "region/" + r.Name })...)
	}
	t := table{head: []string{"REGION", "PROVIDER", "LATITUDE", "LONGITUDE", "CITY"}, free: []string{"CITY"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{r.Name, r.Provider, fmt.Sprintf("%8.3f", r.Point.Lat), fmt.Sprintf("%9.3f", r.Point.Lon), r.City})
	}
	c.tabulate(t)
	return nil
}
