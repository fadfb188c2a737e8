package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A page is a part of a list, as it is sent.
type page struct {
	code int // 0: 200
	text []byte
}

// paged cuts a list into pages of an object each, in the order of their names, and an empty
// one at the end.
func paged(list []byte) []map[string]any {
	var o map[string]any
	if err := json.Unmarshal(list, &o); err != nil {
		panic(err)
	}
	all := sorted(o["items"].([]any))
	var out []map[string]any
	for n := range len(all) + 1 {
		p := maps.Clone(o)
		p["items"] = all[n:min(n+1, len(all))]
		out = append(out, p)
	}
	return chained(out)
}

func sorted(all []any) []any {
	name := func(o any) string { return fmt.Sprint(o.(map[string]any)["metadata"].(map[string]any)["name"]) }
	slices.SortFunc(all, func(a, b any) int { return strings.Compare(name(a), name(b)) })
	return all
}

// chained has each page lead to the one behind it.
func chained(pages []map[string]any) []map[string]any {
	out := make([]map[string]any, len(pages))
	for n, p := range pages {
		meta := maps.Clone(p["metadata"].(map[string]any))
		if delete(meta, "continue"); n+1 < len(pages) {
			meta["continue"] = fmt.Sprint(nextPage, n+1)
		}
		out[n] = maps.Clone(p)
		out[n]["metadata"] = meta
	}
	return out
}

func text(pages []map[string]any) (out []page) {
	for _, p := range pages {
		b, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		out = append(out, page{text: b})
	}
	return out
}

// metaOf has something else in the head of a page.
func metaOf(p map[string]any, key string, value any) map[string]any {
	p = maps.Clone(p)
	m := maps.Clone(p["metadata"].(map[string]any))
	p["metadata"] = m
	if m[key] = value; value == nil {
		delete(m, key)
	}
	return p
}

// A pageSpoiler makes of the pages of a list what comes instead; where the pages go on with
// another number than theirs, the one with that number follows.
type pageSpoiler func(z *fuzzed, pages []map[string]any, at int, junk []byte) []page

var pageSpoilers = []pageSpoiler{
	onePage(func(_ *fuzzed, b []byte, at int, junk []byte) []byte { // a byte is another, cut, put in or lost
		return spoilers[len(junk)%4](b, at, junk, nil)
	}),
	linked(func(pages []map[string]any, at int) []map[string]any { return slices.Delete(pages, at, at+1) }), // one is missing
	linked(func(pages []map[string]any, at int) []map[string]any { // one comes twice
		return slices.Insert(pages, at, pages[at])
	}),
	linked(func(pages []map[string]any, at int) []map[string]any { // one comes twice, and in the place of another
		pages[(at+1)%len(pages)] = pages[at]
		return pages
	}),
	linked(func(pages []map[string]any, at int) []map[string]any { // two change places
		next := (at + 1) % len(pages)
		pages[at], pages[next] = pages[next], pages[at]
		return pages
	}),
	linked(func(pages []map[string]any, _ int) []map[string]any { slices.Reverse(pages); return pages }),
	linked(func(pages []map[string]any, at int) []map[string]any { return pages[:at+1] }), // the last are missing
	linked(func(pages []map[string]any, at int) []map[string]any { return pages[at:] }),   // the first are missing
	onePage(func(z *fuzzed, b []byte, at int, _ []byte) []byte { // of another resource, or another cluster
		var is, other map[string]any
		if json.Unmarshal(b, &is) != nil || json.Unmarshal(z.another(at), &other) != nil {
			panic("no list")
		}
		other["metadata"] = is["metadata"]
		out, _ := json.Marshal(other)
		return out
	}),
	onePage(func(z *fuzzed, _ []byte, at int, _ []byte) []byte { return z.another(at) }), // the same, with its own head
	headed("resourceVersion", "9"),
	headed("resourceVersion", "99999"),
	headed("resourceVersion", nil),
	headed("continue", nil),             // it says that it is the last one
	headed("continue", nextPage+"0"),    // it leads back
	headed("continue", nextPage+"2"),    // it leads to one that isn't the next, or is itself
	headed("continue", nextPage+"9999"), // it leads behind the end
	refusing(410, "Expired"),
	refusing(500, "InternalError"),
	refusing(404, "NotFound"),
	onePage(func(_ *fuzzed, _ []byte, _ int, _ []byte) []byte { return nil }),
	onePage(func(_ *fuzzed, _ []byte, _ int, junk []byte) []byte { return junk }),
	onePage(func(_ *fuzzed, b []byte, at int, junk []byte) []byte { // its objects are spoiled
		return spoilers[4+len(junk)%6](b, at, junk, nil)
	}),
}

// linked changes which pages there are; each still leads to the one behind it.
func linked(change func([]map[string]any, int) []map[string]any) pageSpoiler {
	return func(_ *fuzzed, pages []map[string]any, at int, _ []byte) []page {
		return text(chained(change(pages, at%len(pages))))
	}
}

// onePage spoils one of them.
func onePage(change func(z *fuzzed, b []byte, at int, junk []byte) []byte) pageSpoiler {
	return func(z *fuzzed, pages []map[string]any, at int, junk []byte) []page {
		out := text(pages)
		p := &out[at%len(out)]
		p.text = change(z, p.text, at/len(out), junk)
		return out
	}
}

// headed has one with something else in its head.
func headed(key string, value any) pageSpoiler {
	return func(_ *fuzzed, pages []map[string]any, at int, _ []byte) []page {
		at %= len(pages)
		pages[at] = metaOf(pages[at], key, value)
		return text(pages)
	}
}

// refusing has an error in the place of one.
func refusing(code int, reason string) pageSpoiler {
	return func(_ *fuzzed, pages []map[string]any, at int, _ []byte) []page {
		out := text(pages)
		out[at%len(out)] = page{code, []byte(status(code, reason))}
		return out
	}
}

// streamed is a list as a watch tells it: its objects, in the order of their names, and the
// bookmark that says that these are all.
func streamed(list []byte) (out []string) {
	var o map[string]any
	if err := json.Unmarshal(list, &o); err != nil {
		panic(err)
	}
	for _, i := range sorted(o["items"].([]any)) {
		out = append(out, event("ADDED", i))
	}
	return append(out, event("BOOKMARK", map[string]any{
		"kind": strings.TrimSuffix(o["kind"].(string), "List"), "apiVersion": o["apiVersion"],
		"metadata": map[string]any{"resourceVersion": o["metadata"].(map[string]any)["resourceVersion"], "annotations": map[string]any{"k8s.io/initial-events-end": "true"}},
	}))
}

func event(kind string, object any) string {
	b, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A streamSpoiler makes of the events of a list what comes instead. The last one is the bookmark.
type streamSpoiler func(z *fuzzed, events []string, at int, junk []byte) []string

var streamSpoilers = []streamSpoiler{
	bytewise(0), bytewise(1), bytewise(2), bytewise(3), // a byte is another, cut, put in, or lost
	func(_ *fuzzed, e []string, at int, _ []byte) []string {
		return slices.Delete(e, at%len(e), at%len(e)+1)
	}, // one is missing, the bookmark too
	func(_ *fuzzed, e []string, at int, _ []byte) []string {
		return slices.Insert(e, at%len(e), e[at%len(e)])
	}, // one comes twice
	func(_ *fuzzed, e []string, at int, _ []byte) []string { // the bookmark comes early
		last := len(e) - 1
		return slices.Insert(e[:last], at%(last+1), e[last])
	},
	func(_ *fuzzed, e []string, at int, _ []byte) []string {
		return slices.Insert(e, at%len(e), e[len(e)-1])
	}, // and again
	func(_ *fuzzed, e []string, _ int, _ []byte) []string { return e[:len(e)-1] },                    // and never
	func(_ *fuzzed, e []string, _ int, _ []byte) []string { return e[len(e)-1:] },                    // and nothing else
	func(_ *fuzzed, e []string, at int, _ []byte) []string { return e[:at%len(e)] },                  // the stream ends
	func(_ *fuzzed, e []string, _ int, _ []byte) []string { slices.Reverse(e[:len(e)-1]); return e }, // another order
	func(z *fuzzed, e []string, at int, _ []byte) []string { return streamed(z.another(at)) },        // of another resource, or another cluster
	func(z *fuzzed, e []string, at int, _ []byte) []string { // with the bookmark of this one
		return append(streamed(z.another(at)), e[len(e)-1])
	},
	func(z *fuzzed, e []string, at int, _ []byte) []string { // one event is from there
		other := streamed(z.another(at))
		e[at%len(e)] = other[at%len(other)]
		return e
	},
	kinded("DELETED"), kinded("MODIFIED"), kinded("BOOKMARK"), kinded("ERROR"), kinded("STRANGE"), kinded(""),
	bookmarked("resourceVersion", "9"), bookmarked("resourceVersion", "99999"), bookmarked("resourceVersion", nil),
	bookmarked("annotations", nil), bookmarked("annotations", map[string]any{"k8s.io/initial-events-end": "false"}),
	func(_ *fuzzed, e []string, at int, _ []byte) []string { // an error in between
		return slices.Insert(e, at%len(e), `{"type":"ERROR","object":`+status([]int{410, 500, 429}[at/len(e)%3], "Expired")+`}`)
	},
	inside(func(o map[string]any) { o["status"], o["endpoints"] = map[string]any{}, []any{} }), // one has another's content
	inside(func(o map[string]any) { o["metadata"].(map[string]any)["namespace"] = "elsewhere" }),
	inside(func(o map[string]any) { o["metadata"].(map[string]any)["uid"] = "another" }),
	inside(func(o map[string]any) { delete(o["metadata"].(map[string]any), "labels") }),
	func(z *fuzzed, _ []string, at int, _ []byte) []string { return []string{string(z.another(at))} }, // it is a list
	func(_ *fuzzed, _ []string, _ int, junk []byte) []string { return []string{string(junk)} },
	func(_ *fuzzed, e []string, at int, junk []byte) []string {
		return slices.Insert(e, at%len(e), string(junk))
	},
	func(*fuzzed, []string, int, []byte) []string { return nil },
}

func bytewise(mode int) streamSpoiler {
	return func(_ *fuzzed, events []string, at int, junk []byte) []string {
		return []string{string(bytes.TrimSpace(spoilers[mode]([]byte(strings.Join(events, "\n")), at, junk, nil)))}
	}
}

// altered has one event be another.
func altered(events []string, at int, change func(map[string]any)) []string {
	var o map[string]any
	if err := json.Unmarshal([]byte(events[at]), &o); err != nil {
		panic(err)
	}
	change(o)
	b, _ := json.Marshal(o)
	events[at] = string(b)
	return events
}

// kinded has one of another kind.
func kinded(kind string) streamSpoiler {
	return func(_ *fuzzed, events []string, at int, _ []byte) []string {
		return altered(events, at%len(events), func(e map[string]any) { e["type"] = kind })
	}
}

// bookmarked has something else in the head of the bookmark.
func bookmarked(key string, value any) streamSpoiler {
	return func(_ *fuzzed, events []string, _ int, _ []byte) []string {
		return altered(events, len(events)-1, func(e map[string]any) { e["object"] = metaOf(e["object"].(map[string]any), key, value) })
	}
}

// inside has one object be another.
func inside(change func(map[string]any)) streamSpoiler {
	return func(_ *fuzzed, events []string, at int, _ []byte) []string {
		if len(events) == 1 {
			return events
		}
		return altered(events, at%(len(events)-1), func(e map[string]any) { change(e["object"].(map[string]any)) })
	}
}
