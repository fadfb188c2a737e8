package apireply

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// small are bounds that a test can be beyond.
var small = Bounds{Answer: 4000, AnswerValues: 300, Object: 1000, ObjectValues: 100, Objects: 20, Endpoints: 30, Bytes: 10_000, Values: 1000}

// listOfServices is one of so many, each with so many bytes beside its name.
func listOfServices(from, n, size int, next string) string {
	var items []string
	for i := from; i < from+n; i++ {
		items = append(items, fmt.Sprintf(`{"metadata":{"namespace":"shop","name":"web%d"},"x":%q}`, i, strings.Repeat("x", size)))
	}
	return fmt.Sprintf(`{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":%q},"items":[%s]}`, next, strings.Join(items, ","))
}

// TestBoundsOfLists is which lists are beyond which bound, and that the next one isn't held to account for it.
func TestBoundsOfLists(t *testing.T) {
	var pages, wide [100]string
	for i := range pages {
		pages[i] = listOfServices(i, 1, 200, "more")
		wide[i] = strings.Replace(listOfServices(i, 0, 0, "more"), `"items"`, `"y":[`+strings.Repeat("[],", 120)+`1],"items"`, 1)
	}
	empties := func(n int) string { // a list with so many items, of two bytes each
		raw := append([]byte("\x0a\x03\x12\x017"), bytes.Repeat([]byte("\x12\x00"), n)...)
		out := append([]byte("k8s\x00\x0a\x11\x0a\x02v1\x12\x0bServiceList\x12"), binary.AppendUvarint(nil, uint64(len(raw)))...)
		return string(append(out, raw...))
	}
	for _, test := range []struct {
		name  string
		pages []string
		want  string // of the error; "": none
	}{
		{"as it should be", []string{listOfServices(0, 5, 100, "more"), listOfServices(5, 5, 100, "")}, ""},
		{"a large answer", []string{listOfServices(0, 5, 900, "")}, "an answer: more than 4000 bytes"},
		{"many values", []string{listOfServices(0, 1, 0, "") + strings.Repeat("[],", 200)}, "an answer: more than 300 values"},
		{"deep ones", []string{strings.Repeat("[", 400)}, "an answer: more than 300 values"},
		{"a large object", []string{listOfServices(0, 1, 1000, "")}, "shop/web0: more than 1000 bytes"},
		{"many objects", []string{listOfServices(0, 21, 0, "")}, "the lists of this API that are under way: more than 20 objects"},
		{"pages of new objects without end", pages[:], "the lists of this API that are under way: more than 20 objects"},
		{"many bytes", []string{listOfServices(0, 4, 800, "a"), listOfServices(4, 4, 800, "b"), listOfServices(8, 4, 800, "c")}, "more than 10000 bytes"},
		{"many values of many pages", wide[:], "more than 1000 values"},
		{"protobuf of empty items", []string{empties(21)}, "more than 20 objects"},
		{"protobuf of very many empty items", []string{empties(301)}, "an answer: more than 300 values"},
		{"protobuf with a group before them", []string{strings.Replace(empties(21), "\x0a\x03\x12\x017", "\x0b\x0c\x12\x00\x12", 1)}, "can't be read"},
		{"a long token", []string{listOfServices(0, 1, 0, strings.Repeat("x", longest+1))}, "an answer: more than 4000 bytes"},
	} {
		var at int
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			kind := "application/json"
			if strings.HasPrefix(test.pages[at], "k8s") {
				kind = "application/vnd.kubernetes.protobuf"
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, test.pages[at])
			z.Close()
		}))
		budget := &Budget{Bounds: &small}
		l := services()
		l.Budget = budget
		client := http.Client{Transport: Check(http.DefaultTransport)}
		list := func() (err error) {
			for at = range test.pages {
				token := ""
				if at > 0 {
					token = fmt.Sprint("t", at)
				}
				var q *http.Request
				if q, err = http.NewRequestWithContext(Expect(context.Background(), l), http.MethodGet, s.URL+"/api/v1/services?limit=500&continue="+token, nil); err != nil {
					t.Fatal(err)
				}
				r, err := client.Do(q)
				if err != nil {
					return err
				}
				r.Body.Close()
			}
			return nil
		}
		for range 3 {
			err := list()
			switch first, second, _ := strings.Cut(test.want, "|"); {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.name, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), first) && (second == "" || !strings.Contains(err.Error(), second))):
				t.Errorf("%s: %v, not: %s", test.name, err, test.want)
			}
			if strings.Contains(test.want, "more than") && !errors.Is(err, ErrExcess) {
				t.Errorf("%s: %v is no excess", test.name, err)
			}
		}
		if small := strings.HasPrefix(test.want, "an answer: more than 4000"); small && (l.Limit(500) != 62 || l.Limit(0) != 0) {
			t.Errorf("%s: the next page is of %d", test.name, l.Limit(500))
		}
		l.Release()
		if budget.flight != (Load{}) {
			t.Errorf("%s: %v is left of it", test.name, budget.flight)
		}
		s.Close()
	}
}

// A body of one object, or of what is said of calls, is bounded as an object is.
func TestBoundsOfOtherAnswers(t *testing.T) {
	for _, test := range []struct {
		code int
		list bool
	}{{200, false}, {403, false}, {404, false}, {500, false}, {403, true}, {500, true}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(test.code)
			for range 9 << 20 / 64 {
				_, _ = io.WriteString(w, strings.Repeat("[", 64))
			}
		}))
		ctx := t.Context()
		if test.list {
			ctx = Expect(ctx, services())
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/namespaces/kube-system", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r, err := (&http.Client{Transport: Check(http.DefaultTransport)}).Do(q)
		n := int64(0)
		if err == nil {
			n, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		if n > Default.Object || !errors.Is(err, ErrExcess) && !errors.Is(err, ErrUnexpected) {
			t.Errorf("%d: %d bytes, %v", test.code, n, err)
		}
		s.Close()
	}
}

// TestBoundsOfWatches is how far a watch is read whose events are too large.
func TestBoundsOfWatches(t *testing.T) {
	event := func(size int) string {
		return fmt.Sprintf(`{"type":"ADDED","object":{"x":%q}}`+"\n", strings.Repeat("x", size))
	}
	frame := func(body []byte) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + string(body)
	}
	for _, test := range []struct{ name, kind, body, want string }{
		{"as it should be", "application/json", strings.Repeat(event(500), 50), ""},
		{"a large object", "application/json", event(10) + event(1000), "an object that a watch tells of: more than 1000 bytes"},
		{"one without an end", "application/json", event(10) + `{"x":"` + strings.Repeat("x", 5000), "more than 1000 bytes"},
		{"a text without an end", "application/json", `"` + strings.Repeat(`\"`, 5000), "more than 1000 bytes"},
		{"many values", "application/json", event(10) + `{"x":[` + strings.Repeat("{},", 60), "more than 100 values"},
		{"protobuf", "application/vnd.kubernetes.protobuf;stream=watch", strings.Repeat(frame(bytes.Repeat([]byte("\x0a\x02xx"), 40)), 50), ""},
		{"a large frame", "application/vnd.kubernetes.protobuf;stream=watch", frame(make([]byte, 1001)), "more than 1000 bytes"},
		{"a frame that says that it is large", "application/vnd.kubernetes.protobuf;stream=watch", "\xff\xff\xff\xff", "more than 1000 bytes"},
		{"a frame of many values", "application/vnd.kubernetes.protobuf;stream=watch", frame(bytes.Repeat([]byte("\x12\x00"), 200)), "more than 100 values"},
		{"and with an end that can't be read", "application/vnd.kubernetes.protobuf;stream=watch", frame(append(bytes.Repeat([]byte("\x12\x00"), 200), 0xff)), "more than 100 values"},
	} {
		r := &http.Response{Header: http.Header{"Content-Type": {test.kind}}, Body: io.NopCloser(strings.NewReader(test.body))}
		got, err := io.ReadAll(frames(r, &small))
		switch {
		case test.want == "" && (err != nil || string(got) != test.body):
			t.Errorf("%s: %v, %d of %d bytes", test.name, err, len(got), len(test.body))
		case test.want != "" && (!errors.Is(err, ErrExcess) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, not: %s", test.name, err, test.want)
		}
	}
}

// TestTally is what of an API is taken in, and that what is less always is.
func TestTally(t *testing.T) {
	b := &Budget{Bounds: &small}
	services, others := NewTally(b), NewTally(b)
	for i := range 20 {
		if err := services.Set(fmt.Sprint(i), Load{Objects: 1, Bytes: 100}); err != nil {
			t.Fatal(err)
		}
	}
	if err := others.Set("a", Load{Objects: 1}); !errors.Is(err, ErrExcess) || !strings.Contains(err.Error(), "all that this API has: more than 20 objects") {
		t.Errorf("the 21st: %v", err)
	}
	if err := services.Set("3", Load{Objects: 1, Bytes: 9000}); !errors.Is(err, ErrExcess) {
		t.Errorf("one that grows: %v", err)
	}
	if err := services.Set("3", Load{Objects: 1, Bytes: 50}); err != nil {
		t.Errorf("one that shrinks: %v", err)
	}
	services.Drop("7")
	services.Drop("7")
	if err := others.Set("a", Load{Objects: 1, Endpoints: 31}); !errors.Is(err, ErrExcess) || !strings.Contains(err.Error(), "30 endpoints") {
		t.Errorf("endpoints: %v", err)
	}
	if err := others.Replace(map[string]Load{"a": {Objects: 1}, "b": {Objects: 1}}); !errors.Is(err, ErrExcess) {
		t.Errorf("two for one: %v", err)
	}
	if err := services.Replace(map[string]Load{"3": {Objects: 1}}); err != nil || others.Set("b", Load{Objects: 1}) != nil {
		t.Errorf("a list that is shorter: %v", err)
	}
	services.End()
	others.End()
	if err := others.Set("b", Load{Objects: 1}); err != nil || b.kept != (Load{}) {
		t.Errorf("%v, and %v is left", err, b.kept)
	}
}

func TestWeigh(t *testing.T) {
	text := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"` + strings.Repeat("x", 1000) + `"},"items":[1,true,null]}`
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if w := Weigh(u); w.Objects != 1 || w.Bytes < int64(len(text))*9/10 || w.Bytes > int64(len(text))*11/10 {
		t.Errorf("%v of %d bytes", w, len(text))
	}
	if w := Weigh(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("x", 1000)}}); w.Bytes < 1000 || w.Bytes > 1100 {
		t.Errorf("%v", w)
	}
}

// counted is a body that counts how often it is closed.
type counted struct {
	io.Reader
	closed int
}

func (c *counted) Close() error { c.closed++; return nil }

type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(q *http.Request) (*http.Response, error) { return a(q), nil }

// However an answer is refused or read, its body is closed once: a connection of HTTP/2 panics in the end
// where what is left of large bodies is closed twice.
func TestBodiesAreClosedOnce(t *testing.T) {
	for _, test := range []struct {
		name, query, kind, body string
		code                    int
		list                    bool
	}{
		{"a list", "", "application/json", listOfServices(0, 3, 1, ""), 200, true},
		{"a list that is too large", "", "application/json", listOfServices(0, 5, 3000, ""), 200, true},
		{"a login page", "", "text/html", "<html>", 200, true},
		{"a redirect", "", "text/plain", "", 307, true},
		{"an error", "", "text/plain", "no", 500, true},
		{"an error that isn't one", "", "text/plain", "no", 404, true},
		{"a watch", "watch=1", "application/json", "{}\n", 200, true},
		{"an object", "", "application/json", "{}", 200, false},
	} {
		body := &counted{Reader: strings.NewReader(test.body)}
		client := http.Client{Transport: Check(answers(func(q *http.Request) *http.Response {
			return &http.Response{Request: q, StatusCode: test.code, Header: http.Header{"Content-Type": {test.kind}}, Body: body}
		})), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		ctx := t.Context()
		if test.list {
			l := services()
			l.Budget = &Budget{Bounds: &small}
			ctx = Expect(ctx, l)
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api/v1/services?"+test.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := client.Do(q); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			r.Body.Close() // as whoever stops a watch twice
		}
		if body.closed != 1 {
			t.Errorf("%s: its body was closed %d times", test.name, body.closed)
		}
	}
}
