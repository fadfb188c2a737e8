package apireply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	Kinds  []Kind  // any of them
	Budget *Budget // that it is to keep to; nil: it has one of its own

	version string // of the store; that of the first page is that of all
	seen    map[string]bool
	empty   int   // pages in a row
	load    Load  // of the pages so far, which is in the budget
	limit   int64 // of a page; 0: as it is asked for
	large   bool  // it has the place of the one that may have large answers
	own     Budget
}

func (l *List) budget() *Budget {
	if l.Budget == nil {
		return &l.own
	}
	return l.Budget
}

func (l *List) bounds() *Bounds {
	if l == nil {
		return &Default
	}
	return l.budget().bounds()
}

// Limit is how many objects a page is to have, of which there were to be so many.
func (l *List) Limit(asked int64) int64 {
	if l.limit == 0 || asked == 0 {
		return asked
	}
	return min(l.limit, asked)
}

// shrink has the next page be smaller where one was too large: it may be that of a good API
// with large objects.
func (l *List) shrink(limit string, err error) error {
	if n, bad := strconv.ParseInt(limit, 10, 64); bad == nil && n > 1 && errors.Is(err, ErrExcess) {
		l.limit = max(n/8, 1)
	}
	if err != nil {
		l.Release()
	}
	return err
}

// Release notes that nothing is left of the list but what has been made of it.
func (l *List) Release() {
	l.unload()
	if l.large {
		l.budget().leave()
		l.large = false
	}
}

func (l *List) unload() {
	_ = l.budget().replace(l.load, Load{}) // less is always taken
	l.load = Load{}
}

// handy is how large an answer may be that many lists have at a time.
const handy = 4 << 20

// body reads an answer. Of lists with large ones, an API has one at a time.
func (l *List) body(ctx context.Context, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if n, err := b.ReadFrom(io.LimitReader(r, handy)); err != nil || n < handy {
		return b.Bytes(), err
	}
	if !l.large {
		if err := l.budget().enter(ctx); err != nil {
			return nil, err
		}
		l.large = true
	}
	// In a few steps up to the bound, where a buffer that doubles would have twice of it at the end, and as much on the way.
	for most := l.bounds().Answer + 1; ; {
		room := min(4*int64(b.Len()), max(most-int64(b.Len()), 1))
		b.Grow(int(room) + bytes.MinRead)
		if n, err := b.ReadFrom(io.LimitReader(r, room)); err != nil || n < room {
			return b.Bytes(), err
		}
	}
}

// take notes what a page is, as far as it can be said before it is decoded.
func (l *List) take(body []byte) error {
	b, n := l.bounds(), int64(0)
	if n = values(body, b.AnswerValues); n > b.AnswerValues {
		return &Excess{"an answer", b.AnswerValues, "values"}
	}
	return l.grow(Load{Bytes: int64(len(body)), Values: n})
}

func (l *List) grow(more Load) error {
	next := l.load.plus(more)
	if err := l.budget().replace(l.load, next); err != nil {
		return err
	}
	l.load = next
	return nil
}

// emptyPages bounds how many pages without an object follow each other. An API server gives few, where a
// selector leaves out what is there, and else the list would have no end.
const emptyPages = 100

// longest is how long what a list says of itself may be: it goes back into the next question.
const longest = 16 << 10

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
	size int64 // in bytes
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *item) UnmarshalJSON(text []byte) error {
	type plain item
	if err := json.Unmarshal(text, (*plain)(i)); err != nil {
		return err
	}
	i.size = int64(len(text))
	return nil
}

// page takes in a page, that was asked for by the token of the one before.
func (l *List) page(token string, body []byte) error {
	if token == "" {
		l.unload()
	}
	if err := l.take(body); err != nil {
		return err
	}
	h, err := l.read(body)
	if err != nil {
		return err
	}
	if err := l.named(h.TypeMeta, "List"); err != nil {
		return err
	}
	switch {
	case h.version == "":
		return strange("a %s without a resourceVersion", h.Kind)
	case len(h.version) > longest || len(h.next) > longest:
		return strange("a %s whose resourceVersion or continue has more than %d bytes", h.Kind, longest)
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
		if most := l.bounds().Object; o.size > most {
			return &Excess{Line(key), most, "bytes"}
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

func (l *List) read(body []byte) (*head, error) {
	if bytes.HasPrefix(body, protobuf) {
		return l.readProtobuf(body[len(protobuf):])
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
	return h, l.grow(Load{Objects: int64(len(h.items))})
}

// readProtobuf reads any list: of all kinds, metadata is the first field and items
// are the second, of which metadata is the first again.
func (l *List) readProtobuf(body []byte) (*head, error) {
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body); err != nil {
		return nil, strange("protobuf that can't be read: %s", Line(err.Error()))
	}
	items := 0 // before anything is made of them
	if !parts(envelope.Raw, 2, func(int64) { items++ }) {
		return nil, strange("a %s that can't be read", strconv.Quote(Line(envelope.Kind)))
	}
	if err := l.grow(Load{Objects: int64(items)}); err != nil {
		return nil, err
	}
	sizes := make([]int64, 0, items)
	parts(envelope.Raw, 2, func(size int64) { sizes = append(sizes, size) })
	var list metav1.PartialObjectMetadataList
	if err := list.Unmarshal(envelope.Raw); err != nil {
		return nil, strange("a %s that can't be read: %s", strconv.Quote(Line(envelope.Kind)), Line(err.Error()))
	}
	h := &head{TypeMeta: metav1.TypeMeta{Kind: envelope.Kind, APIVersion: envelope.APIVersion}, version: list.ResourceVersion, next: list.Continue}
	for i := range list.Items {
		o := item{size: sizes[i]}
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
