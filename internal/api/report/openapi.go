package report

import _ "embed"

// OpenAPI describes all that is said over HTTP, for programs: OpenAPI 3.1, made of the types
// here and of the paths of package status.
//
//go:embed openapi.json
var OpenAPI string
