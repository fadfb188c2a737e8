package v1alpha1

import (
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Server is a fedns that follows a federation, as its Lease says.
//
// +kubebuilder:object:generate=false
type Server struct {
	Name, Version string
	Made          time.Time // when it was heard of first, by the clock of the API
	Renewed       time.Time
	Duration      time.Duration // without a word from it, it is gone
	Filed         *Filed        // nil: it has no file of overrides, or doesn't say
	Published     *Published    // nil: it doesn't say
}

// Published is what a server answers, as its Lease says.
//
// +kubebuilder:object:generate=false
type Published struct {
	Serial uint32   `json:"serial"`
	Digest string   `json:"digest,omitempty"` // the same for the same answers
	Silent []string `json:"silent,omitempty"` // clusters that it doesn't hear; the first of them
	// Holders are hosts that several namespaces claim, by the one that holds it; the first of them.
	Holders map[string]string `json:"holders,omitempty"`
}

// Filed is what stands in the file of overrides of one server, as its Lease says: nobody
// else knows of it.
//
// +kubebuilder:object:generate=false
type Filed struct {
	File   string       `json:"file"`
	Error  string       `json:"error,omitempty"` // why it can't be read; Orders are then of before
	Orders []FiledOrder `json:"orders,omitempty"`
	More   int          `json:"more,omitempty"` // orders beside these
}

// A FiledOrder is in force on its server.
//
// +kubebuilder:object:generate=false
type FiledOrder struct {
	Line        string   `json:"line"` // as it stands there
	OverruledBy []string `json:"overruled_by,omitempty"`
}

// Live says whether a server has said so lately.
func (s Server) Live(now time.Time) bool { return now.Before(s.Renewed.Add(s.Duration)) }

// ServerOf reads a server's Lease. Those that are held to lead are others.
func ServerOf(o *unstructured.Unstructured, federation string) (s Server, ok bool) {
	l := o.GetLabels()
	if l[ServerLabel] != "true" || l[Federation] != federation {
		return s, false
	}
	s.Name, s.Version = o.GetName(), o.GetAnnotations()[ServerVersion]
	s.Made = o.GetCreationTimestamp().Time
	s.Renewed, s.Duration = Term(o)
	if text := o.GetAnnotations()[ServerFiled]; text != "" {
		var f Filed
		if json.Unmarshal([]byte(text), &f) == nil { // else another version's
			s.Filed = &f
		}
	}
	if text := o.GetAnnotations()[ServerPublished]; text != "" {
		var p Published
		if json.Unmarshal([]byte(text), &p) == nil {
			s.Published = &p
		}
	}
	return s, true
}

// Term is when a Lease was renewed last, and for how long.
func Term(o *unstructured.Unstructured) (renewed time.Time, length time.Duration) {
	text, _, _ := unstructured.NestedString(o.Object, "spec", "renewTime")
	renewed, _ = time.Parse(time.RFC3339Nano, text) // a wrong one is long ago
	seconds, _, _ := unstructured.NestedInt64(o.Object, "spec", "leaseDurationSeconds")
	return renewed, time.Duration(seconds) * time.Second
}
