// Package apireply checks what an API server answers before anything is made of it.
//
// Whoever stands in front of an API may answer in its place: a login page, a
// redirect, another server's objects, an empty body with status 200. Kubernetes'
// clients take most of that for a list without items, and what isn't in a list is
// gone. So a list is looked at as it arrives, as bytes: it has to say that it is
// the list that was asked for, of which version of the store, and each item its
// name. What doesn't is an error with its reason, and nothing is known by it.
package apireply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
)

// A UnexpectedReply error is an answer that no API server gives to what was asked.
type UnexpectedReply struct{ What string }

func (s *UnexpectedReply) Error() string { return "this isn't what an API server answers: " + s.What }

// Is has every answer of this kind count as one error.
func (s *UnexpectedReply) Is(err error) bool { return err == ErrUnexpected }

// ErrUnexpected is every UnexpectedReply, for errors.Is.
var ErrUnexpected = errors.New("not an API server's answer")

// ErrRedirect says that an answer leads elsewhere. It isn't followed: who stands
// there isn't the one that the kubeconfig's credentials are for.
var ErrRedirect = errors.New("a redirect, which isn't followed")

// Answered says that an error of a call isn't about whether anybody was reached: it
// is what was answered, or why nothing was asked.
func Answered(err error) bool {
	var status apierrors.APIStatus
	return errors.Is(err, ErrUnexpected) || errors.Is(err, ErrRedirect) || errors.Is(err, ErrCredential) || errors.Is(err, ErrExcess) || errors.As(err, &status)
}

func strange(format string, args ...any) error { return &UnexpectedReply{fmt.Sprintf(format, args...)} }

type key struct{}

// Expect marks the calls of a context as asking for a list, or for a watch that goes on from it.
func Expect(ctx context.Context, l *List) context.Context { return context.WithValue(ctx, key{}, l) }

// Check puts a check between an API server and its clients.
func Check(next http.RoundTripper) http.RoundTripper { return &checked{next} }

type checked struct{ next http.RoundTripper }

// WrappedRoundTripper is for closing idle connections.
func (c *checked) WrappedRoundTripper() http.RoundTripper { return c.next }

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(q *http.Request) (*http.Response, error) {
	r, err := c.next.RoundTrip(q)
	if err != nil || r.StatusCode == http.StatusSwitchingProtocols {
		return r, err
	}
	r.Body = &closedOnce{ReadCloser: r.Body}
	if err := c.check(q, r); err != nil {
		r.Body.Close()
		return nil, err
	}
	return r, nil
}

// A closedOnce body is closed once, however often that is said. That of HTTP/2 in net/http gives back with each Close what
// hasn't been read of it, until the window of the connection, which others use too, is larger than
// it may be: then net/http panics, in whoever reads.
type closedOnce struct {
	io.ReadCloser
	once sync.Once
	err  error
}

func (b *closedOnce) Close() error {
	b.once.Do(func() { b.err = b.ReadCloser.Close() })
	return b.err
}

// most is how much of a body is looked at to say what it is.
const most = 64 << 10

func (c *checked) check(q *http.Request, r *http.Response) error {
	want, _ := q.Context().Value(key{}).(*List)
	list := want != nil && q.Method == http.MethodGet
	bounds := want.bounds()
	switch {
	case r.StatusCode == http.StatusOK && q.URL.Query().Get("watch") != "":
		r.Body, list = frames(r, bounds), false
	case list && r.StatusCode == http.StatusOK:
		r.Body = &bounded{r.Body, "an answer", bounds.Answer, bounds.Answer}
	default: // one object, what is said about calls and kinds, or why there is no list
		r.Body = &bounded{r.Body, "an answer", bounds.Object, bounds.Object}
	}
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return fmt.Errorf("answered %s, to %s: %w", r.Status, elsewhere(r.Header.Get("Location")), ErrRedirect)
	case r.StatusCode >= 400:
		return failure(r)
	}
	if strings.HasSuffix(q.URL.Path, "/readyz") {
		return nil // who asks that looks for one word
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "text/html" || kind == "application/xhtml+xml" {
		head, _ := io.ReadAll(io.LimitReader(r.Body, most))
		return strange("%s, and %s", r.Status, Page(head))
	}
	if !list {
		return nil
	}
	token := q.URL.Query().Get("continue")
	if token == "" {
		want.Release()
	}
	body, err := want.body(q.Context(), r.Body)
	r.Body.Close()
	if err == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		err = want.page(token, body)
	}
	return want.shrink(q.URL.Query().Get("limit"), err)
}

// elsewhere is where a redirect leads, without what a query or a user may give away.
func elsewhere(location string) string {
	location, _, _ = strings.Cut(location, "?")
	if scheme, rest, ok := strings.Cut(location, "://"); ok {
		if _, host, user := strings.Cut(rest, "@"); user {
			rest = host
		}
		location = scheme + "://" + rest
	}
	return strconv.Quote(clip(location))
}

// failure looks at an answer that says no. API servers say why in a Status, or a
// line of text; that something isn't there must be said by one, since what isn't
// there counts as gone.
func failure(r *http.Response) error {
	head, err := io.ReadAll(io.LimitReader(r.Body, most))
	if err != nil {
		return err
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	if isStatus(head) {
		return nil
	}
	switch r.StatusCode {
	case http.StatusNotFound:
		if says := strings.TrimSpace(string(head)); says == "404 page not found" || says == "" { // for a group that it doesn't know
			return nil
		}
		return strange("%s, and %s", r.Status, Page(head))
	case http.StatusGone, http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		return strange("%s, and %s", r.Status, Page(head))
	}
	if !looksLikeHTML(head) {
		return nil // a line of text, such as those of its filters; client-go makes a Status of it
	}
	e := apierrors.NewGenericServerResponse(r.StatusCode, "", schema.GroupResource{}, "", "", 0, false)
	e.ErrStatus.Message = fmt.Sprintf("answered %s, and %s", r.Status, Page(head))
	if after := retryAfter(r, time.Now()); after > 0 {
		e.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(after / time.Second)}
	}
	return e
}

var protobuf = []byte("k8s\x00")

func isStatus(body []byte) bool {
	if bytes.HasPrefix(body, protobuf) {
		return bytes.Contains(body[:min(len(body), 64)], []byte("Status"))
	}
	var s metav1.TypeMeta
	return json.Unmarshal(body, &s) == nil && s.Kind == "Status" && s.APIVersion == "v1"
}

func looksLikeHTML(body []byte) bool {
	body = bytes.ToLower(bytes.TrimLeft(body, "\xef\xbb\xbf \t\r\n"))
	return bytes.HasPrefix(body, []byte("<!doctype")) || bytes.HasPrefix(body, []byte("<html")) || bytes.HasPrefix(body, []byte("<"))
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)

// Page says what a body is that isn't an API server's.
func Page(body []byte) string {
	switch {
	case looksLikeHTML(body):
		if m := title.FindSubmatch(body); m != nil {
			if t := Line(html.UnescapeString(string(m[1]))); t != "" {
				return fmt.Sprintf("HTML, not JSON: is this a login page? %q", t)
			}
		}
		return "HTML, not JSON: is this a login page?"
	case len(bytes.TrimSpace(body)) == 0:
		return "nothing in it"
	}
	return strconv.Quote(Line(string(body)))
}

// widest is how much of somebody else's words fits into a line of a log.
const widest = 200

func clip(s string) string {
	if r := []rune(s); len(r) > widest {
		return string(r[:widest]) + "…"
	}
	return s
}

// Line makes one line of text of any length.
func Line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	return clip(strings.Join(strings.Fields(s), " "))
}

// Brief is an error of a call as one line: without the query, which is longer than
// all the rest.
func Brief(err error) string {
	var call *url.Error
	if errors.As(err, &call) {
		whole, target := err.Error(), call.URL
		if short, _, ok := strings.Cut(target, "?"); ok {
			whole = strings.Replace(whole, strconv.Quote(target), strconv.Quote(short), 1)
		}
		return Line(whole)
	}
	return Line(err.Error())
}
