// Package logging writes log lines as CoreDNS does, so that all programs of a
// federation, and the libraries in them, speak in one form:
//
//	[INFO] cluster paris: heard again after="12s"
//
// There is no time in a line: who collects lines adds it.
package logging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
)

// A Handler makes of each record a line of text, and has it written.
type Handler struct {
	Least slog.Leveler // nil: slog.LevelInfo
	// Emit writes a line, which has no level and no end.
	Emit  func(slog.Level, string)
	attrs string
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool {
	if h.Least == nil {
		return l >= slog.LevelInfo
	}
	return l >= h.Least.Level()
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attr(a))
		return true
	})
	h.Emit(r.Level, b.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(as []slog.Attr) slog.Handler {
	c := *h
	for _, a := range as {
		c.attrs += attr(a)
	}
	return &c
}

// WithGroup is there for slog; nobody here groups.
func (h *Handler) WithGroup(string) slog.Handler { return h }

func attr(a slog.Attr) string { return fmt.Sprintf(" %s=%q", a.Key, a.Value) }

// New is a logger whose lines go to w, from a level on.
func New(w io.Writer, least slog.Leveler) *slog.Logger {
	var mu sync.Mutex // one line at a time
	return slog.New(&Handler{Least: least, Emit: func(l slog.Level, text string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(w, Mark(l)+oneLine(text)+"\n") // there is nobody left to tell
	}})
}

// Mark is how a line of a level begins.
func Mark(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "[ERROR] "
	case l >= slog.LevelWarn:
		return "[WARNING] "
	case l >= slog.LevelInfo:
		return "[INFO] "
	}
	return "[DEBUG] "
}

// oneLine keeps a text from looking like several.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", `\n`)
}

// Lines passes on what package log writes, for which libraries have no levels: what
// begins with none gets one. What has several lines becomes one.
type Lines struct{ To io.Writer }

// Write implements io.Writer; it gets a line at a time.
func (l Lines) Write(p []byte) (int, error) {
	line := p
	marked := bytes.HasPrefix(p, []byte("["))
	if !marked || bytes.IndexByte(p, '\n') < len(p)-1 {
		text := oneLine(string(p)) + "\n"
		if !marked {
			text = Mark(slog.LevelWarn) + text
		}
		line = []byte(text)
	}
	if _, err := l.To.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Standard makes package log's own logger one of these.
func Standard(w io.Writer) {
	log.SetFlags(0)
	log.SetOutput(Lines{w})
}
