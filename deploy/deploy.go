// Package deploy has what is installed from, as files, for those who do it with
// kubectl, and for fedctl, which does it for them.
package deploy

import _ "embed"

// Clusters is the CustomResourceDefinition of Cluster objects.
//
//go:embed clusters.yaml
var Clusters string

// Orders is the CustomResourceDefinition of Order objects.
//
//go:embed orders.yaml
var Orders string

// Placements is the CustomResourceDefinition of Placement objects.
//
//go:embed placements.yaml
var Placements string

// Works is the CustomResourceDefinition of Work objects.
//
//go:embed works.yaml
var Works string

// Agents is the CustomResourceDefinition of Agent objects.
//
//go:embed agents.yaml
var Agents string

// Definitions are all of them.
var Definitions = []string{Clusters, Orders, Placements, Works, Agents}

// Hosted are fedns and fedsync as the chart has them, for the federation "federation" of the
// domain domain.invalid with an API of its own, of the image image.invalid:x.
//
//go:embed hosted.yaml
var Hosted string
