package nsqadmin

import (
	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
)

const perSecond = "msg/s"

// historyCharts returns the pictures of the last hour that every page has which
// is about something with a history: of the cluster, a topic, channel or node.
func historyCharts(s history.Series) []chart.Chart {
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
