package nsqd

import (
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/version"
)

// statsText returns a snapshot as the page that people and their scripts read.
func statsText(s *stats.Stats, started, now time.Time) string {
	p := &statsPage{now: now}
	p.line("%s", version.String("nsqd"))
	p.line("start_time %s", started.Format(time.RFC3339))
	p.line("uptime %s", now.Sub(started))
	p.line("")
	p.line("Health: %s", s.Health)
	p.line("")
	if s.Memory != nil {
		p.memory(s.Memory)
		p.line("")
	}
	if len(s.Topics) == 0 {
		p.line("Topics: None")
	} else {
		p.line("Topics:")
	}
	for i := range s.Topics {
		if i > 0 {
			p.line("")
		}
		p.topic(&s.Topics[i])
	}
	p.line("")
	if len(s.Producers) == 0 {
		p.line("Producers: None")
	} else {
		p.line("Producers:")
	}
	for i := range s.Producers {
		p.client("   ", &s.Producers[i])
	}
	return p.String()
}

// A statsPage is the page as far as it is written.
type statsPage struct {
	strings.Builder
	now time.Time
}

func (p *statsPage) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

func (p *statsPage) memory(m *stats.Memory) {
	p.line("Memory:")
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"heap_objects", m.HeapObjects},
		{"heap_idle_bytes", m.HeapIdleBytes},
		{"heap_in_use_bytes", m.HeapInUseBytes},
		{"heap_released_bytes", m.HeapReleasedBytes},
		{"gc_pause_usec_100", m.GCPauseUsec100},
		{"gc_pause_usec_99", m.GCPauseUsec99},
		{"gc_pause_usec_95", m.GCPauseUsec95},
		{"next_gc_bytes", m.NextGCBytes},
		{"gc_total_runs", m.GCTotalRuns},
	} {
		p.line("   %-25s\t%d", f.name, f.value)
	}
}

func (p *statsPage) topic(t *stats.Topic) {
	durability := ""
	if t.Durability == Disk.String() || t.Durability == Fsync.String() {
		durability = " durability: " + t.Durability
	}
	p.line("%s[%-15s] depth: %-5d be-depth: %-5d msgs: %-8d e2e%%: %s%s",
		pausedMark(t.Paused), t.Name, t.Depth, t.BackendDepth, t.Messages, latencyText(&t.E2E), durability)
	for i := range t.Channels {
		p.channel(&t.Channels[i])
	}
}

func (p *statsPage) channel(ch *stats.Channel) {
	p.line("   %s[%-25s] depth: %-5d be-depth: %-5d inflt: %-4d def: %-4d re-q: %-5d timeout: %-5d msgs: %-8d e2e%%: %s",
		pausedMark(ch.Paused), ch.Name, ch.Depth, ch.BackendDepth, ch.InFlight, ch.Deferred, ch.Requeues, ch.Timeouts, ch.Messages, latencyText(&ch.E2E))
	for i := range ch.Clients {
		p.client("        ", &ch.Clients[i])
	}
}

// client shows a connection as a producer once it has published.
func (p *statsPage) client(indent string, c *stats.Client) {
	connected := p.now.Sub(time.Unix(c.Connected, 0)).Truncate(time.Second)
	if len(c.Published) == 0 {
		p.line("%s[%s %-21s] state: %d inflt: %-4d rdy: %-4d fin: %-8d re-q: %-8d msgs: %-8d connected: %s",
			indent, c.Version, connectionName(c), c.State, c.InFlight, c.ReadyCount, c.Finished, c.Requeued, c.Messages, connected)
		return
	}
	var total uint64
	var topics []string
	for _, t := range c.Published {
		total += t.Count
		topics = append(topics, fmt.Sprintf("%s=%d", t.Topic, t.Count))
	}
	p.line("%s[%s %-21s] msgs: %-8d topics: %s connected: %s",
		indent, c.Version, connectionName(c), total, strings.Join(topics, ","), connected)
}

func pausedMark(paused bool) string {
	if paused {
		return "*P "
	}
	return "   "
}

// connectionName is host, port and user agent of a connection. What the client said of
// itself cannot break the line.
func connectionName(c *stats.Client) string {
	name := c.Hostname
	if _, port, err := net.SplitHostPort(c.RemoteAddress); err == nil {
		name += ":" + port
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name+" "+c.UserAgent)
}

func latencyText(l *stats.Latency) string {
	var values []string
	for _, p := range l.Percentiles {
		value, unit := p.Value, "ns"
		for _, larger := range []string{"us", "ms", "s"} {
			if value <= 1000 {
				break
			}
			value, unit = value/1000, larger
		}
		values = append(values, fmt.Sprintf("%.1f%s", value, unit))
	}
	return strings.Join(values, ", ")
}
