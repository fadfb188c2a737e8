package node

import "fmt"

// Web is a Deployment of pods that serve text on port 80, and a Service of type LoadBalancer
// for them, which fedns exports.
func Web(namespace, name, text string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: localhost/web:1
        imagePullPolicy: Never
        env: [{name: NAME, value: %[3]s}]
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: %[2]s, labels: {fedns.io/export: "true"}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: %[2]s}
  ports: [{name: http, port: 80, protocol: TCP}]
`, namespace, name, text, replicas)
}
