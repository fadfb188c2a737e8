package workload

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What a cluster says of its copy is put together with what others say, and the API of the federation takes all of that
// or none. So no cluster may say what has it refused, takes something off what others have, or
// is so much that nothing else fits.

const (
	// largestPart is how much of a status is taken in, in bytes of its texts and fields: real ones have a few thousand, and
	// those of ten clusters are to fit into what etcd takes at once (1.5 MiB).
	largestPart = 128 << 10
	// mostCounted bounds what is added up: Kubernetes is built for 150,000 pods, and the sum has to fit into 32 bits.
	mostCounted = 1_000_000
)

// subdomain is what an API server takes for the name of a host (RFC 1123).
var subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// sound is what of a cluster's status can be believed to be one.
func sound(status Object) Object {
	if weight(status) > largestPart {
		return nil
	}
	if fits("", status) {
		return status
	}
	out, _ := mended("", status)
	return out.(map[string]any)
}

func weight(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			n += len(k) + weight(e)
		}
	case []any:
		for _, e := range v {
			n += weight(e)
		}
	case string:
		return len(v)
	}
	return n + 8
}

// fits says whether a field may have a value.
func fits(field string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if !fits(k, e) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !fits(field, e) })
	case string:
		return fitsText(field, v)
	case int64, float64, json.Number:
		n, ok := number(Object{"n": v}, "n")
		return ok && n >= 0 && (n <= mostCounted || field == "observedGeneration")
	}
	return true
}

func fitsText(field, v string) bool {
	switch {
	case strings.HasSuffix(field, "Time"):
		_, err := time.Parse(time.RFC3339, v)
		return err == nil
	case field == "status": // of a condition
		return v == "True" || v == "False" || v == "Unknown"
	case field == "ip":
		a, err := netip.ParseAddr(v)
		return err == nil && a.Zone() == ""
	case field == "hostname":
		return len(v) <= 253 && subdomain.MatchString(v)
	case field == "ipMode":
		return v == "VIP" || v == "Proxy"
	}
	return true
}

// mended is a value without what doesn't fit; false: nothing is left. Of a list, entries go that don't fit.
func mended(field string, v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if e, ok := mended(k, e); ok {
				out[k] = e
			}
		}
		return out, true
	case []any:
		return slices.DeleteFunc(slices.Clone(v), func(e any) bool { return !fits(field, e) }), true
	case int64, float64, json.Number:
		n, ok := number(Object{"n": v}, "n")
		if field == "observedGeneration" {
			return max(n, 0), ok
		}
		return min(max(n, 0), mostCounted), ok
	}
	return v, fits(field, v)
}
