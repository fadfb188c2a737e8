package cluster

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An API that was away and now turns everybody down has another fault, which is said,
// though it is asked for some resources only later.
func TestFaultOfAnotherKind(t *testing.T) {
	j := &journal{}
	s := newAPIStatus(j.logger(), "gce-us", []*resource{{name: "services"}, {name: "ingresses", optional: true}})
	s.begin()
	away, no := errors.New("connection refused"), apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
	s.failed("services", unreachable, away)
	s.failed("ingresses", unreachable, away)
	if n := j.has("ERROR cluster gce-us: unreachable: "); n != 1 {
		t.Fatalf("log: %q", j.all())
	}
	s.failed("services", forbidden, no)
	if final, first := s.refuse("ingresses", no); final || first {
		t.Error("believed before the services are there")
	}
	s.failed("services", forbidden, no)
	if n := j.has("ERROR cluster gce-us: forbidden: services: "); n != 1 {
		t.Errorf("log: %q", j.all())
	}
}
