package nsqadmin

import (
	"strings"
)

// statsdNames are the names that numbers have in graphite: nsqd gives them a
// prefix, and statsd puts what comes of it into its formats.
type statsdNames struct{ prefix, counter, gauge string }

// graphRanges are the times that pictures are over, in the words of graphite.
var graphRanges = []string{"1h", "2h", "12h", "24h", "48h", "168h"}

// A metric is one number: of a topic, of a channel of it, or of the memory of a
// node. Its key is as nsqd sends it, as depth or message_count.
type metric struct {
	Node    string // broadcast address and HTTP port; "" for all nodes
	Topic   string // "" for memory
	Channel string // "" for that of the topic
	Key     string
}

// counters are the keys of what statsd counts; all others are gauges.
var counters = map[string]bool{
	"message_count": true,
	"message_bytes": true,
	"requeue_count": true,
	"timeout_count": true,
	"gc_runs":       true,
}

// target is what graphite is asked for: the sum where it is about all nodes.
func (s statsdNames) target(m metric) string {
	if m.Node == "" {
		return "sumSeries(" + s.name(m) + ")"
	}
	return s.name(m)
}

// name is what the metric is called in graphite.
func (s statsdNames) name(m metric) string {
	node := "*"
	if m.Node != "" {
		node = clean(strings.NewReplacer(".", "_", ":", "_").Replace(m.Node))
	}
	name := strings.ReplaceAll(s.prefix, "%s", node)
	if name != "" && !strings.HasSuffix(name, ".") {
		name += "."
	}
	switch {
	case m.Topic == "":
		name += "mem."
	case m.Channel == "":
		name += "topic." + clean(m.Topic) + "."
	default:
		name += "topic." + clean(m.Topic) + ".channel." + clean(m.Channel) + "."
	}
	format := s.gauge
	if counters[m.Key] {
		format = s.counter
	}
	if format == "" {
		return name + m.Key
	}
	return strings.ReplaceAll(format, "%s", name+m.Key)
}

// clean is what statsd makes of a part of a name.
func clean(part string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r == '/':
			return '-'
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return -1
	}, part)
}
