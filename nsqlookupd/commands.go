package nsqlookupd

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What IDENTIFY may say: nsqd sends some 200 bytes. A text is refused rather
// than cut, as a cut address would be another one.
const (
	maxIdentifyBody = 16 << 10
	maxIdentifyText = 1 << 10
)

var okResponse = []byte(wire.OK)

// identity is the answer to IDENTIFY.
type identity struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	TCPPort          int    `json:"tcp_port"`
	Version          string `json:"version"`
}

// identify takes IDENTIFY: the client becomes a producer.
func (p *protocolV1) identify(c *client, _ *wire.Line) ([]byte, error) {
	if c.producer != nil {
		return nil, wire.NewError(wire.Invalid, "cannot IDENTIFY again", nil)
	}
	body, err := c.readIdentifyBody()
	if err != nil {
		return nil, err
	}
	info, err := parseIdentify(body)
	if err != nil {
		return nil, err
	}
	info.RemoteAddress = c.conn.RemoteAddr().String()
	c.producer = p.db.identify(info)
	p.log.Info(fmt.Sprintf("CLIENT(%s): IDENTIFY Address:%s TCP:%d HTTP:%d Version:%s", info.RemoteAddress,
		logging.Printable(info.BroadcastAddress), info.TCPPort, info.HTTPPort, logging.Printable(info.Version)), "client", logging.Said(info.RemoteAddress))
	return p.identity, nil
}

// readIdentifyBody reads the sized body of IDENTIFY.
func (c *client) readIdentifyBody() ([]byte, error) {
	size, err := wire.ReadSize(c.br)
	if err != nil {
		return nil, wire.NewError(wire.BadBody, "IDENTIFY failed to read body size", err)
	}
	if size < 0 {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("IDENTIFY invalid body size %d", size), nil)
	}
	if size > maxIdentifyBody {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("IDENTIFY body too big %d > %d", size, maxIdentifyBody), nil)
	}
	body, err := wire.ReadBody(c.br, nil, int(size))
	if err != nil {
		return nil, wire.NewError(wire.BadBody, "IDENTIFY failed to read body", err)
	}
	return body, nil
}

// parseIdentify returns what a client says of itself, or what is wrong with it.
func parseIdentify(body []byte) (info producerInfo, err error) {
	if err := json.Unmarshal(body, &info); err != nil {
		return info, wire.NewError(wire.BadBody, "IDENTIFY failed to decode JSON body", err)
	}
	if info.BroadcastAddress == "" || info.TCPPort == 0 || info.HTTPPort == 0 || info.Version == "" {
		return info, wire.NewError(wire.BadBody, "IDENTIFY missing fields", nil)
	}
	for _, text := range []struct{ name, value string }{
		{"broadcast_address", info.BroadcastAddress},
		{"hostname", info.Hostname},
		{"version", info.Version},
		{"topology_zone", info.TopologyZone},
		{"topology_region", info.TopologyRegion},
	} {
		if len(text.value) > maxIdentifyText {
			return info, wire.NewError(wire.BadBody, fmt.Sprintf("IDENTIFY %s too long %d > %d", text.name, len(text.value), maxIdentifyText), nil)
		}
	}
	return info, nil
}

// register takes REGISTER: the client has a topic and, if one is named, a
// channel of it.
func (p *protocolV1) register(c *client, l *wire.Line) ([]byte, error) {
	topic, channel, err := registrationParams(c, l)
	if err != nil {
		return nil, err
	}
	if err := p.db.register(c.producer, topic, channel); err != nil {
		return nil, wire.NewError(wire.Invalid, "REGISTER "+err.Error(), nil)
	}
	p.logChange(c, "REGISTER", topic, channel)
	return okResponse, nil
}

// unregister takes UNREGISTER, register's opposite. Without a channel it means
// the topic and all its channels: an nsqd that deletes a topic says so before
// it names the channels.
func (p *protocolV1) unregister(c *client, l *wire.Line) ([]byte, error) {
	topic, channel, err := registrationParams(c, l)
	if err != nil {
		return nil, err
	}
	p.db.unregister(c.producer, topic, channel)
	p.logChange(c, "UNREGISTER", topic, channel)
	return okResponse, nil
}

// registrationParams returns the parameters of REGISTER and UNREGISTER. An empty
// channel is none.
func registrationParams(c *client, l *wire.Line) (topic, channel string, err error) {
	if c.producer == nil {
		return "", "", wire.NewError(wire.Invalid, "client must IDENTIFY", nil)
	}
	if l.Params() == 0 {
		return "", "", wire.NewError(wire.Invalid, fmt.Sprintf("%s insufficient number of params", l.Name), nil)
	}
	topic, channel = string(l.Param(0)), string(l.Param(1))
	if !wire.ValidName(topic) {
		return "", "", wire.NewError(wire.BadTopic, fmt.Sprintf("%s topic name '%s' is not valid", l.Name, topic), nil)
	}
	if channel != "" && !wire.ValidName(channel) {
		return "", "", wire.NewError(wire.BadChannel, fmt.Sprintf("%s channel name '%s' is not valid", l.Name, channel), nil)
	}
	return topic, channel, nil
}

func (p *protocolV1) logChange(c *client, command, topic, channel string) {
	if !p.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	p.log.Info(fmt.Sprintf("DB: client(%s) %s topic:%s channel:%s", c.conn.RemoteAddr(), command, topic, channel),
		"client", logging.Said(c.conn.RemoteAddr()), "command", logging.Said(command), "topic", logging.Said(topic), "channel", logging.Said(channel))
}

// ping takes PING: the client is alive, which it may say before IDENTIFY, too.
// It is logged at debug only: a line every 15 s for each nsqd says nothing that
// /nodes does not.
func (p *protocolV1) ping(c *client, _ *wire.Line) ([]byte, error) {
	if c.producer != nil {
		p.db.ping(c.producer)
	}
	p.log.Debug("CLIENT: ping", "client", c.conn.RemoteAddr())
	return okResponse, nil
}
