package apireply

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// whole is a list as an API server answers.
const whole = `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"77"},"items":[{"metadata":{"name":"web","namespace":"shop","uid":"a"}},{"metadata":{"name":"api","namespace":"shop","uid":"b"}}]}`

func services() *List { return &List{Kinds: []Kind{{"v1", "Service"}}} }

// proto is a list of metadata as protobuf; all lists are alike in what is read.
func proto(t *testing.T, kind, version string, names ...string) string {
	t.Helper()
	list := metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
	for _, n := range names {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: n, Namespace: "shop"}})
	}
	raw, err := list.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: kind}, Raw: raw}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return "k8s\x00" + string(out)
}

// TestLists is which bodies are the list of Services that was asked for.
func TestLists(t *testing.T) {
	for _, test := range []struct{ name, body, wrong string }{
		{"a list", whole, ""},
		{"an empty one", `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"77"},"items":[]}`, ""},
		{"protobuf", proto(t, "ServiceList", "77", "web", "api"), ""},
		{"nothing", ``, "nothing in it"},
		{"an object", `{}`, `"{}"`},
		{"null", `null`, "null"},
		{"a string", `"ok"`, "ok"},
		{"an array", `[]`, "[]"},
		{"items alone", `{"items":[]}`, "without kind and apiVersion, not a v1 ServiceList"},
		{"a Status", `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}`, `a "Status" without items`},
		{"Pods", strings.Replace(whole, "ServiceList", "PodList", 1), `a "v1 PodList", not a v1 ServiceList`},
		{"another group", strings.Replace(whole, `"v1"`, `"serving.knative.dev/v1"`, 1), `a "serving.knative.dev/v1 ServiceList", not a v1`},
		{"any list", strings.Replace(whole, "ServiceList", "List", 1), `a "v1 List"`},
		{"one of any version", strings.Replace(whole, `"77"`, `""`, 1), "without a resourceVersion"},
		{"one without metadata", `{"kind":"ServiceList","apiVersion":"v1","items":[]}`, "without a resourceVersion"},
		{"an item that is nothing", `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"77"},"items":[{}]}`, "an item without a name"},
		{"an item that is null", `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"77"},"items":[null]}`, "an item without a name"},
		{"items that are null", `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"77"},"items":null}`, "without items"},
		{"items of another spelling", strings.Replace(whole, "items", "Items", 1), "without items"},
		{"an item twice", strings.Replace(whole, `"name":"api"`, `"name":"web"`, 1), `"shop/web" twice`},
		{"an item of another kind", strings.Replace(whole, `[{`, `[{"kind":"Pod","apiVersion":"v1",`, 1), `a "v1 Pod"`},
		{"half of one", whole[:len(whole)/2], "unexpected"},
		{"two", whole + whole, "invalid character"},
		{"a login page", "\n<!DOCTYPE html><html><head><title>Sign\n in</title>", `is this a login page? "Sign in"`},
		{"protobuf of Pods", proto(t, "PodList", "77", "web"), `"v1 PodList"`},
		{"protobuf of any version", proto(t, "ServiceList", "", "web"), "without a resourceVersion"},
		{"protobuf without a name", proto(t, "ServiceList", "77", ""), "without a name"},
		{"half of protobuf", proto(t, "ServiceList", "77", "web")[:30], "protobuf that can't be read"},
	} {
		err := services().page("", []byte(test.body))
		switch {
		case test.wrong == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.wrong != "" && (!errors.Is(err, ErrUnexpected) || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, not: %s", test.name, err, test.wrong)
		}
	}
}

// TestPages is that the pages of a list are of one version, and end.
func TestPages(t *testing.T) {
	page := func(name, version, next string) []byte {
		return fmt.Appendf(nil, `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":%q,"continue":%q},"items":[{"metadata":{"name":%q}}]}`, version, next, name)
	}
	for _, test := range []struct {
		name   string
		second []byte
		wrong  string
	}{
		{"the next", page("b", "7", ""), ""},
		{"of another version", page("b", "8", ""), `of resourceVersion "8"`},
		{"the first again", page("a", "7", "x"), "next page is itself"},
		{"with an item of the first", page("a", "7", "y"), `"/a" twice`},
		{"nothing", []byte("{}"), `"{}"`},
	} {
		l := services()
		if err := l.page("", page("a", "7", "x")); err != nil {
			t.Fatal(err)
		}
		if err := l.page("x", test.second); (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, not: %s", test.name, err, test.wrong)
		}
		if err := l.page("", page("a", "9", "")); err != nil {
			t.Errorf("%s: the same list later: %v", test.name, err)
		}
	}
}

// TestAnswers is what becomes of answers that aren't lists.
func TestAnswers(t *testing.T) {
	const login = `<html><title>Log in &amp; go on</title>`
	for _, test := range []struct {
		name, kind string
		code       int
		header     map[string]string
		body, want string // of the error; "": none
		is         func(error) bool
	}{
		{"ok", "text/plain", 200, nil, "ok", "", nil},
		{"a login page", "text/html; charset=utf-8", 200, nil, login, `200 OK, and HTML, not JSON: is this a login page? "Log in & go on"`, nil},
		{"a redirect", "text/html", 302, map[string]string{"Location": "https://u:p@login.example.com/start?token=x"}, login, `answered 302 Found, to "https://login.example.com/start": a redirect`, func(err error) bool { return errors.Is(err, ErrRedirect) }},
		{"not found, by an API server", "application/json", 404, nil, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, "", nil},
		{"not found, for a group", "text/plain", 404, nil, "404 page not found\n", "", nil},
		{"not found, without a word", "", 404, nil, "", "", nil},
		{"not found, by a page", "text/html", 404, nil, login, "404 Not Found, and HTML", func(err error) bool { return !apierrors.IsNotFound(err) }},
		{"not found, by anybody", "application/json", 404, nil, "{}", "404 Not Found, and", func(err error) bool { return !apierrors.IsNotFound(err) }},
		{"gone, by anybody", "text/plain", 410, nil, "bye\nbye", `410 Gone, and "bye bye"`, func(err error) bool { return !apierrors.IsGone(err) }},
		{"unauthorized, by a page", "text/html", 401, nil, login, "answered 401 Unauthorized, and HTML", apierrors.IsUnauthorized},
		{"forbidden, by a page", "text/html", 403, nil, login, "answered 403 Forbidden, and HTML", apierrors.IsForbidden},
		{"throttled, by a page", "text/html", 429, map[string]string{"Retry-After": "7"}, login, "answered 429 Too Many Requests, and HTML", func(err error) bool { return Later(err).Seconds() == 7 }},
		{"a bad gateway", "text/html", 502, nil, login, "answered 502 Bad Gateway, and HTML", nil},
		{"a filter's line", "text/plain", 503, nil, "try later", "", nil},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			for k, v := range test.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(test.code)
			io.WriteString(w, test.body)
		}))
		r, err := (&http.Client{Transport: Check(http.DefaultTransport)}).Get(s.URL)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want == "":
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != test.body {
				t.Errorf("%s: %q, %v", test.name, body, err)
			}
			r.Body.Close()
		case err == nil || !strings.Contains(Brief(err), test.want) || strings.ContainsAny(Brief(err), "\n\r"):
			t.Errorf("%s: %v, not: %s", test.name, err, test.want)
		case test.is != nil && !test.is(err):
			t.Errorf("%s: taken for something else: %v", test.name, err)
		}
		s.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// FuzzList is that no change of a list makes one that is believed, and has fewer
// items: where names are changed, there are as many; of less there is no list.
func FuzzList(f *testing.F) {
	for i := range len(whole) {
		f.Add(uint(i), byte(0x20), false)
		f.Add(uint(i), byte(0x01), false)
		f.Add(uint(i), byte(0), true)
	}
	f.Fuzz(func(t *testing.T, at uint, flip byte, cut bool) {
		body := []byte(whole)
		at %= uint(len(body))
		if cut {
			body = body[:at]
		} else {
			body[at] ^= flip
		}
		l := services()
		if err := l.page("", body); err == nil && len(l.seen) < 2 {
			t.Errorf("%s is a list of %d", body, len(l.seen))
		}
	})
}
