package http2

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// limits are those of the tests.
var limits = Limits{Streams: 10, Read: 3 * time.Second, Write: 5 * time.Second, Idle: time.Minute}

// An echo answers with the body, or else the target; what begins with /later when it is told to.
type echo struct {
	mu    sync.Mutex
	asked []string
	later []func(body string)
}

func (e *echo) Respond(r *Request) {
	body := cmp.Or(string(r.Body), r.Target)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.Method+" "+r.Target)
	if strings.HasPrefix(r.Target, "/later") {
		e.later = append(e.later, func(body string) { r.AnswerLater(&Response{Status: 200, Body: []byte(body)}) })
		return
	}
	if n := 0; strings.HasPrefix(r.Target, "/size/") {
		_, _ = fmt.Sscanf(r.Target, "/size/%d", &n)
		body = strings.Repeat("x", n)
	}
	r.Answer(&Response{Status: 200, Fields: []hpack.HeaderField{{Name: "content-type", Value: "text/x"}}, Body: []byte(body)})
}

// tell has what is owed be answered.
func (e *echo) tell(body string) {
	e.mu.Lock()
	later := e.later
	e.later = nil
	e.mu.Unlock()
	for _, f := range later {
		f(body)
	}
}

// A client speaks frames.
type client struct {
	t       *testing.T
	net     net.Conn
	frames  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer

	mu   sync.Mutex
	seen []string // frames, in words
	bits map[uint32]int
}

// dial has a client of a server, within a bubble of synctest.
func dial(t *testing.T, s *Server) *client {
	theirs, ours := net.Pipe()
	go s.Serve(ours)
	c := &client{t: t, net: theirs, bits: map[uint32]int{}}
	c.frames = http2.NewFramer(theirs, theirs)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	go c.read()
	t.Cleanup(func() { theirs.Close(); synctest.Wait() })
	c.write([]byte(http2.ClientPreface))
	return c
}

// greet is dial with what every client says first.
func greet(t *testing.T, s *Server, settings ...http2.Setting) *client {
	c := dial(t, s)
	c.do(c.frames.WriteSettings(settings...))
	c.do(c.frames.WriteSettingsAck())
	synctest.Wait()
	c.saw()
	return c
}

func (c *client) do(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Errorf("the client can't write: %v", err)
	}
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_, err := c.net.Write(b)
	c.do(err)
}

func (c *client) read() {
	for {
		f, err := c.frames.ReadFrame()
		word := ""
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			word = fmt.Sprintf("%d: %s", f.StreamID, f.PseudoValue("status"))
			if f.StreamEnded() {
				word += " END"
			}
		case *http2.DataFrame:
			c.mu.Lock()
			c.bits[f.StreamID] += len(f.Data())
			c.mu.Unlock()
			word = fmt.Sprintf("%d: %d bytes", f.StreamID, len(f.Data()))
			if len(f.Data()) < 32 {
				word = fmt.Sprintf("%d: %s", f.StreamID, f.Data())
			}
			if f.StreamEnded() {
				word += " END"
			}
		case *http2.RSTStreamFrame:
			word = fmt.Sprintf("%d: RST %v", f.StreamID, f.ErrCode)
		case *http2.GoAwayFrame:
			word = fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
		case *http2.PingFrame:
			word = fmt.Sprintf("PING ack=%v", f.IsAck())
		case *http2.SettingsFrame:
			word = fmt.Sprintf("SETTINGS ack=%v", f.IsAck())
		case *http2.WindowUpdateFrame:
			word = fmt.Sprintf("%d: WINDOW %d", f.StreamID, f.Increment)
		}
		if err != nil {
			word = "closed"
		}
		c.mu.Lock()
		c.seen = append(c.seen, word)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// saw gives what has come since, once nothing more comes by itself.
func (c *client) saw() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// want compares that.
func (c *client) want(what string, want ...string) {
	c.t.Helper()
	if got := c.saw(); !slices.Equal(got, want) {
		c.t.Errorf("%s: the client got %q, want %q", what, got, want)
	}
}

// fields are those of a request, and more or others by pairs.
func (c *client) fields(target string, more ...string) []byte {
	c.block.Reset()
	all := []string{":method", "GET", ":scheme", "https", ":path", target, ":authority", "localhost"}
	for i := 0; i < len(more); i += 2 {
		if at := slices.Index(all, more[i]); at >= 0 && strings.HasPrefix(more[i], ":") {
			all = slices.Delete(all, at, at+2)
			if more[i+1] == "" {
				continue
			}
			all = slices.Insert(all, 0, more[i:i+2]...)
			continue
		}
		all = append(all, more[i:i+2]...)
	}
	for i := 0; i < len(all); i += 2 {
		c.do(c.encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
	}
	return c.block.Bytes()
}

// get asks by one frame.
func (c *client) get(id uint32, target string, more ...string) {
	c.t.Helper()
	c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(target, more...), EndHeaders: true, EndStream: true}))
}

// post begins a request with a body.
func (c *client) post(id uint32, target string, more ...string) {
	c.t.Helper()
	c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(target, append([]string{":method", "POST"}, more...)...), EndHeaders: true}))
}

// A request is answered by what it says, whatever frames it comes in.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &echo{}
		c := dial(t, NewServer(h, limits))
		c.do(c.frames.WriteSettings())
		c.want("to begin with", "SETTINGS ack=false", "SETTINGS ack=true")
		c.get(1, "/a")
		c.want("GET", "1: 200", "1: /a END")
		c.post(3, "/b", "content-length", "5")
		c.do(c.frames.WriteData(3, false, []byte("he")))
		c.do(c.frames.WriteDataPadded(3, true, []byte("llo"), make([]byte, 9)))
		c.want("POST", "3: WINDOW 2", "3: 200", "3: hello END")
		block := c.fields("/" + strings.Repeat("c", 20))
		c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: block[:3], EndStream: true}))
		c.do(c.frames.WriteContinuation(5, false, block[3:7]))
		c.do(c.frames.WriteContinuation(5, true, block[7:]))
		c.want("in three frames", "5: 200", "5: /"+strings.Repeat("c", 20)+" END")
		c.post(7, "/d")
		c.do(c.frames.WriteData(7, false, []byte("body")))
		c.block.Reset()
		c.do(c.encoder.WriteField(hpack.HeaderField{Name: "x-sum", Value: "1"}))
		c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: true}))
		c.want("with something behind the body", "7: WINDOW 4", "7: 200", "7: body END")
		c.do(c.frames.WritePing(false, [8]byte{1}))
		c.do(c.frames.WritePing(true, [8]byte{2}))
		c.want("PING", "PING ack=true")
		c.do(c.frames.WriteRawFrame(0xfa, 0, 0, []byte("whatever")))
		c.do(c.frames.WritePriority(99, http2.PriorityParam{StreamDep: 3}))
		c.want("what nobody knows")
		c.get(9, "/later")
		c.get(11, "/e")
		c.want("one before another", "11: 200", "11: /e END")
		h.tell("then")
		c.want("later", "9: 200", "9: then END")
	})
}

// What is no request, or no HTTP/2, ends its stream or the connection, and says why.
func TestWrongFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(c *client)
		want []string
	}{
		"no method":            {func(c *client) { c.get(1, "/", ":method", "") }, []string{"1: RST PROTOCOL_ERROR"}},
		"no scheme":            {func(c *client) { c.get(1, "/", ":scheme", "") }, []string{"1: RST PROTOCOL_ERROR"}},
		"no path":              {func(c *client) { c.get(1, "") }, []string{"1: RST PROTOCOL_ERROR"}},
		"a status":             {func(c *client) { c.get(1, "/", ":path", "", ":status", "200") }, []string{"1: RST PROTOCOL_ERROR"}},
		"a protocol":           {func(c *client) { c.get(1, "/", ":path", "/", ":method", "CONNECT") }, []string{"1: RST PROTOCOL_ERROR"}},
		"upper case":           {func(c *client) { c.get(1, "/", "X-Up", "1") }, []string{"1: RST PROTOCOL_ERROR"}},
		"a line feed":          {func(c *client) { c.get(1, "/", "x", "a\nb") }, []string{"1: RST PROTOCOL_ERROR"}},
		"Connection":           {func(c *client) { c.get(1, "/", "connection", "keep-alive") }, []string{"1: RST PROTOCOL_ERROR"}},
		"TE":                   {func(c *client) { c.get(1, "/", "te", "gzip") }, []string{"1: RST PROTOCOL_ERROR"}},
		"two lengths":          {func(c *client) { c.get(1, "/", "content-length", "0", "content-length", "1") }, []string{"1: RST PROTOCOL_ERROR"}},
		"no length":            {func(c *client) { c.get(1, "/", "content-length", "-1") }, []string{"1: RST PROTOCOL_ERROR"}},
		"another length":       {func(c *client) { c.get(1, "/", "content-length", "1") }, []string{"1: RST PROTOCOL_ERROR"}},
		"an even stream":       {func(c *client) { c.get(2, "/") }, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"an older stream":      {func(c *client) { c.get(3, "/"); c.get(1, "/") }, []string{"3: 200", "3: / END", "GOAWAY 3 STREAM_CLOSED", "closed"}},
		"data without":         {func(c *client) { c.do(c.frames.WriteData(1, true, nil)) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"data behind":          {func(c *client) { c.get(1, "/later"); c.do(c.frames.WriteData(1, true, nil)) }, []string{"1: RST STREAM_CLOSED"}},
		"RST without":          {func(c *client) { c.do(c.frames.WriteRSTStream(1, 0)) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"a window without":     {func(c *client) { c.do(c.frames.WriteWindowUpdate(1, 1)) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"a window too large":   {func(c *client) { c.do(c.frames.WriteWindowUpdate(0, maxWindow)) }, []string{"GOAWAY 0 FLOW_CONTROL_ERROR", "closed"}},
		"a stream's too large": {func(c *client) { c.get(1, "/later"); c.do(c.frames.WriteWindowUpdate(1, maxWindow)) }, []string{"1: RST FLOW_CONTROL_ERROR"}},
		"later too large": {func(c *client) {
			c.get(1, "/later")
			c.do(c.frames.WriteWindowUpdate(1, maxWindow-firstWindow))
			c.do(c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: firstWindow + 1}))
		}, []string{"GOAWAY 1 FLOW_CONTROL_ERROR", "closed"}},
		"a setting too large": {func(c *client) {
			c.do(c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}))
		}, []string{"GOAWAY 0 FLOW_CONTROL_ERROR", "closed"}},
		"a promise": {func(c *client) {
			c.do(c.frames.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: c.fields("/"), EndHeaders: true}))
		}, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"of itself":         {func(c *client) { c.do(c.frames.WritePriority(1, http2.PriorityParam{StreamDep: 1})) }, []string{"1: RST PROTOCOL_ERROR"}},
		"a frame too large": {func(c *client) { c.write([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}) }, []string{"GOAWAY 0 FRAME_SIZE_ERROR", "closed"}},
		"no compression": {func(c *client) {
			c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x80}, EndHeaders: true}))
		}, []string{"GOAWAY 0 COMPRESSION_ERROR", "closed"}},
		"something between": {func(c *client) {
			c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields("/")}))
			c.do(c.frames.WritePing(false, [8]byte{}))
		}, []string{"GOAWAY 0 PROTOCOL_ERROR", "closed"}},
		"fields without end": {func(c *client) {
			c.post(1, "/")
			c.post(1, "/", ":path", "", ":method", "", ":scheme", "", ":authority", "")
		}, []string{"1: RST PROTOCOL_ERROR"}},
		"too much of the body": {func(c *client) {
			c.post(1, "/", "content-length", "1")
			c.do(c.frames.WriteData(1, false, []byte("ab")))
		}, []string{"1: RST PROTOCOL_ERROR"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &echo{}
				c := greet(t, NewServer(h, limits))
				tt.do(c)
				c.want(name, tt.want...)
				if !slices.Contains(tt.want, "closed") {
					c.get(101, "/after")
					c.want("afterwards", "101: 200", "101: /after END")
				}
			})
		})
	}
}

// A client that says something else first isn't answered.
func TestWrongBeginnings(t *testing.T) {
	for name, first := range map[string]string{"HTTP/1.1": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no settings": http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				theirs, ours := net.Pipe()
				done := make(chan struct{})
				go func() { NewServer(&echo{}, limits).Serve(ours); close(done) }()
				go io.Copy(io.Discard, theirs)
				go theirs.Write([]byte(first))
				<-done
			})
		})
	}
}

// A response goes as far as the client has said that it may, and on when it says more.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := greet(t, NewServer(&echo{}, limits), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
		c.get(1, "/abcdef")
		c.want("three bytes", "1: 200", "1: /ab")
		c.do(c.frames.WriteWindowUpdate(1, 1))
		c.want("one more", "1: c")
		c.do(c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100_000}))
		c.want("all", "SETTINGS ack=true", "1: def END")
		// That of the connection is left: 65,535 bytes but for seven.
		c.get(3, "/size/65535")
		c.want("as much as the connection's", "3: 200", "3: 16384 bytes", "3: 16384 bytes", "3: 16384 bytes", "3: 16376 bytes")
		c.get(5, "/short")
		c.want("behind it", "5: 200")
		c.do(c.frames.WriteWindowUpdate(0, 10))
		c.want("the older first", "3: \x78\x78\x78\x78\x78\x78\x78 END", "5: /sh")
		c.do(c.frames.WriteRSTStream(5, http2.ErrCodeCancel))
		c.get(7, "/x")
		c.do(c.frames.WriteWindowUpdate(0, 10))
		c.want("given up", "7: 200", "7: /x END")
	})
}

// Before a body has come the client may say how much it takes.
func TestWindowBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := greet(t, NewServer(&echo{}, limits), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		c.post(1, "/")
		c.do(c.frames.WriteWindowUpdate(1, 3))
		c.do(c.frames.WriteData(1, true, []byte("abcdef")))
		c.want("four bytes", "1: 200", "1: abcd")
	})
}

// A client that takes nothing has no more than a bound kept for it, and is gone after the time it has.
func TestTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits
		l.Streams = 100
		c := greet(t, NewServer(&echo{}, l), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range 20 {
			c.get(uint32(2*i+1), "/size/60000")
		}
		calm := 0
		for _, w := range c.saw() {
			if strings.Contains(w, "RST ENHANCE_YOUR_CALM") {
				calm++
			}
		}
		if calm != 3 { // 17 of them are in a mebibyte
			t.Errorf("%d of 20 are refused", calm)
		}
		time.Sleep(limits.Write - time.Millisecond)
		c.want("in time")
		time.Sleep(time.Millisecond)
		c.want("too late", "closed")
	})
}

// A body that is longer than any question is answered before it has come, and the rest is ignored.
func TestTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lengths{}
		c := greet(t, NewServer(h, limits))
		c.post(1, "/")
		chunk := make([]byte, frameSize)
		for range 6 {
			c.do(c.frames.WriteData(1, false, chunk))
		}
		c.do(c.frames.WriteData(1, true, chunk))
		seen := slices.DeleteFunc(c.saw(), func(w string) bool { return strings.Contains(w, "WINDOW") })
		if want := []string{"1: 200", "1: 65536 END", "1: RST NO_ERROR"}; !slices.Equal(seen, want) {
			t.Errorf("the client got %q, want %q", seen, want)
		}
		block := c.fields("/", "x", strings.Repeat("y", maxFields))
		c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:frameSize], EndStream: true}))
		for block = block[frameSize:]; len(block) > frameSize; block = block[frameSize:] {
			c.do(c.frames.WriteContinuation(3, false, block[:frameSize]))
		}
		c.do(c.frames.WriteContinuation(3, true, block))
		c.want("fields that are too long", "3: 431 END")
		c.get(5, "/")
		c.want("afterwards", "5: 200", "5: 0 END")
	})
}

// Fields that are small on the wire and large behind it, or that never end, cost no more than the largest that are taken.
func TestBombs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := greet(t, NewServer(&echo{}, limits))
		block := c.fields("/", "x-large", strings.Repeat("y", 3900))
		block = append(block, bytes.Repeat([]byte{0x80 | 62}, 10_000)...) // the newest entry of the table, 39 MB in all
		c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true}))
		c.want("the same again and again", "1: 431 END")
		c.get(3, "/after")
		c.want("afterwards", "3: 200", "3: /after END")
		c.do(c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: c.fields("/")}))
		frames := 0
		for ; frames < 1000; frames++ {
			c.block.Reset()
			_ = c.encoder.WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat("z", 8000), Sensitive: true})
			if c.frames.WriteContinuation(5, false, c.block.Bytes()) != nil {
				break
			}
		}
		if seen := c.saw(); frames > 2*maxFields/8000 || !slices.Contains(seen, "closed") {
			t.Errorf("after %d frames of fields that don't end the client got %q", frames, seen)
		}
	})
}

// lengths answers how long a body was.
type lengths struct{}

func (lengths) Respond(r *Request) {
	r.Answer(&Response{Status: 200, Body: fmt.Append(nil, len(r.Body))})
}

// A connection has so many requests at once, those that it has given up included as long as somebody works on them.
func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &echo{}
		c := greet(t, NewServer(h, limits))
		for i := range limits.Streams {
			id := uint32(2*i + 1)
			c.get(id, "/later")
			c.do(c.frames.WriteRSTStream(id, http2.ErrCodeCancel))
		}
		c.get(101, "/x")
		c.want("one too many", "101: RST REFUSED_STREAM")
		h.tell("nobody")
		c.want("what was given up")
		c.get(103, "/x")
		c.want("afterwards", "103: 200", "103: /x END")
		for i := range limits.Streams {
			c.post(uint32(201+2*i), "/x")
		}
		c.get(301, "/x")
		c.want("beside bodies that don't come", "301: RST REFUSED_STREAM")
	})
}

// Connections end that say nothing, or too little.
func TestSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(c *client)
		after time.Duration
	}{
		"nothing":            {func(*client) {}, limits.Idle},
		"only PING":          {func(c *client) { time.Sleep(30 * time.Second); c.do(c.frames.WritePing(false, [8]byte{})) }, limits.Idle - 30*time.Second},
		"half a frame":       {func(c *client) { c.write([]byte{0, 0}) }, limits.Idle},
		"a request, nothing": {func(c *client) { time.Sleep(30 * time.Second); c.get(1, "/") }, limits.Idle},
		"no body":            {func(c *client) { c.post(1, "/") }, limits.Read},
		"a body, slowly": {func(c *client) {
			c.post(1, "/")
			time.Sleep(2 * time.Second)
			c.do(c.frames.WriteData(1, false, []byte("x")))
		}, limits.Read - 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := greet(t, NewServer(&echo{}, limits))
				tt.do(c)
				c.saw()
				time.Sleep(tt.after - time.Millisecond)
				c.want("in time")
				time.Sleep(time.Millisecond)
				c.want("too late", "closed")
			})
		})
	}
}

// Who answers later waits for no client.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &echo{}
		s := NewServer(h, limits)
		theirs, ours := net.Pipe() // which holds nothing: a write waits for its reader
		done := make(chan struct{})
		go func() { s.Serve(ours); close(done) }()
		c := &client{t: t, net: theirs, frames: http2.NewFramer(theirs, nil)}
		c.encoder = hpack.NewEncoder(&c.block)
		if _, err := io.ReadFull(theirs, make([]byte, 9+12)); err != nil { // its settings
			t.Fatal(err)
		}
		c.write([]byte(http2.ClientPreface))
		c.do(c.frames.WriteSettings())
		if _, err := io.ReadFull(theirs, make([]byte, 9)); err != nil { // and that it has ours
			t.Fatal(err)
		}
		c.get(1, "/later")
		c.get(3, "/later")
		synctest.Wait()
		began := time.Now()
		h.tell("at last")
		if took := time.Since(began); took > 0 {
			t.Errorf("it takes %v to answer somebody who doesn't read", took)
		}
		<-done
		if took := time.Since(began); took != limits.Write {
			t.Errorf("the connection ends after %v", took)
		}
		theirs.Close()
	})
}

// A server that ends says so, answers what it has been asked, and then closes its connections.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &echo{}
		s := NewServer(h, limits)
		idle, busy := greet(t, s), greet(t, s)
		busy.get(1, "/later")
		s.Shutdown()
		idle.want("at once", "GOAWAY 2147483647 NO_ERROR")
		busy.want("at once", "GOAWAY 2147483647 NO_ERROR")
		idle.get(1, "/a")
		idle.want("a request that has crossed it", "1: 200", "1: /a END")
		time.Sleep(parting)
		idle.want("after a second", "GOAWAY 1 NO_ERROR")
		busy.want("after a second", "GOAWAY 1 NO_ERROR")
		busy.get(3, "/b")
		busy.want("a request too late")
		h.tell("still")
		busy.want("what it owes", "1: 200", "1: still END")
		time.Sleep(parting + limits.Write)
		idle.want("in the end", "closed")
		busy.want("in the end", "closed")
		late := dial(t, s)
		late.do(late.frames.WriteSettings())
		time.Sleep(2 * parting)
		if seen := late.saw(); !slices.Contains(seen, "GOAWAY 0 NO_ERROR") || !slices.Contains(seen, "closed") {
			t.Errorf("who comes too late gets %q", seen)
		}
	})
}

// Whatever comes, the server ends, and answers nothing that wasn't asked.
func FuzzServe(f *testing.F) {
	var b bytes.Buffer
	frames := http2.NewFramer(&b, nil)
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, p := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", "/x"}, {":authority", "a"}} {
		_ = e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	_ = errors.Join(frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5}),
		frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}),
		frames.WriteData(1, true, []byte("hello")), frames.WriteWindowUpdate(1, 5), frames.WriteRSTStream(1, 0), frames.WritePing(false, [8]byte{}))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		theirs, ours := net.Pipe()
		done := make(chan struct{})
		h := &echo{}
		go func() { NewServer(h, limits).Serve(ours); close(done) }()
		go io.Copy(io.Discard, theirs)
		_, _ = theirs.Write(append([]byte(http2.ClientPreface), in...)) // the server may have had enough
		theirs.Close()
		<-done
		h.tell("nobody")
		if n := bytes.Count(in, []byte{1}); len(h.asked) > n { // the type of a frame that begins one
			t.Errorf("%d requests of %d that may have begun", len(h.asked), n)
		}
	})
}
