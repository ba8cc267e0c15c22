package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
)

const (
	header = "------rate------+----------------depth----------------+--------------metadata---------------\n" +
		"ingress  egress |   total     mem    disk inflt   def |     req     t-o         msgs clients\n"
	rowFormat = "%7d %7d | %7d %7d %7d %5d %5d | %7d %7d %12d %7d\n"

	// headerEvery is after how many polls the header is printed again.
	headerEvery = 25
)

// channelStats are the sums of what nsqds say of a channel.
type channelStats struct {
	Depth        int64 `json:"depth"`         // in memory and on disk
	BackendDepth int64 `json:"backend_depth"` // on disk
	InFlight     int64 `json:"in_flight_count"`
	Deferred     int64 `json:"deferred_count"`
	Requeued     int64 `json:"requeue_count"`
	TimedOut     int64 `json:"timeout_count"`
	Messages     int64 `json:"message_count"` // that came from the topic
	Clients      int64 `json:"client_count"`
}

func (s *channelStats) add(c *stats.Channel) {
	s.Depth += c.Depth
	s.BackendDepth += c.BackendDepth
	s.InFlight += int64(c.InFlight)
	s.Deferred += int64(c.Deferred)
	s.Requeued += int64(c.Requeues)
	s.TimedOut += int64(c.Timeouts)
	s.Messages += int64(c.Messages)
	s.Clients += int64(c.ClientCount)
}

// sample is what one poll found.
type sample struct {
	channelStats
	at    time.Time // when the poll began
	nsqds int       // that have the channel
}

// rates returns how many messages a second came into the channel and left its
// queue since an earlier sample. Polls are a whole number of intervals apart,
// one unless daemons were slow to answer.
func (s sample) rates(earlier sample, interval time.Duration) (ingress, egress float64) {
	seconds := max(interval, s.at.Sub(earlier.at).Round(interval)).Seconds()
	messages := s.Messages - earlier.Messages
	return float64(messages) / seconds, float64(messages-(s.Depth-earlier.Depth)) / seconds
}

// printText prints the header if it is its turn, and the row unless this is the
// first poll, which there is nothing to compare with.
func printText(w io.Writer, o *options, polls int, now, last sample) error {
	text := ""
	if polls%headerEvery == 0 {
		text = header
	}
	if polls > 0 {
		ingress, egress := now.rates(last, o.interval)
		text += fmt.Sprintf(rowFormat, int64(ingress), int64(egress),
			now.Depth, now.Depth-now.BackendDepth, now.BackendDepth, now.InFlight, now.Deferred,
			now.Requeued, now.TimedOut, now.Messages, now.Clients)
	}
	_, err := io.WriteString(w, text)
	return err
}

// row is what --json prints. Its names are those of nsqd's /stats where that has them,
// and never change.
type row struct {
	Time        time.Time `json:"time"`
	Topic       string    `json:"topic"`
	Channel     string    `json:"channel"`
	NSQDs       int       `json:"nsqds"`        // that have the channel
	Ingress     float64   `json:"ingress"`      // messages a second that came in
	Egress      float64   `json:"egress"`       // messages a second that left the queue
	MemoryDepth int64     `json:"memory_depth"` // depth without backend_depth
	channelStats
}

// printJSON prints a row, and nothing for the first poll.
func printJSON(w io.Writer, o *options, polls int, now, last sample) error {
	if polls == 0 {
		return nil
	}
	ingress, egress := now.rates(last, o.interval)
	return json.NewEncoder(w).Encode(row{
		Time:         now.at,
		Topic:        o.topic,
		Channel:      o.channel,
		NSQDs:        now.nsqds,
		Ingress:      ingress,
		Egress:       egress,
		MemoryDepth:  now.Depth - now.BackendDepth,
		channelStats: now.channelStats,
	})
}
