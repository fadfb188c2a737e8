package page

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
)

// A browser is Debian's Chromium, told what to do through a pipe by its DevTools protocol: what is needed of
// it are a dozen words, and no module for them.
type browser struct {
	t       testing.TB
	to      *os.File
	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	heard   func(session, method string, params json.RawMessage)
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// openBrowser starts one, or has the test skipped.
func openBrowser(t testing.TB) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium: apt-get install chromium")
	}
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
		"--force-color-profile=srgb", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{in, out}
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	b := &browser{t: t, to: to, waiting: map[int]chan reply{}}
	go b.read(from)
	t.Cleanup(func() {
		_, _ = b.tell("", "Browser.close", nil) // else it is killed
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
		to.Close()
	})
	return b
}

func (b *browser) read(from *os.File) {
	defer from.Close()
	scan := bufio.NewScanner(from)
	scan.Buffer(nil, 256<<20) // a picture in base64
	scan.Split(func(data []byte, end bool) (int, []byte, error) {
		if i := strings.IndexByte(string(data), 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for scan.Scan() {
		var m struct {
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
			reply
		}
		if json.Unmarshal(scan.Bytes(), &m) != nil {
			continue
		}
		b.mu.Lock()
		waiting, heard := b.waiting[m.ID], b.heard
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID != 0 && waiting != nil:
			waiting <- m.reply
		case m.Method != "" && heard != nil:
			heard(m.SessionID, m.Method, m.Params)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range b.waiting {
		close(c)
		delete(b.waiting, id)
	}
}

var errGone = errors.New("the browser has gone")

func (b *browser) tell(session, method string, params any) (json.RawMessage, error) {
	b.mu.Lock()
	b.next++
	m := map[string]any{"id": b.next, "method": method}
	if session != "" {
		m["sessionId"] = session
	}
	if params != nil {
		m["params"] = params
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	answer := make(chan reply, 1)
	b.waiting[b.next] = answer
	_, err = b.to.Write(append(text, 0))
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return nil, errGone
		case r.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		return r.Result, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: no answer", method)
	}
}

type object = map[string]any

// A tab is one of a browser. What goes wrong in it (an error of a script, a violation of the policy, a file
// that isn't there) fails the test.
type tab struct {
	*browser
	t       testing.TB
	session string
	base    string
	bears   func(text string) bool // of what went wrong
}

func (b *browser) tab(t testing.TB, base string) *tab {
	t.Helper()
	w := &tab{browser: b, t: t, base: base}
	var made struct{ TargetID, SessionID string }
	w.into(&made, b.must(t, "", "Target.createTarget", object{"url": "about:blank"}))
	id := made.TargetID
	w.into(&made, b.must(t, "", "Target.attachToTarget", object{"targetId": id, "flatten": true}))
	w.session = made.SessionID
	t.Cleanup(func() { _, _ = b.tell("", "Target.closeTarget", object{"targetId": id}) })
	b.mu.Lock()
	b.heard = func(session, method string, params json.RawMessage) {
		if session == w.session && (method == "Runtime.exceptionThrown" || method == "Log.entryAdded") && (w.bears == nil || !w.bears(string(params))) {
			t.Errorf("in the browser: %s %s", method, params)
		}
	}
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Accessibility"} {
		w.do(domain+".enable", nil)
	}
	return w
}

func (b *browser) must(t testing.TB, session, method string, params any) json.RawMessage {
	t.Helper()
	out, err := b.tell(session, method, params)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *tab) do(method string, params any) json.RawMessage {
	w.t.Helper()
	return w.must(w.t, w.session, method, params)
}

func (w *tab) into(v any, text json.RawMessage) {
	w.t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		w.t.Fatal(err)
	}
}

// eval gives the value of an expression, awaited.
func (w *tab) eval(into any, script string) {
	w.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	w.into(&out, w.do("Runtime.evaluate", object{"expression": script, "awaitPromise": true, "returnByValue": true}))
	if out.ExceptionDetails != nil {
		w.t.Fatalf("%.200s: %s", script, out.ExceptionDetails)
	}
	if into != nil {
		w.into(into, out.Result.Value)
	}
}

// open shows a page, and waits until it is whole.
func (w *tab) open(path string) {
	w.t.Helper()
	w.eval(nil, "window.old = true")
	w.do("Page.navigate", object{"url": w.base + path})
	w.until("the page "+path+" is there", "!window.old && document.readyState === 'complete' && !!document.querySelector('main')")
}

// until waits for a condition.
func (w *tab) until(what, script string) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		if out, err := w.tell(w.session, "Runtime.evaluate", object{"expression": "!!(" + script + ")", "returnByValue": true}); err == nil {
			var r struct{ Result struct{ Value bool } }
			is = json.Unmarshal(out, &r) == nil && r.Result.Value
		}
		if is {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("not within a minute: %s; the page says\n%s", what, w.text())
		}
	}
}

func (w *tab) text() (s string) {
	w.t.Helper()
	w.eval(&s, "document.body ? document.body.innerText : ''")
	return s
}

// says waits for words on the page.
func (w *tab) says(words ...string) {
	w.t.Helper()
	for _, s := range words {
		text, _ := json.Marshal(s)
		w.until("it says "+s, "document.body.innerText.replace(/\\s+/g,' ').includes("+string(text)+")")
	}
}

// press is a key.
func (w *tab) press(key string) {
	w.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37}[key]
	e := object{"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if key == "Enter" {
		e["type"], e["text"] = "keyDown", "\r"
	}
	w.do("Input.dispatchKeyEvent", e)
	w.do("Input.dispatchKeyEvent", object{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}

// click goes where a link with a text leads, the first of that text within what a selector finds.
func (w *tab) click(within, text string) {
	w.t.Helper()
	a, _ := json.Marshal(within)
	b, _ := json.Marshal(text)
	find := fmt.Sprintf("[...document.querySelectorAll(%s)].flatMap(e => [...e.querySelectorAll('a')]).find(a => a.innerText.trim().startsWith(%s))", a, b)
	w.until("there is "+text+" to click", find)
	w.eval(nil, "window.old = true; "+find+".click()")
	w.until("the page has changed", "!window.old && document.readyState === 'complete'")
}

// size is that of the window, and whether it is dark.
func (w *tab) size(width, height int, dark bool) {
	w.t.Helper()
	w.do("Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	w.do("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}})
}

// shot is a picture of the page.
func (w *tab) shot() []byte {
	w.t.Helper()
	var out struct{ Data string }
	w.into(&out, w.do("Page.captureScreenshot", object{"format": "png"}))
	text, err := base64.StdEncoding.DecodeString(out.Data)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// roles are the roles and names of what a screen reader tells of, as ROLE NAME.
func (w *tab) roles() (out []string) {
	w.t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	w.into(&tree, w.do("Accessibility.getFullAXTree", nil))
	for _, n := range tree.Nodes {
		if !n.Ignored {
			out = append(out, fmt.Sprint(n.Role.Value, " ", n.Name.Value))
		}
	}
	return out
}
