package page

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
)

// longestText is how much of what somebody wrote is shown: enough for a reason, too little to fill a
// screen.
const longestText = 300

var words = template.FuncMap{
	"cut": cut, "span": cli.Span, "clock": clock, "day": day, "stamp": stamp, "where": where, "bare": bare, "join": strings.Join, "number": number, "world": func() string { return world },
	"plural": cli.Plural, "more": func(n, shown int) int { return max(n-shown, 0) }, "add": func(a, b int) int { return a + b }, "seconds": func(s float64) string { return strconv.FormatFloat(s, 'f', 0, 64) },
	"sub": func(a, b float64) float64 { return max(a-b, 0) }, "subject": func(s report.Service) string { return subject(&s) }, "short": short, "ups": ups,
	"plain": plain, "tone": tone, "before": func(e report.Event) string { return look(e, -0.001) }, "since": func(e report.Event) string { return look(e, 0.001) },
	"rows": func(page any, list []report.Service) any {
		return struct {
			Page any
			List []report.Service
		}{page, list}
	},
	"view": func(lost string, v any) any {
		return struct {
			Lost string
			V    any
		}{lost, v}
	},
	"heard": heard,
	"first": func(n int, list []string) []string { return list[:min(n, len(list))] },
}

// world is the land of the earth as a path of SVG, in an equirectangular projection of 1000 by 500,
// drawn from Natural Earth (public domain).
var world = func() string {
	text, err := files.ReadFile("static/world.txt")
	if err != nil {
		panic("page: " + err.Error()) // it is part of the program
	}
	return strings.TrimSpace(string(text))
}()

// cut shortens what somebody wrote.
func cut(s string) string {
	if utf8.RuneCountInString(s) <= longestText {
		return s
	}
	return string([]rune(s)[:longestText]) + "…"
}

func clock(at float64) string { return time.UnixMilli(int64(at * 1000)).UTC().Format("15:04:05") }

func day(at float64) string {
	return time.UnixMilli(int64(at * 1000)).UTC().Format("2006-01-02 15:04:05 UTC")
}

func where(ps []report.Place) string {
	var out []string
	for _, p := range ps {
		switch {
		case p.Zone != "":
			out = append(out, p.Zone)
		case p.Region != "":
			out = append(out, p.Region)
		}
	}
	if len(out) == 0 {
		return "nowhere known"
	}
	return strings.Join(out, ", ")
}

// heard is how long ago something was said last; "": lately, or never.
func heard(age *float64) string {
	const lately = 10 // seconds: of a heartbeat nobody has to be told
	if age == nil || *age < lately {
		return ""
	}
	return cli.Span(*age)
}

// bare is a name without the dot of the root.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// number is a number with its thousands apart.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// subject is a service as explain takes it.
func subject(s *report.Service) string {
	switch s.Kind {
	case "ing":
		return "ingress/" + s.Namespace + "/" + s.Name
	case "host":
		return "host/" + s.Namespace + "/" + s.Name
	}
	return "service/" + s.Namespace + "/" + s.Name
}

// plain is a service without the word that most have in front.
func plain(s string) string { return strings.TrimPrefix(s, "service/") }

func short(s report.Service) string { return plain(subject(&s)) }

// ups counts the shards that are up.
func ups(s report.Service) (n int) {
	for _, x := range s.Shards {
		if x.Verdict == "up" {
			n++
		}
	}
	return n
}

// tone is how an event is to be taken.
func tone(e report.Event) string {
	switch e.To {
	case "up", "heard", "listed", "member", "answered", "over":
		return "fresh"
	case "down", "silent", "left", "no address", "unknown":
		return "silent"
	}
	return "drained"
}

// look leads to how things were about an event: why its service was answered so, else all.
func look(e report.Event, by float64) string {
	v := "?at=" + stamp(e.At+by)
	if len(e.Services) > 0 {
		return "/why" + v + "&name=" + url.QueryEscape(e.Services[0])
	}
	return "/" + v
}

// quoted is a word for a shell.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func sprint(format string, v ...any) string { return fmt.Sprintf(format, v...) }
