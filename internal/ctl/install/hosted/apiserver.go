package hosted

// authentication has nobody be let in without credentials, but to ask whether the API is alive:
// kubelets do, and have none.
const authentication = `apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}]
`

// audit notes who has written what, and who has read a Secret, without what stands in it. What only says that
// somebody is alive is left out.
const audit = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}, {group: "", resources: [events]}, {group: events.k8s.io, resources: [events]}]
- level: Metadata
  resources: [{group: "", resources: [secrets, serviceaccounts/token]}]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`
