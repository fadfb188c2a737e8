package apireply

import (
	"bytes"
	"encoding/binary"
	"io"
	"mime"
	"net/http"
	"runtime"
	"strings"
)

// bounded is a body of which no more is read than a bound.
type bounded struct {
	io.ReadCloser
	what       string
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &Excess{b.what, b.most, "bytes"}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, &Excess{b.what, b.most, "bytes"}
	}
	return n, err
}

// frames is the body of a watch, of which no object is read that is beyond the bounds of one:
// clients put together an object before they look at it, and of JSON without an end.
func frames(r *http.Response, b *Bounds) io.ReadCloser {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasSuffix(kind, "protobuf") {
		return &protobufFrames{ReadCloser: r.Body, bounds: b}
	}
	return &jsonFrames{ReadCloser: r.Body, bounds: b}
}

// giveWay lets whoever waits for a processor have it before the next piece of a watch: of many clusters that come back
// at once, each tells all it has, and answers would wait behind them for as long as Go lets each go on, ten milliseconds.
func giveWay() { runtime.Gosched() }

// anEvent is what is too large then.
const anEvent = "an object that a watch tells of"

type jsonFrames struct {
	io.ReadCloser
	bounds *Bounds
	scan   scanner
	begun  int64 // bytes that were read before this object
}

func (f *jsonFrames) Read(p []byte) (int, error) {
	giveWay()
	n, err := f.ReadCloser.Read(p)
	for _, c := range p[:n] {
		f.scan.feed(c)
		switch {
		case f.scan.depth == 0 && !f.scan.text:
			f.begun, f.scan.values = f.scan.bytes, 0
		case f.scan.bytes-f.begun > f.bounds.Object:
			return 0, &Excess{anEvent, f.bounds.Object, "bytes"}
		case f.scan.values > f.bounds.ObjectValues:
			return 0, &Excess{anEvent, f.bounds.ObjectValues, "values"}
		}
	}
	return n, err
}

// A scanner counts the values of JSON, well formed or not.
type scanner struct {
	bytes, values int64
	depth         int
	text, escaped bool
}

func (s *scanner) feed(c byte) {
	s.bytes++
	switch {
	case s.escaped:
		s.escaped = false
	case s.text:
		s.escaped, s.text = c == '\\', c != '"'
	case c == '"':
		s.text = true
	case c == '{', c == '[':
		s.depth++
		s.values++
	case c == '}', c == ']':
		s.depth--
	case c == ',':
		s.values++
	}
}

type protobufFrames struct {
	io.ReadCloser
	bounds *Bounds
	buffer []byte // of the frame that is being read, with its length
}

func (f *protobufFrames) Read(p []byte) (int, error) {
	if len(f.buffer) == 0 {
		giveWay()
		var length [4]byte
		if _, err := io.ReadFull(f.ReadCloser, length[:]); err != nil {
			return 0, err
		}
		n := int64(binary.BigEndian.Uint32(length[:]))
		if n > f.bounds.Object {
			return 0, &Excess{anEvent, f.bounds.Object, "bytes"}
		}
		f.buffer = append(length[:], make([]byte, n)...)
		if _, err := io.ReadFull(f.ReadCloser, f.buffer[4:]); err != nil {
			return 0, err
		}
		if tooMany(f.buffer[4:], f.bounds.ObjectValues) {
			return 0, &Excess{anEvent, f.bounds.ObjectValues, "values"}
		}
	}
	n := copy(p, f.buffer)
	f.buffer = f.buffer[n:]
	return n, nil
}

// tooMany says whether something of a body's form has more values than that.
func tooMany(body []byte, most int64) bool {
	return int64(len(body))/2 > most && values(body, most) > most
}

// values counts those of a body of either form, until there are too many.
func values(body []byte, most int64) int64 {
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return fields(body, 0, most)
	}
	var s scanner
	for _, c := range body {
		if s.feed(c); s.values > most {
			break
		}
	}
	return s.values
}

// deepest is how far messages are nested that can be of use: those of an object in a
// watch's event.
const deepest = 12

// fields counts those of a protobuf message and of the messages in it. Which of its fields are
// messages it doesn't say, so all count that look like one for as far as they do: a decoder
// makes as much of one that is broken.
func fields(body []byte, depth int, most int64) (n int64) {
	body = bytes.TrimPrefix(body, protobuf)
	for len(body) > 0 && n <= most {
		tag, k := binary.Uvarint(body)
		if k <= 0 || tag>>3 == 0 {
			return n
		}
		body = body[k:]
		n++
		skip := length(body, tag)
		if skip < 0 {
			return n
		}
		if part := body[:skip]; tag&7 == 2 && depth < deepest {
			_, k := binary.Uvarint(part)
			n += fields(part[k:], depth+1, most-n)
		}
		body = body[skip:]
	}
	return n
}

// parts calls each for a message's fields of a number, with their sizes. It isn't ok where they can't be read: groups,
// which Kubernetes hasn't, aren't.
func parts(body []byte, number int32, each func(size int64)) (ok bool) {
	for len(body) > 0 {
		tag, k := binary.Uvarint(body)
		if k <= 0 || tag&7 == 3 || tag&7 == 4 {
			return false
		}
		n := length(body[k:], tag)
		if n < 0 {
			return false
		}
		if int32(tag>>3) == number { // as a decoder takes it
			each(int64(n))
		}
		body = body[k+n:]
	}
	return true
}

// length is how many bytes belong to a field behind its tag; below zero: they can't be read.
func length(body []byte, tag uint64) int {
	n := -1
	switch tag & 7 {
	case 0:
		_, n = binary.Uvarint(body)
		if n == 0 {
			n = -1
		}
	case 3, 4: // the marks of a group; what is in it counts like what is beside it
		n = 0
	case 1:
		n = 8
	case 5:
		n = 4
	case 2:
		if size, k := binary.Uvarint(body); k > 0 && size <= uint64(len(body)-k) {
			n = k + int(size)
		}
	}
	if n > len(body) {
		return -1
	}
	return n
}
