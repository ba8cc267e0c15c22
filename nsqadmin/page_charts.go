package nsqadmin

import (
	"math"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
)

const perSecond = "msg/s"

// leastShown is how many points a chart has at least: five minutes.
const leastShown = 30

// historyCharts returns the pictures of the last hour that every page has which
// is about something with a history: of the cluster, a topic, channel or node.
// They begin where something is known.
func historyCharts(s history.Series) []chart.Chart {
	s = shown(s)
	picture := func(title, unit string, lines ...chart.Line) chart.Chart {
		return chart.Chart{Title: title, Unit: unit, From: s.From.Local(), Step: s.Step, Lines: lines}
	}
	return []chart.Chart{
		picture("Depth", chart.Messages, chart.Line{Label: "waiting", Class: "c-depth", Points: s.Depth}),
		picture("In flight and deferred", chart.Messages,
			chart.Line{Label: "in flight", Class: "c-inflight", Points: s.InFlight},
			chart.Line{Label: "deferred", Class: "c-deferred", Points: s.Deferred}),
		picture("Rate", perSecond,
			chart.Line{Label: "published", Class: "c-publish", Points: s.Publish},
			chart.Line{Label: "finished", Class: "c-finish", Points: s.Finish}),
	}
}

// shown returns a series without the time at its start of which nothing is known,
// as long as leastShown points are left.
func shown(s history.Series) history.Series {
	columns := [...]*[]float64{&s.Depth, &s.InFlight, &s.Deferred, &s.Publish, &s.Finish}
	unknown := max(0, len(s.Depth)-leastShown)
	for _, c := range columns {
		for i, v := range (*c)[:unknown] {
			if !math.IsNaN(v) {
				unknown = i
				break
			}
		}
	}
	for _, c := range columns {
		*c = (*c)[unknown:]
	}
	s.From = s.From.Add(time.Duration(unknown) * s.Step)
	return s
}
