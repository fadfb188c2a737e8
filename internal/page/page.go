// Package page shows a person what fedns says of itself: a few pages of HTML, made of the reports of
// the status API, that read well without scripts and stay up to date with them.
//
// It changes nothing, and asks nobody but its Source. Everything that members wrote is text to it.
// What is on a page is decided by pure functions (trouble.go, now.go); the templates say how it looks.
package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/api/report"
)

// A Source answers the paths of the status API with the reports that they give.
type Source interface {
	Ask(ctx context.Context, path string, v url.Values) (any, error)
	// Moment tells two states of what is answered apart.
	Moment() report.Moment
	// Follow gives a channel that says when there may be another Moment, until end is called; ok is
	// false if too many follow.
	Follow() (news <-chan struct{}, end func(), ok bool)
	// Ended is closed once another Source is to be asked.
	Ended() <-chan struct{}
}

//go:embed static templates
var files embed.FS

// policy has a browser load what this server gives, and nothing else, whatever somebody wrote into a
// name.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const (
	// longestQuery bounds what is asked of a page; a link with an order in it is shorter.
	longestQuery = 4096
	// keep is how long a page may be given again that was made of the same state: ages in it are
	// counted on by the browser.
	keep = 2 * time.Second
	// mostKept bounds how many are.
	mostKept = 64
	// patience is for all that a page asks.
	patience = 20 * time.Second
)

// A Page serves the pages of one server.
type Page struct {
	source    Source
	templates *template.Template
	assets    map[string]*asset

	mu      sync.Mutex
	kept    map[string]*made
	feeds   map[string]*feed
	readers int // of all feeds
	budget  budget
}

// An asset is a file as it goes out.
type asset struct {
	kind, etag  string
	text, gzip_ []byte
}

// A made is a page that was made, or is being made.
type made struct {
	ready chan struct{}
	of    report.Moment
	at    time.Time
	asset *asset
	code  int
}

// views are the pages, by path.
var views = map[string]struct {
	name string
	make func(context.Context, *Page, url.Values) (any, error)
}{
	"/":       {"now", now},
	"/why":    {"why", why},
	"/events": {"events", happened},
}

// Serves says whether a path is one of the pages', or of what they are made of.
func Serves(path string) bool {
	_, ok := views[path]
	return ok || path == Live || strings.HasPrefix(path, "/static/")
}

// New makes the pages of a source.
func New(s Source) *Page {
	p := &Page{source: s, assets: map[string]*asset{}, kept: map[string]*made{}, feeds: map[string]*feed{}}
	p.templates = template.Must(template.New("").Funcs(words).ParseFS(files, "templates/*.html"))
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		text, err := files.ReadFile("static/" + name)
		if err != nil {
			panic("page: " + err.Error()) // it is part of the program
		}
		p.assets["/static/"+name] = newAsset(kind, text)
	}
	return p
}

func newAsset(kind string, text []byte) *asset {
	sum := sha256.Sum256(text)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text) // into memory
	_ = z.Close()
	return &asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, text, b.Bytes()}
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if a := p.assets[r.URL.Path]; a != nil {
		a.serve(w, r, http.StatusOK)
		return
	}
	if r.URL.Path == Live {
		p.live(w, r)
		return
	}
	if _, ok := views[r.URL.Path]; !ok {
		http.NotFound(w, r)
		return
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > longestQuery {
		a, code := p.failed(&Fault{Code: http.StatusBadRequest, Text: "the address isn't one that a page has", Hint: "begin at the first one"})
		a.serve(w, r, code)
		return
	}
	a, code := p.made(r.Context(), r.URL.Path, v)
	a.serve(w, r, code)
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request, code int) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	if code == http.StatusOK {
		h.Set("ETag", a.etag)
		if r.Header.Get("If-None-Match") == a.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	text := a.text
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		text = a.gzip_
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // who has gone needs nothing
	}
}

// made gives a page, one that was made of the same state if there is one: hundreds that look at one
// thing cost as much as one.
func (p *Page) made(ctx context.Context, path string, v url.Values) (*asset, int) {
	key := path + "?" + v.Encode()
	p.mu.Lock()
	moment := p.source.Moment()
	m := p.kept[key]
	if m == nil || m.of != moment || time.Since(m.at) > keep {
		m = &made{ready: make(chan struct{}), of: moment, at: time.Now()}
		for k, o := range p.kept {
			if len(p.kept) >= mostKept || time.Since(o.at) > keep {
				delete(p.kept, k)
			}
		}
		p.kept[key] = m
		// Others may wait for it: it isn't given up with the one who asked first.
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			defer close(m.ready)
			// A page mustn't end a server that answers, whatever is wrong with it.
			defer func() {
				if wrong := recover(); wrong != nil {
					m.asset, m.code = bareText(fmt.Sprintf("this page can't be shown, by a fault of fedns: %v", wrong)), http.StatusInternalServerError
				}
			}()
			m.asset, m.code = p.make(ctx, path, v)
		}()
	}
	p.mu.Unlock()
	<-m.ready
	return m.asset, m.code
}

// A Fault is why a page can't be shown. Package status gives its own as such.
type Fault struct {
	Code       int
	Text, Hint string
}

func (f *Fault) Error() string { return f.Text }

func (p *Page) make(ctx context.Context, path string, v url.Values) (*asset, int) {
	view := views[path]
	data, err := view.make(ctx, p, v)
	if err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			f = &Fault{Code: http.StatusServiceUnavailable, Text: err.Error()}
		}
		return p.failed(f)
	}
	return p.render(view.name, data), http.StatusOK
}

func (p *Page) failed(f *Fault) (*asset, int) {
	return p.render("fault", struct {
		Frame
		*Fault
	}{Frame{Title: "Not here", View: "fault"}, f}), f.Code
}

// bareText is what is said where no page can be made.
func bareText(text string) *asset { return newAsset("text/plain; charset=utf-8", []byte(text+"\n")) }

func (p *Page) render(name string, data any) *asset {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name+".html", data); err != nil {
		panic("page: " + err.Error()) // a template that doesn't fit its data
	}
	return newAsset("text/html; charset=utf-8", b.Bytes())
}

// A Frame is what all pages have around them.
type Frame struct {
	Title, View string
	Server      string
	Serial      uint32
	Begin       float64    // the first moment that can be shown; 0: none
	At          float64    // the moment that is shown; 0: now
	Time        float64    // now
	Query       url.Values // of this page, but for at
}

// Link is another page at the same moment, with other parameters in pairs.
func (f Frame) Link(path string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Add(pairs[i], pairs[i+1])
		}
	}
	if f.At > 0 {
		v.Set("at", stamp(f.At))
	}
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// Latest is this page, of now.
func (f Frame) Latest() string {
	path := map[string]string{"why": "/why", "events": "/events"}[f.View]
	if path == "" {
		path = "/"
	}
	if len(f.Query) == 0 {
		return path
	}
	return path + "?" + f.Query.Encode()
}

// Moment is when what is shown was so.
func (f Frame) Moment() float64 {
	if f.At > 0 {
		return f.At
	}
	return f.Time
}

func stamp(at float64) string { return strconv.FormatFloat(at, 'f', 3, 64) }

// ask asks the source for a report of a type.
func ask[T any](ctx context.Context, p *Page, path string, pairs ...string) (out T, err error) {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Add(pairs[i], pairs[i+1])
		}
	}
	got, err := p.source.Ask(ctx, "/api/v1/"+path, v)
	if err != nil {
		return out, err
	}
	out, ok := got.(T)
	if !ok {
		panic(fmt.Sprintf("page: %s is a %T", path, got))
	}
	return out, nil
}

// frame begins a page.
func (p *Page) frame(ctx context.Context, view, title string, v url.Values) (f Frame, s report.Snapshot, err error) {
	if s, err = ask[report.Snapshot](ctx, p, "snapshot"); err != nil {
		return f, s, err
	}
	f = Frame{Title: title, View: view, Server: s.Host, Serial: s.Serial, Begin: s.Begin, Time: float64(time.Now().Unix()), Query: url.Values{}}
	if text := v.Get("at"); text != "" {
		if f.At, err = strconv.ParseFloat(text, 64); err != nil || !(f.At > 0 && f.At < 1e11) { // not a number is neither
			return f, s, &Fault{Code: http.StatusBadRequest, Text: "at: that is no moment", Hint: "Unix seconds, as the slider has them"}
		}
	}
	for k, list := range v {
		if k != "at" {
			f.Query[k] = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
		}
	}
	return f, s, nil
}
