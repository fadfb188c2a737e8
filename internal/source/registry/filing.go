package registry

import (
	"encoding/json"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/override"
)

// filingSize is how much a Lease may tell of a file of overrides: all annotations of an
// object together have 256 KiB.
const filingSize = 64 << 10

// filing is what a Lease tells of a server's file of overrides; "": there is none.
func filing(path string, unread error, force override.Force, v *View) string {
	if path == "" {
		return ""
	}
	f := v1alpha1.Filed{File: path}
	if unread != nil {
		f.Error = unread.Error()
	}
	size := len(f.Error) + len(path)
	for i, o := range force.Orders {
		if v.Object(o) != "" {
			continue
		}
		one := v1alpha1.FiledOrder{Line: o.String()}
		for _, by := range override.Overruled(force.Orders, i, force.Places) {
			one.OverruledBy = append(one.OverruledBy, by.String())
			size += len(by.String())
		}
		if size += len(one.Line); size > filingSize/2 { // JSON may quote every other byte
			f.More++
			continue
		}
		f.Orders = append(f.Orders, one)
	}
	text, err := json.Marshal(f)
	if err != nil {
		panic("registry: orders can't be written as JSON: " + err.Error())
	}
	return string(text)
}
