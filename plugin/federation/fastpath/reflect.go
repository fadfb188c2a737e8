package fastpath

import (
	"github.com/fedns/fedns/internal/metric"
)

var Reflected = metric.Fedns.Counters("reflected_total",
	"Questions in datagrams from the port of another service (echo, chargen, NTP, LDAP, SSDP, memcached), which aren't answered.", "server")

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
