package http2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What a connection is allowed and given.
const (
	// maxFields is the size of a request's fields (RFC 9113 section 6.5.2): a question of 65,535 bytes in base64, and what
	// browsers say beside.
	maxFields = 128 << 10
	// tableSize is that of the table by which fields are compressed, either way (RFC 9113 section 6.5.2).
	tableSize = 4096
	// frameSize is that of the largest frame, either way: what everybody takes (RFC 9113 section 4.2).
	frameSize = 16384
	// firstWindow is how much may be on its way in either direction before somebody says more (RFC 9113 section 6.9.2),
	// and maxWindow what nobody may say (section 6.9.1).
	firstWindow, maxWindow = 65535, 1<<31 - 1
	// readSize is how much is read at once: some dozens of questions.
	readSize = 4096
	// writeSize is how much is gathered before it is written: what a record of TLS holds.
	writeSize = 16384
	// maxWaiting is how much waits for a client that doesn't take it: some of the largest responses. Who has more isn't
	// answered.
	maxWaiting = 1 << 20
)

// A conn is one connection.
type conn struct {
	server *Server
	net    net.Conn
	reader *bufio.Reader

	writing sync.Mutex // whoever writes to net

	mu       sync.Mutex    // of all that follows
	frames   *http2.Framer // read without it
	out      []byte        // to be written
	soon     bool          // somebody will
	closed   bool          // nothing is written any more
	encoder  *hpack.Encoder
	block    bytes.Buffer       // that it writes to
	date     string             // of second
	second   int64              // since 1970
	last     uint32             // the newest stream that the client has begun
	newest   time.Time          // when that was
	taken    uint32             // bytes of the client's that it hasn't been told of
	streams  map[uint32]*stream // of requests that aren't answered whole
	coming   int                // of these, whose requests haven't come whole
	blocked  []*stream          // those with something that waits for a window, the oldest first
	waiting  int                // bytes of these
	owed     int                // requests that the handler hasn't answered
	initial  int64              // the window of a new stream
	window   int64              // of the connection
	cut      []uint32           // the newest streams that this side has ended: what was sent before the client heard of that is ignored
	leaving  bool               // requests from now on aren't answered
	deadline time.Time          // by when a leaving connection ends
}

// A stream is a request and its response.
type stream struct {
	id      uint32
	window  int64
	request *Request  // that hasn't come whole
	rest    []byte    // of the response, that waits for a window
	since   time.Time // either
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, net: nc, newest: time.Now(), streams: map[uint32]*stream{}, initial: firstWindow, window: firstWindow}
	c.reader = bufio.NewReaderSize(source{c}, readSize)
	c.encoder = hpack.NewEncoder(&c.block)
	c.encoder.SetMaxDynamicTableSizeLimit(tableSize)
	c.frames = http2.NewFramer((*gatherer)(c), c.reader)
	c.frames.SetReuseFrames()
	c.frames.SetMaxReadFrameSize(frameSize)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(tableSize, nil)
	c.frames.MaxHeaderListSize = maxFields
	return c
}

// A gatherer keeps what is written until it is flushed. mu is held.
type gatherer conn

func (g *gatherer) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	return len(p), nil
}

// A source reads from the connection when nothing is left of what has come: then what has been answered is written.
type source struct{ *conn }

func (s source) Read(p []byte) (int, error) {
	s.flush()
	s.mu.Lock()
	s.rest()
	s.mu.Unlock()
	return s.net.Read(p)
}

// rest says by when the client has to say something: sooner where a body is due, or where it doesn't take a
// response. mu is held.
func (c *conn) rest() {
	l := &c.server.limits
	var until time.Time
	by := func(since time.Time, d time.Duration) {
		if t := since.Add(d); d > 0 && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	if c.leaving {
		until = c.deadline
	} else {
		by(c.newest, l.Idle)
	}
	if c.coming > 0 {
		for _, s := range c.streams {
			if s.request != nil {
				by(s.since, l.Read)
			}
		}
	}
	if len(c.blocked) > 0 {
		by(c.blocked[0].since, l.Write)
	}
	_ = c.net.SetReadDeadline(until) // of what is closed: the read says so
}

// flush writes what has been gathered.
func (c *conn) flush() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	b := c.out
	c.out, c.soon = nil, false
	over := c.leaving && c.owed == 0 && len(c.streams) == 0
	c.mu.Unlock()
	if len(b) > 0 {
		if d := c.server.limits.Write; d > 0 {
			_ = c.net.SetWriteDeadline(time.Now().Add(d)) // of what is closed: the write says so
		}
		if _, err := c.net.Write(b); err != nil {
			c.mu.Lock()
			c.closed = true
			c.mu.Unlock()
			_ = c.net.Close() // wakes who reads; why it has to end is said
			return
		}
		if cap(b) <= writeSize {
			c.mu.Lock()
			if c.out == nil {
				c.out = b[:0]
			}
			c.mu.Unlock()
		}
	}
	if half, ok := c.net.(interface{ CloseWrite() error }); ok && over {
		_ = half.CloseWrite() // of what is closed
	}
}

// flushSoon has what has been gathered be written without waiting for it.
func (c *conn) flushSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.soon {
		c.soon = true
		go c.flush()
	}
}

// end closes the connection. What isn't answered yet is answered to nobody.
func (c *conn) end() {
	c.flush()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.net.Close() // the client may have closed it
}

// run reads frames until the connection ends.
func (c *conn) run() {
	if !c.begin() {
		return
	}
	for first := true; ; first = false {
		f, err := c.frames.ReadFrame()
		if _, ok := f.(*http2.SettingsFrame); err == nil && first && !ok {
			err = http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 section 3.4
		}
		var r *Request
		c.mu.Lock()
		if err == nil {
			r, err = c.take(f)
		}
		goOn := err == nil || c.failed(err)
		full := len(c.out) >= writeSize
		c.mu.Unlock()
		if !goOn {
			return
		}
		if r != nil {
			c.server.handler.Respond(r)
			if r.early {
				c.mu.Lock()
				c.enough(r.id)
				c.mu.Unlock()
			}
		}
		if full {
			c.flush()
		}
	}
}

// begin says what this side takes, and reads what every connection begins with (RFC 9113 section 3.4).
func (c *conn) begin() bool {
	settings := []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: maxFields}}
	if n := c.server.limits.Streams; n > 0 {
		settings = append(settings, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(n)})
	}
	c.mu.Lock()
	err := c.frames.WriteSettings(settings...)
	c.come(&stream{request: &Request{}, since: c.newest}) // it is due as a body is
	c.mu.Unlock()
	if err != nil {
		return false
	}
	preface := make([]byte, len(http2.ClientPreface))
	_, err = io.ReadFull(c.reader, preface)
	c.mu.Lock()
	c.forget(0)
	c.mu.Unlock()
	return err == nil && string(preface) == http2.ClientPreface
}

// failed does what an error asks for, and says whether the connection goes on. mu is held.
func (c *conn) failed(err error) bool {
	var stream http2.StreamError
	var fatal http2.ConnectionError
	switch {
	case errors.As(err, &stream):
		c.last = max(c.last, stream.StreamID)
		c.reset(stream.StreamID, stream.Code)
		return true
	case errors.Is(err, http2.ErrFrameTooLarge):
		fatal = http2.ConnectionError(http2.ErrCodeFrameSize)
	case !errors.As(err, &fatal):
		return false // the client has gone, or says nothing
	}
	_ = c.frames.WriteGoAway(c.last, http2.ErrCode(fatal), nil) // gathers it
	return false
}

// streamError ends a stream, and nothing else.
func streamError(id uint32, code http2.ErrCode) error {
	return http2.StreamError{StreamID: id, Code: code}
}

// errProtocol ends the connection.
const errProtocol = http2.ConnectionError(http2.ErrCodeProtocol)

// keptCut is how many streams are remembered that this side has ended: clients have no more of such under way.
const keptCut = 16

// reset ends a stream. mu is held.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.forget(id)
	if len(c.cut) == keptCut {
		c.cut = slices.Delete(c.cut, 0, 1)
	}
	c.cut = append(c.cut, id)
	_ = c.frames.WriteRSTStream(id, code) // gathers it
}

// come begins a stream. mu is held.
func (c *conn) come(s *stream) {
	c.streams[s.id] = s
	c.coming++
}

// forget forgets a stream. mu is held.
func (c *conn) forget(id uint32) {
	s := c.streams[id]
	if s == nil {
		return
	}
	delete(c.streams, id)
	if s.request != nil {
		c.coming--
	}
	if s.rest != nil {
		c.waiting -= len(s.rest)
		c.blocked = slices.DeleteFunc(c.blocked, func(b *stream) bool { return b == s })
	}
}

// take does what a frame says, and gives the request that has come whole by it. mu is held.
func (c *conn) take(f http2.Frame) (*Request, error) {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		return c.data(f)
	case *http2.SettingsFrame:
		return nil, c.set(f)
	case *http2.WindowUpdateFrame:
		return nil, c.widen(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil, nil
		}
		return nil, c.frames.WritePing(true, f.Data)
	case *http2.RSTStreamFrame:
		if f.StreamID > c.last && !c.leaving {
			return nil, errProtocol // of a stream that hasn't begun (RFC 9113 section 6.4)
		}
		c.forget(f.StreamID)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return nil, streamError(f.StreamID, http2.ErrCodeProtocol) // RFC 7540 section 5.3.1
		}
	case *http2.PushPromiseFrame:
		return nil, errProtocol // RFC 9113 section 8.4
	}
	return nil, nil
}

// set takes the client's settings. mu is held.
func (c *conn) set(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSize(s.Val)
		case http2.SettingInitialWindowSize:
			more := int64(s.Val) - c.initial
			c.initial += more
			for _, s := range c.streams { // RFC 9113 section 6.9.2
				if s.window += more; s.window > maxWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
		}
		return s.Valid()
	})
	if err != nil {
		return err
	}
	err = c.frames.WriteSettingsAck()
	c.pour()
	return err
}

// widen has more of responses go. mu is held.
func (c *conn) widen(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.pour()
		return nil
	}
	if f.StreamID > c.last && !c.leaving {
		return errProtocol // of a stream that hasn't begun (RFC 9113 section 5.1)
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return nil // it has been answered
	}
	if s.window += int64(f.Increment); s.window > maxWindow {
		return streamError(f.StreamID, http2.ErrCodeFlowControl)
	}
	c.pour()
	return nil
}

// headers begins a request, or ends one that has something behind its body. mu is held.
func (c *conn) headers(f *http2.MetaHeadersFrame) (*Request, error) {
	id := f.StreamID
	if s := c.streams[id]; s != nil && s.request != nil {
		if !f.StreamEnded() || len(f.PseudoFields()) > 0 {
			return nil, streamError(id, http2.ErrCodeProtocol) // RFC 9113 section 8.1
		}
		return c.complete(s)
	}
	switch {
	case id%2 == 0:
		return nil, errProtocol // RFC 9113 section 5.1.1
	case slices.Contains(c.cut, id):
		return nil, nil
	case id <= c.last:
		return nil, http2.ConnectionError(http2.ErrCodeStreamClosed) // RFC 9113 section 5.1
	case c.leaving:
		return nil, nil // the client knows that it isn't answered (RFC 9113 section 6.8)
	}
	c.last, c.newest = id, time.Now()
	if f.HasPriority() && f.Priority.StreamDep == id {
		return nil, streamError(id, http2.ErrCodeProtocol) // RFC 7540 section 5.3.1
	}
	if n := c.server.limits.Streams; n > 0 && c.coming+c.owed+len(c.blocked) >= n {
		return nil, streamError(id, http2.ErrCodeRefusedStream) // RFC 9113 section 5.1.2
	}
	r := &Request{conn: c, id: id, Fields: f.RegularFields(), length: -1}
	s := &stream{id: id, window: c.initial, request: r, since: c.newest}
	c.come(s)
	switch {
	case f.Truncated:
		c.due(s)
		c.respond(id, &Response{Status: http.StatusRequestHeaderFieldsTooLarge})
		if !f.StreamEnded() {
			c.enough(id)
		}
		return nil, nil
	case !r.read(f.PseudoFields()):
		return nil, streamError(id, http2.ErrCodeProtocol) // RFC 9113 section 8.1.1
	case f.StreamEnded():
		return c.complete(s)
	}
	r.Fields = slices.Clone(r.Fields) // those are of this frame
	return nil, nil
}

// enough tells the client that no more of a request is needed than it was answered by (RFC 9113 section 8.1). mu is held.
func (c *conn) enough(id uint32) {
	if c.streams[id] == nil { // else it takes the answer first, and then has what it sends ignored
		c.reset(id, http2.ErrCodeNo)
	}
}

// read takes what is in the fields of a request; false: they don't go together.
func (r *Request) read(pseudo []hpack.HeaderField) bool {
	scheme := ""
	for _, p := range pseudo {
		switch p.Name {
		case ":method":
			r.Method = p.Value
		case ":scheme":
			scheme = p.Value
		case ":path":
			r.Target = p.Value
		case ":authority":
			r.Authority = p.Value
		default: // of a response, or of what isn't offered
			return false
		}
	}
	for _, h := range r.Fields {
		switch h.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade": // RFC 9113 section 8.2.2
			return false
		case "te":
			if h.Value != "trailers" {
				return false
			}
		case "host":
			if r.Authority == "" {
				r.Authority = h.Value
			}
		case "content-length":
			n, err := strconv.ParseUint(h.Value, 10, 63)
			if err != nil || r.length >= 0 && r.length != int64(n) {
				return false
			}
			r.length = int64(n)
		}
	}
	if r.Method == http.MethodConnect {
		return r.Target == "" && scheme == "" && r.Authority != "" // RFC 9113 section 8.5
	}
	return r.Method != "" && scheme != "" && r.Target != ""
}

// complete gives the request of a stream, which has come whole. mu is held.
func (c *conn) complete(s *stream) (*Request, error) {
	r := s.request
	if r.length >= 0 && r.length != int64(len(r.Body)) {
		return nil, streamError(r.id, http2.ErrCodeProtocol) // RFC 9113 section 8.1.1
	}
	c.due(s)
	return r, nil
}

// due has a response be owed. mu is held.
func (c *conn) due(s *stream) {
	s.request = nil
	c.coming--
	c.owed++
}

// data adds to the body of a request. mu is held.
func (c *conn) data(f *http2.DataFrame) (*Request, error) {
	if c.taken += f.Length; c.taken >= firstWindow/2 {
		if err := c.frames.WriteWindowUpdate(0, c.taken); err != nil {
			return nil, err
		}
		c.taken = 0
	}
	id := f.StreamID
	s := c.streams[id]
	switch {
	case s != nil && s.request != nil:
	case id > c.last && c.leaving, slices.Contains(c.cut, id):
		return nil, nil
	case id > c.last:
		return nil, errProtocol // of a stream that hasn't begun (RFC 9113 section 5.1)
	default:
		return nil, streamError(id, http2.ErrCodeStreamClosed)
	}
	r := s.request
	r.Body = append(r.Body, f.Data()...)
	switch {
	case r.length >= 0 && int64(len(r.Body)) > r.length:
		return nil, streamError(id, http2.ErrCodeProtocol) // RFC 9113 section 8.1.1
	case f.StreamEnded() && len(r.Body) <= MaxBody:
		return c.complete(s)
	case len(r.Body) > MaxBody:
		r.Body, r.length, r.early = r.Body[:MaxBody+1], -1, !f.StreamEnded()
		return c.complete(s)
	case f.Length == 0:
		return nil, nil
	}
	return nil, c.frames.WriteWindowUpdate(id, f.Length)
}

// answer answers the request of a stream.
func (c *conn) answer(id uint32, a *Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.respond(id, a)
}

// respond is answer with mu held.
func (c *conn) respond(id uint32, a *Response) {
	c.owed--
	s := c.streams[id]
	if s == nil || c.closed {
		return // the client has given it up
	}
	c.block.Reset()
	c.field(":status", strconv.Itoa(a.Status))
	for _, f := range a.Fields {
		_ = c.encoder.WriteField(f) // into memory
	}
	c.field("content-length", strconv.Itoa(len(a.Body)))
	c.field("date", c.now())
	_ = c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: len(a.Body) == 0}) // gathers it
	s.rest = a.Body
	if len(c.blocked) == 0 {
		c.write(s)
	}
	if len(s.rest) == 0 {
		delete(c.streams, id)
		return
	}
	if c.waiting+len(s.rest) > maxWaiting {
		s.rest = nil
		c.reset(id, http2.ErrCodeEnhanceYourCalm)
		return
	}
	s.rest, s.since = slices.Clone(s.rest), time.Now()
	c.waiting += len(s.rest)
	c.blocked = append(c.blocked, s)
}

func (c *conn) field(name, value string) {
	_ = c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // into memory
}

// now is the date in a response (RFC 9110 section 6.6.1).
func (c *conn) now() string {
	now := time.Now()
	if s := now.Unix(); s != c.second {
		c.second, c.date = s, now.UTC().Format(http.TimeFormat)
	}
	return c.date
}

// write writes as much of a response as there are windows for. mu is held.
func (c *conn) write(s *stream) {
	for len(s.rest) > 0 {
		n := min(int64(len(s.rest)), s.window, c.window, frameSize)
		if n <= 0 {
			return
		}
		_ = c.frames.WriteData(s.id, n == int64(len(s.rest)), s.rest[:n]) // gathers it
		s.rest = s.rest[n:]
		s.window -= n
		c.window -= n
	}
}

// pour writes what waits for a window, as far as there are any. mu is held.
func (c *conn) pour() {
	c.blocked = slices.DeleteFunc(c.blocked, func(s *stream) bool {
		before := len(s.rest)
		c.write(s)
		c.waiting -= before - len(s.rest)
		if len(s.rest) > 0 {
			return false
		}
		delete(c.streams, s.id)
		return true
	})
}

// goAway tells the client that the server ends, while what it has asked until it hears of that is answered (RFC 9113
// section 6.8).
func (c *conn) goAway() {
	c.mu.Lock()
	_ = c.frames.WriteGoAway(maxWindow, http2.ErrCodeNo, nil) // gathers it
	c.mu.Unlock()
	c.flushSoon()
}

// leave has the connection end once what has come is answered.
func (c *conn) leave() {
	c.mu.Lock()
	c.leaving, c.deadline = true, time.Now().Add(parting)
	if c.owed+len(c.streams) > 0 {
		c.deadline = c.deadline.Add(c.server.limits.Write)
	}
	_ = c.frames.WriteGoAway(c.last, http2.ErrCodeNo, nil) // gathers it
	c.rest()
	c.mu.Unlock()
	c.flushSoon()
}
