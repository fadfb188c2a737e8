package apireply

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
)

// A Kind is one of objects, as lists name it.
type Kind struct{ APIVersion, Name string }

func (k Kind) String() string { return k.APIVersion + " " + k.Name }

// Partial is the kind of lists of metadata alone, whatever it is of.
var Partial = Kind{"meta.k8s.io/v1", "PartialObjectMetadata"}

// A List is what is known of a list that is asked for, page by page. It isn't for
// more than one at a time.
type List struct {
	Kinds []Kind // any of them

	version string // of the store; that of the first page is that of all
	seen    map[string]bool
	empty   int // pages in a row
}

// emptyPages bounds how many pages without an object follow each other. An API server gives few, where a
// selector leaves out what is there, and else the list would have no end.
const emptyPages = 100

// A head is what any list has.
type head struct {
	metav1.TypeMeta
	version string
	next    string
	items   []item
}

type item struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
}

// page takes in a page, that was asked for by the token of the one before.
func (l *List) page(token string, body []byte) error {
	h, err := read(body)
	if err != nil {
		return err
	}
	if err := l.named(h.TypeMeta, "List"); err != nil {
		return err
	}
	switch {
	case h.version == "":
		return strange("a %s without a resourceVersion", h.Kind)
	case token != "" && h.next == token:
		return strange("a %s whose next page is itself", h.Kind)
	case token != "" && l.version != "" && h.version != l.version:
		return strange("a page of a %s of resourceVersion %q, and the first one is of %q", h.Kind, Line(h.version), Line(l.version))
	}
	if token == "" {
		l.version, l.seen, l.empty = h.version, make(map[string]bool, len(h.items)), 0
	}
	if l.empty++; len(h.items) > 0 {
		l.empty = 0
	}
	if l.empty > emptyPages {
		return strange("a %s with %d empty pages in a row", h.Kind, l.empty)
	}
	for i, o := range h.items {
		if o.Kind != "" || o.APIVersion != "" {
			if err := l.named(o.TypeMeta, ""); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
		if o.Metadata.Name == "" {
			return strange("a %s with an item without a name", h.Kind)
		}
		key := o.Metadata.Namespace + "/" + o.Metadata.Name
		if l.seen[key] {
			return strange("a %s with %q twice", h.Kind, Line(key))
		}
		l.seen[key] = true
	}
	return nil
}

// named says whether something is of a kind that is expected.
func (l *List) named(t metav1.TypeMeta, suffix string) error {
	if slices.Contains(l.Kinds, Kind{t.APIVersion, t.Kind[:max(0, len(t.Kind)-len(suffix))]}) && bytes.HasSuffix([]byte(t.Kind), []byte(suffix)) {
		return nil
	}
	want := l.Kinds[0].String() + suffix
	if t.Kind == "" && t.APIVersion == "" {
		return strange("an object without kind and apiVersion, not a %s", want)
	}
	return strange("a %q, not a %s", Line(t.APIVersion+" "+t.Kind), want)
}

func read(body []byte) (*head, error) {
	if bytes.HasPrefix(body, protobuf) {
		return readProtobuf(body[len(protobuf):])
	}
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ListMeta `json:"metadata"`
		Items           *[]item         `json:"items"`
	}
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return nil, strange("null")
	}
	// As clients do, keys are told apart by case: to them, "Items" isn't there.
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, strange("%s: %s", Page(body[:min(len(body), most)]), Line(err.Error()))
	}
	h := &head{TypeMeta: list.TypeMeta, version: list.Metadata.ResourceVersion, next: list.Metadata.Continue}
	if list.Items == nil {
		if h.Kind == "" {
			return nil, strange("%s", Page(body[:min(len(body), most)]))
		}
		return nil, strange("a %s without items", strconv.Quote(Line(h.Kind)))
	}
	h.items = *list.Items
	return h, nil
}

// readProtobuf reads any list: of all kinds, metadata is the first field and items
// are the second, of which metadata is the first again.
func readProtobuf(body []byte) (*head, error) {
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body); err != nil {
		return nil, strange("protobuf that can't be read: %s", Line(err.Error()))
	}
	var list metav1.PartialObjectMetadataList
	if err := list.Unmarshal(envelope.Raw); err != nil {
		return nil, strange("a %s that can't be read: %s", strconv.Quote(Line(envelope.Kind)), Line(err.Error()))
	}
	h := &head{TypeMeta: metav1.TypeMeta{Kind: envelope.Kind, APIVersion: envelope.APIVersion}, version: list.ResourceVersion, next: list.Continue}
	for i := range list.Items {
		var o item
		o.Metadata.Namespace, o.Metadata.Name = list.Items[i].Namespace, list.Items[i].Name
		h.items = append(h.items, o)
	}
	return h, nil
}

// Event says what is wrong with an event of a watch. Its object has to say which it
// is, and of which version; a bookmark is nothing but its version. kind is what
// the object says, and empty where the decoder has made it of the right type.
func (l *List) Event(e watch.Event) error {
	if e.Type == watch.Error {
		return nil
	}
	o, ok := e.Object.(metav1.Object)
	if !ok {
		return strange("a watch that tells of a %T", e.Object)
	}
	if k := e.Object.GetObjectKind().GroupVersionKind(); k.Kind != "" {
		if err := l.named(metav1.TypeMeta{Kind: k.Kind, APIVersion: k.GroupVersion().String()}, ""); err != nil {
			return fmt.Errorf("a watch: %w", err)
		}
	}
	if e.Type != watch.Bookmark && o.GetName() == "" {
		return strange("a watch that tells of an object without a name")
	}
	if o.GetResourceVersion() == "" {
		return strange("a watch that tells of an object without a resourceVersion")
	}
	return nil
}
