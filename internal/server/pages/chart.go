package pages

import (
	"fmt"
	"slices"
	"time"
)

// A chart is counts per day, stacked by series. It is drawn as SVG on the server, and anew by the charting
// library from the table that comes with it.
type chart struct {
	ID     string
	Title  string
	Series []series
	Days   []chartDay
	Ticks  []chartTick
	Height int // of the plot, in the units of the drawing
	Total  int
}

// A series is one kind of what is counted.
type series struct {
	Name  string // for people
	Class string // its colour
	Total int
	Link  string
}

// A chartDay is one column.
type chartDay struct {
	Day    string
	Label  string // on the axis, or ""
	X      int
	Counts []int // by series
	Total  int
	Bars   []chartBar
	Link   string
}

type chartBar struct {
	Y, Height int
	Class     string
	Name      string
	Count     int
}

type chartTick struct {
	Y     int
	Value int
}

// The drawing, in its own units: the plot begins at chartLeft, and each day is chartStep wide.
const (
	chartPlot = 150
	chartLeft = 34
	chartStep = 14
	chartDays = 30
)

// counted is how many of a series there are on a day.
type counted struct {
	day, series string
	n           int
}

// newChart returns the chart of the days up to the last one. link returns the address of what a day, a
// series or both ("" for any) count.
func newChart(id, title string, last time.Time, kinds []string, counts []counted, link func(day, kind string) string) chart {
	c := chart{ID: id, Title: title, Height: chartPlot}
	first := last.AddDate(0, 0, 1-chartDays)
	column := map[string]int{}
	for i := range chartDays {
		day := first.AddDate(0, 0, i)
		d := chartDay{Day: day.Format(time.DateOnly), X: chartLeft + i*chartStep, Counts: make([]int, len(kinds))}
		if (chartDays-1-i)%7 == 0 {
			d.Label = day.Format("2 Jan")
		}
		d.Link = link(d.Day, "")
		column[d.Day] = i
		c.Days = append(c.Days, d)
	}
	totals := make([]int, len(kinds))
	for _, n := range counts {
		i, ok := column[n.day]
		k := slices.Index(kinds, n.series)
		if !ok || k < 0 {
			continue
		}
		c.Days[i].Counts[k] += n.n
		c.Days[i].Total += n.n
		totals[k] += n.n
		c.Total += n.n
	}
	for k, kind := range kinds {
		c.Series = append(c.Series, series{words(kind), "k-" + kind, totals[k], link("", kind)})
	}
	c.draw(kinds)
	return c
}

// draw makes the bars and the axis.
func (c *chart) draw(kinds []string) {
	most := 0
	for _, d := range c.Days {
		most = max(most, d.Total)
	}
	top, step := scale(most)
	for v := 0; v <= top; v += step {
		c.Ticks = append(c.Ticks, chartTick{chartPlot - v*chartPlot/top, v})
	}
	for i := range c.Days {
		d := &c.Days[i]
		below := 0
		for k, n := range d.Counts {
			if n == 0 {
				continue
			}
			y := chartPlot - (below+n)*chartPlot/top
			d.Bars = append(d.Bars, chartBar{y, chartPlot - below*chartPlot/top - y, "k-" + kinds[k], words(kinds[k]), n})
			below += n
		}
	}
}

// scale returns the end of an axis that most fits on, and the distance of its ticks: 1, 2 or 5 times a
// power of ten, at most five of them.
func scale(most int) (top, step int) {
	step = 1
	for factor := 1; ; factor *= 10 {
		for _, m := range []int{1, 2, 5} {
			if step = m * factor; most <= 5*step {
				return max(step, (most+step-1)/step*step), step
			}
		}
	}
}

// Describe says in words what the chart shows.
func (c chart) Describe() string {
	return fmt.Sprintf("%s: %s patterns in %d days. The table below has the numbers.", c.Title, thousands(c.Total), len(c.Days))
}

// Width is that of the drawing.
func (c chart) Width() int { return chartLeft + len(c.Days)*chartStep + 8 }
