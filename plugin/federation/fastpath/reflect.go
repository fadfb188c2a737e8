package fastpath

import (
	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/plugin/federation/observe"
)

var Reflected = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: observe.PluginName, Name: "reflected_total",
	Help: "Questions in datagrams from the port of another service (echo, chargen, NTP, LDAP, SSDP, memcached), which are not answered.",
}, []string{"server"})

// Reflects says whether a datagram comes from the port of a service that answers whatever
// it is sent, or sends much for little: nobody asks from there, and an answer would have
// two servers talk to each other, or a third be aimed at. The ports are those of echo,
// chargen, NTP, connectionless LDAP, SSDP and memcached.
func Reflects(port uint16) bool {
	switch port {
	case 7, 19, 123, 389, 1900, 11211:
		return true
	}
	return false
}
