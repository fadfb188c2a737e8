package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rules are what an operator lets others have probed. An address, and often the port,
// comes from objects that a tenant of a cluster writes; with Annotations, so does how it
// is asked.
type Rules struct {
	// Annotations says that objects may say themselves how, and where, they are probed.
	Annotations bool
	Ports       []Ports        // that may be probed; none: all
	Paths       []string       // that annotations may name: exact, or a prefix with an asterisk behind; none: all
	Allow       []netip.Prefix // that may be probed although Refused says otherwise
	Rates       Rates
}

// Ports are a range of them.
type Ports struct{ From, To uint16 }

// ruleNames are the words that begin a rule on a line, after those of its Spec.
var ruleNames = []string{"annotations", "ports", "paths", "allow", "rates"}

// ParseLine reads the words of a configuration line: those of Parse, and behind them
//
//	annotations off|on  ports LIST  paths LIST  allow LIST  rates NAMESPACE,MEMBER,ADDRESS
//
// where a list is what commas separate.
func ParseLine(words []string) (Spec, Rules, error) {
	at := len(words)
	for i, w := range words {
		if slices.Contains(ruleNames, w) && i > 0 && words[i-1] != "host" { // a host may have any name
			at = i
			break
		}
	}
	r := Rules{Rates: DefaultRates}
	spec, err := Parse(words[:at])
	if err != nil {
		return Spec{}, r, err
	}
	if err := r.read(words[at:]); err != nil {
		return Spec{}, r, err
	}
	switch {
	case len(r.Paths) > 0 && !r.Annotations:
		return Spec{}, r, errors.New("paths: they are what annotations may name, which are off; annotations on lets them count")
	case spec.Port != 0 && !r.port(spec.Port):
		return Spec{}, r, fmt.Errorf("port: %d isn't among the ports that may be probed", spec.Port)
	}
	return spec, r, nil
}

func (r *Rules) read(words []string) error {
	seen := map[string]bool{}
	for ; len(words) > 0; words = words[2:] {
		name := words[0]
		switch {
		case !slices.Contains(ruleNames, name):
			return fmt.Errorf("%q can't stand here; behind %s come %s", name, ruleNames[0], strings.Join(ruleNames[1:], ", "))
		case seen[name]:
			return fmt.Errorf("%s: stands twice", name)
		case len(words) == 1:
			return fmt.Errorf("%s: has no value", name)
		}
		seen[name] = true
		if err := r.set(name, words[1]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *Rules) set(name, value string) error {
	if name == "annotations" {
		if value != "on" && value != "off" {
			return fmt.Errorf("%q is neither off nor on", value)
		}
		r.Annotations = value == "on"
		return nil
	}
	list := strings.Split(value, ",")
	if name == "rates" {
		return r.Rates.set(list)
	}
	for _, v := range list {
		switch name {
		case "ports":
			p, err := ports(v)
			if err != nil {
				return err
			}
			r.Ports = append(r.Ports, p)
		case "paths":
			if !strings.HasPrefix(v, "/") || strings.Contains(strings.TrimSuffix(v, "*"), "*") {
				return fmt.Errorf("%q is not a path, or the beginning of some, such as /healthz*", v)
			}
			if _, err := path(v); err != nil {
				return err
			}
			r.Paths = append(r.Paths, v)
		case "allow":
			p, err := prefix(v)
			if err != nil {
				return err
			}
			r.Allow = append(r.Allow, p)
		}
	}
	return nil
}

func ports(v string) (p Ports, err error) {
	from, to, ok := strings.Cut(v, "-")
	if !ok {
		to = from
	}
	low, err := number(from, 65535)
	if err != nil {
		return p, err
	}
	high, err := number(to, 65535)
	if err == nil && high < low {
		err = fmt.Errorf("%q ends before it begins", v)
	}
	return Ports{uint16(low), uint16(high)}, err
}

func prefix(v string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is not a range of addresses, such as 192.0.2.0/24", v)
	}
	return p, nil
}

// Allows says whether an operator lets an address be probed, whatever it is.
func (r *Rules) Allows(a netip.Addr) bool {
	return slices.ContainsFunc(r.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (r *Rules) port(n uint16) bool {
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p Ports) bool { return p.From <= n && n <= p.To })
}

// Refuses says why a target isn't probed; "": it is. annotated says that it is asked as an
// annotation wants it.
func (r *Rules) Refuses(t Target, annotated bool) string {
	if !r.Allows(t.Addr.Addr()) {
		if why := Refused(t.Addr.Addr()); why != "" {
			return why
		}
	}
	switch {
	case !r.port(t.Addr.Port()):
		return "a port that isn't probed (ports)"
	case annotated && t.Spec.Kind != TCP && !r.path(t.Spec.Path):
		return "a path that isn't asked for (paths)"
	}
	return ""
}

// path says whether an annotation may name a path. What is behind a prefix can't lead out
// of it again, however a server reads it.
func (r *Rules) path(p string) bool {
	return len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		if !open {
			return p == pattern
		}
		rest, ok := strings.CutPrefix(p, prefix)
		return ok && !strings.Contains(p, "..") && !strings.ContainsAny(rest, `%\`)
	})
}

// Rates bound how many probes a second are made, each for one federation.
type Rates struct{ Namespace, Member, Address float64 }

// DefaultRates are what nobody meets who is probed as usual, once every two seconds: 500
// addresses of one namespace in one cluster, 2,000 of one cluster. An address that 40
// Services share that are asked for different things sees 20 a second, as many as a load
// balancer of the clouds makes from its zones; a small server doesn't mind them.
var DefaultRates = Rates{Namespace: 250, Member: 1000, Address: 20}

// maxRate is what this server probes in all, of all federations: 10,000 addresses every
// two seconds, for which it takes a fifth to a third of one core.
const maxRate = 5000

func (r *Rates) set(list []string) error {
	if len(list) != 3 {
		return errors.New("needs how many probes a second of a namespace, of a member and of an address, such as 250,1000,20")
	}
	for i, into := range []*float64{&r.Namespace, &r.Member, &r.Address} {
		n, err := strconv.ParseUint(list[i], 10, 31)
		if err != nil || n < 1 || n > maxRate {
			return fmt.Errorf("%q is not a number of probes a second from 1 to %d", list[i], maxRate)
		}
		*into = float64(n)
	}
	return nil
}
