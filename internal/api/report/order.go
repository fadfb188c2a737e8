package report

import (
	"time"

	"github.com/fedns/fedns/internal/override"
)

// OrderOf is an order as it stands at a moment.
func OrderOf(o override.Order, now time.Time) Order {
	out := Order{Action: string(o.Action), Subject: o.Subject.String(), Reason: o.Reason}
	if !o.Until.IsZero() {
		left := o.Until.Sub(now).Seconds()
		out.Until, out.LeftSeconds = o.Until.Unix(), &left
	}
	return out
}
