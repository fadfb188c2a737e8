// Command plot draws what a run of latency measured, as an SVG picture on standard
// output:
//
//	go run ./test/perf/race -latency -data latency.json
//	go run ./test/perf/race/plot latency.json >latency.svg
//
// One line a server: how long it took until this share of the questions was answered.
// The line is the median of the rounds, the band around it the middle half of them.
package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/test/perf/race/record"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "plot: error: one file is wanted\nplot: hint: usage: plot DATA >PICTURE")
		os.Exit(2)
	}
	run, err := record.Read(os.Args[1])
	if err == nil && len(run.Turns) == 0 {
		err = fmt.Errorf("%s: nothing was measured", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plot: error:", err)
		os.Exit(1)
	}
	fmt.Print(draw(run))
}

// The picture in its own units: the whole, and the part between the axes.
const (
	width                    = 760
	left, right, top, bottom = 84, 736, 64, 384
	legendTop, legendLine    = bottom + 72, 20 // below the axis: the lines may be anywhere
)

// From half of the answers to all but one in ten thousand: what is further out is
// too few to draw a line through.
const (
	pMin, pMax = 0.5, 0.9999
	points     = 64
)

// nines is the scale of the horizontal axis: each further nine is as wide as the one
// before, because that is how rare and how dear it is.
func nines(p float64) float64 { return -math.Log10(1 - p) }

func x(p float64) float64 {
	return left + (right-left)*(nines(p)-nines(pMin))/(nines(pMax)-nines(pMin))
}

// A scale is that of the vertical axis, logarithmic, from one round time to another.
type scale struct{ min, max time.Duration }

func (s scale) y(d time.Duration) float64 {
	d = min(max(d, s.min), s.max)
	return bottom - (bottom-top)*math.Log(float64(d)/float64(s.min))/math.Log(float64(s.max)/float64(s.min))
}

// round are the times that get a line and a label.
var round = func() []time.Duration {
	var out []time.Duration
	for d := time.Microsecond; d <= 10*time.Second; d *= 10 {
		out = append(out, d, 2*d, 5*d)
	}
	return out
}()

// A curve is one server's line.
type curve struct {
	server string
	class  string
	p      []float64
	at     []record.Spread // of each p
}

// curves reads the lines off the histograms.
func curves(run *record.Run) []curve {
	var out []curve
	// fedns keeps its colour whoever runs beside it.
	servers := run.Servers()
	slices.SortStableFunc(servers, func(a, b string) int { return rank(a) - rank(b) })
	colour := 0
	for _, s := range servers {
		c := curve{server: s, class: "floor"}
		if s != "floor" {
			c.class = fmt.Sprint("c", colour)
			colour++
		}
		for i := range points {
			n := nines(pMin) + (nines(pMax)-nines(pMin))*float64(i)/(points-1)
			p := 1 - math.Pow(10, -n)
			c.p, c.at = append(c.p, p), append(c.at, run.Quantile(s, p))
		}
		out = append(out, c)
	}
	return out
}

func rank(server string) int {
	switch server {
	case "fedns":
		return 0
	case "floor":
		return 2 // last: it isn't a contender
	default:
		return 1
	}
}

// lost says from which share on a server's answers never came, in most rounds.
func (c *curve) lost() (p float64, ok bool) {
	i := slices.IndexFunc(c.at, func(s record.Spread) bool { return s.Median == record.Never })
	if i < 0 {
		return 0, false
	}
	return c.p[i], true
}

// span is the least axis that everything which came fits on.
func span(cs []curve) scale {
	s := scale{min: record.Never, max: 0}
	for _, c := range cs {
		for _, at := range c.at {
			s.min = min(s.min, at.Low)
			for _, d := range []time.Duration{at.Low, at.Median, at.High} {
				if d != record.Never {
					s.max = max(s.max, d)
				}
			}
		}
	}
	i, _ := slices.BinarySearch(round, s.min+1) // the first that is longer
	j, _ := slices.BinarySearch(round, s.max)
	return scale{round[max(0, i-1)], round[min(max(j, i), len(round)-1)]}
}

// light and dark are the colours of the lines: fedns' first, then the others' in
// turn. They differ in brightness too, for who doesn't see the hue.
var (
	light = []string{"#0b5cad", "#c2410c", "#0f7b55", "#8a3ffc", "#9a6700", "#b0256b", "#0891b2", "#4d4d4d"}
	dark  = []string{"#58a6ff", "#ff9e64", "#4cc38a", "#c297ff", "#e3b341", "#ff7eb6", "#56d4dd", "#c9c9c9"}
)

// style is the picture's; an image has no other way to follow the reader's choice of
// a light or a dark page. The background is drawn, for pages that have chosen
// otherwise than the browser.
func style(n int) string {
	var b strings.Builder
	theme := func(back, ink, dim, grid, floor string, lines []string) {
		fmt.Fprintf(&b, ".back{fill:%s}text{fill:%s}.dim{fill:%s}.grid{stroke:%s}.l.floor{stroke:%s}.b.floor{fill:%s}", back, ink, dim, grid, floor, floor)
		for i := range n {
			c := lines[i%len(lines)]
			fmt.Fprintf(&b, ".l.c%d{stroke:%s}.b.c%d{fill:%s}", i, c, i, c)
		}
	}
	b.WriteString("text{font:13px system-ui,sans-serif}.head{font-size:16px;font-weight:600}.grid{stroke-width:1}" +
		".l{fill:none;stroke-width:2.5;stroke-linejoin:round}.b{opacity:.15}.l.floor{stroke-dasharray:2 4}")
	theme("#fff", "#1f2328", "#59636e", "#e4e7ea", "#7d8590", light)
	b.WriteString("@media(prefers-color-scheme:dark){")
	theme("#0d1117", "#e6edf3", "#9198a1", "#262c36", "#8b949e", dark)
	b.WriteString("}")
	return b.String()
}

// draw makes the picture.
func draw(run *record.Run) string {
	cs := curves(run)
	s := span(cs)
	rounds := 0
	for _, t := range run.Turns {
		rounds = max(rounds, t.Round)
	}
	title := fmt.Sprintf("Time to answer at %s questions a second, the server on one core", thousands(run.Rate))
	pace := "one by one"
	if run.Burst > 1 {
		pace = fmt.Sprint(run.Burst, " at a time")
	}
	what := fmt.Sprintf("%s services; questions sent %s at a fixed pace, timed from when they were to be sent", thousands(run.Services), pace)
	height := legendTop + legendLine*len(cs)

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n", width, height)
	fmt.Fprintf(&b, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n", escape(title), escape(spoken(run, cs)), style(len(cs)))
	fmt.Fprintf(&b, `<rect class="back" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="head" x="%d" y="26">%s</text>`+"\n", 16, escape(title))
	fmt.Fprintf(&b, `<text class="dim" x="%d" y="46">%s</text>`+"\n", 16, escape(what))

	for _, d := range round {
		if d < s.min || d > s.max {
			continue
		}
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text class="dim" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, s.y(d), right, left-8, s.y(d)+4, unit(d))
	}
	for _, p := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999} {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %dV%d"/><text class="dim" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x(p), top, bottom, min(x(p), right-12), bottom+20, percent(p))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">share of the questions that are answered within this time</text>`+"\n", (left+right)/2, bottom+42)
	fmt.Fprintf(&b, `<text transform="translate(24 %d) rotate(-90)" text-anchor="middle">time to answer</text>`+"\n", (top+bottom)/2)

	for _, c := range slices.Backward(cs) { // fedns on top
		var band strings.Builder
		for i := range c.p {
			fmt.Fprintf(&band, "%.1f %.1f ", x(c.p[i]), s.y(c.at[i].High))
		}
		for i := range slices.Backward(c.p) {
			fmt.Fprintf(&band, "%.1f %.1f ", x(c.p[i]), s.y(c.at[i].Low))
		}
		if rounds > 1 {
			fmt.Fprintf(&b, `<path class="b %s" d="M%sZ"/>`+"\n", c.class, strings.TrimSpace(band.String()))
		}
		var line strings.Builder
		for i := range c.p {
			if c.at[i].Median == record.Never {
				break // the rest was lost, and the legend says so
			}
			fmt.Fprintf(&line, "%.1f %.1f ", x(c.p[i]), s.y(c.at[i].Median))
		}
		if line.Len() > 0 {
			fmt.Fprintf(&b, `<path class="l %s" d="M%s"/>`+"\n", c.class, strings.TrimSpace(line.String()))
		}
	}
	for i, c := range cs {
		y := legendTop + legendLine*i
		fmt.Fprintf(&b, `<path class="l %s" d="M%d %dh24"/><text x="%d" y="%d">%s</text>`+"\n", c.class, left, y-4, left+32, y, escape(legend(run, c)))
	}
	if rounds > 1 {
		fmt.Fprintf(&b, `<text class="dim" x="%d" y="%d" text-anchor="end">line: median of %d rounds; band: the middle %d</text>`+"\n",
			right, legendTop, rounds, cs[0].at[0].Inside)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// legend is a line's words.
func legend(run *record.Run, c curve) string {
	at := func(p float64) string {
		return unit(run.Quantile(c.server, p).Median)
	}
	text := c.server
	if c.server == "floor" {
		text = "the machine alone" // a fixed answer, nothing looked up
	}
	text += ": p50 " + at(0.5) + ", p99 " + at(0.99)
	if p, ok := c.lost(); ok {
		return text + ", lost from " + percent(p) + " on"
	}
	return text + ", p99.9 " + at(0.999)
}

// spoken is the picture for who can't see it.
func spoken(run *record.Run, cs []curve) string {
	var out []string
	for _, c := range cs {
		out = append(out, legend(run, c))
	}
	return strings.Join(out, "; ")
}

// unit writes a time to two digits or so.
func unit(d time.Duration) string {
	switch us := float64(d) / 1e3; {
	case d == record.Never:
		return "lost"
	case us < 9.95:
		return digits(us, 1) + " µs"
	case us < 999.5:
		return digits(us, 0) + " µs"
	case us < 9_950:
		return digits(us/1e3, 1) + " ms"
	case us < 999_500:
		return digits(us/1e3, 0) + " ms"
	default:
		return digits(us/1e6, 1) + " s"
	}
}

// digits writes a number without zeros behind the point.
func digits(v float64, decimals int) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', decimals, 64), ".0")
}

func percent(p float64) string {
	return strconv.FormatFloat(math.Round(p*1e4)/1e2, 'f', -1, 64) + "%"
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
