package vector

// Ingress is an exported Ingress at an address, whose rule for each host leads to the
// Service behind it.
func Ingress(namespace, name, addr string, hosts ...[2]string) Object {
	rules := []Object{}
	for _, h := range hosts {
		rules = append(rules, Object{"host": h[0], "http": Object{"paths": []Object{{
			"path": "/", "pathType": "Prefix", "backend": Object{"service": Object{"name": h[1], "port": Object{"number": 80}}},
		}}}})
	}
	return Object{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"metadata": Object{"name": name, "namespace": namespace, "labels": Object{"fedns.io/export": "true"}},
		"spec":     Object{"rules": rules},
		"status":   Object{"loadBalancer": Object{"ingress": []Object{{"ip": addr}}}},
	}
}

// Gateway is an exported Gateway at an address, with one listener for all hosts and
// namespaces.
func Gateway(namespace, name, addr string) Object {
	return Object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
		"metadata": Object{"name": name, "namespace": namespace, "labels": Object{"fedns.io/export": "true"}},
		"spec": Object{"gatewayClassName": "any", "listeners": []Object{
			{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": Object{"namespaces": Object{"from": "All"}}},
		}},
		"status": Object{"addresses": []Object{{"type": "IPAddress", "value": addr}}},
	}
}

// Route is an exported route of a kind, through a Gateway of its own namespace to a
// Service.
func Route(kind, namespace, name, gateway, service string, hosts ...string) Object {
	return Object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
		"metadata": Object{"name": name, "namespace": namespace, "labels": Object{"fedns.io/export": "true"}},
		"spec": Object{
			"parentRefs": []Object{{"name": gateway}}, "hostnames": hosts,
			"rules": []Object{{"backendRefs": []Object{{"name": service, "port": 80}}}},
		},
	}
}

// With adds an annotation, or sets another field of an object's metadata.
func With(o Object, key string, value any) Object {
	m := o["metadata"].(Object)
	switch key {
	case "creationTimestamp":
		m[key] = value
	default:
		if m["annotations"] == nil {
			m["annotations"] = Object{}
		}
		m["annotations"].(Object)[key] = value
	}
	return o
}
