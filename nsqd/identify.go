package nsqd

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
)

// identifyRequest is what a client may say of itself and ask for. Times are in
// milliseconds; 0 asks for the default, -1 turns a thing off.
type identifyRequest struct {
	ClientID            string `json:"client_id"`
	Hostname            string `json:"hostname"`
	UserAgent           string `json:"user_agent"`
	FeatureNegotiation  bool   `json:"feature_negotiation"`
	HeartbeatInterval   int64  `json:"heartbeat_interval"`
	OutputBufferSize    int64  `json:"output_buffer_size"`
	OutputBufferTimeout int64  `json:"output_buffer_timeout"`
	SampleRate          int32  `json:"sample_rate"`
	MsgTimeout          int64  `json:"msg_timeout"`
	TLSv1               bool   `json:"tls_v1"`
	Snappy              bool   `json:"snappy"`
	Deflate             bool   `json:"deflate"`
	DeflateLevel        int64  `json:"deflate_level"`
	TopologyRegion      string `json:"topology_region"`
	TopologyZone        string `json:"topology_zone"`
}

// identifyResponse is the answer to a client that negotiates features.
type identifyResponse struct {
	MaxRdyCount         int64  `json:"max_rdy_count"`
	Version             string `json:"version"`
	MaxMsgTimeout       int64  `json:"max_msg_timeout"`
	MsgTimeout          int64  `json:"msg_timeout"`
	TLSv1               bool   `json:"tls_v1"`
	Deflate             bool   `json:"deflate"`
	DeflateLevel        int    `json:"deflate_level"`
	MaxDeflateLevel     int    `json:"max_deflate_level"`
	Snappy              bool   `json:"snappy"`
	SampleRate          int32  `json:"sample_rate"`
	AuthRequired        bool   `json:"auth_required"`
	OutputBufferSize    int64  `json:"output_buffer_size"`
	OutputBufferTimeout int64  `json:"output_buffer_timeout"`
	TopologyRegion      string `json:"topology_region"`
	TopologyZone        string `json:"topology_zone"`
}

// defaultDeflateLevel is for clients that ask for none.
const defaultDeflateLevel = 6

// identify takes IDENTIFY: who the client is and how it wants to be served. A
// client that negotiates is told the effective values and gets the layers it
// asks for. IDENTIFY may be repeated: layers that are on stay on and are not
// granted again, so that the answer says false for them.
func (p *protocolV2) identify(c *client, _ *wire.Line) ([]byte, error) {
	if c.state.Load() != stateInit {
		return nil, errState("IDENTIFY")
	}
	body, err := p.readBody(c, "IDENTIFY")
	if err != nil {
		return nil, err
	}
	var req identifyRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, wire.NewError(wire.BadBody, "IDENTIFY failed to decode JSON body", err)
	}
	s, err := negotiate(&req, p.env.opts)
	if err != nil {
		return nil, wire.NewError(wire.BadBody, "IDENTIFY "+err.Error(), nil)
	}
	u, err := p.grant(c, &req)
	if err != nil {
		return nil, err
	}
	p.env.log.Info(fmt.Sprintf("[%s] IDENTIFY: %s", c.conn.RemoteAddr(), logging.Printable(body)), "client", logging.Said(c.conn.RemoteAddr()))
	on := c.settings.Load()
	s.tls, s.snappy, s.deflate = on.tls, on.snappy, on.deflate
	c.settings.Store(s)
	c.writeArmed.Store(0) // the write deadline follows the heartbeat
	c.setHeartbeat(s.heartbeat)
	if !req.FeatureNegotiation {
		return okResponse, nil
	}
	answer, err := json.Marshal(identifyResponse{
		MaxRdyCount:         p.env.opts.MaxRdyCount,
		Version:             version.Binary,
		MaxMsgTimeout:       p.env.opts.MaxMsgTimeout.Milliseconds(),
		MsgTimeout:          s.msgTimeout.Milliseconds(),
		TLSv1:               u.tls,
		Deflate:             u.deflate,
		DeflateLevel:        u.deflateLevel,
		MaxDeflateLevel:     p.env.opts.MaxDeflateLevel,
		Snappy:              u.snappy,
		SampleRate:          s.sampleRate,
		AuthRequired:        p.env.auth != nil,
		OutputBufferSize:    s.outputBufferSize,
		OutputBufferTimeout: s.outputBufferTimeout.Milliseconds(),
		TopologyRegion:      p.env.opts.TopologyRegion,
		TopologyZone:        p.env.opts.TopologyZone,
	})
	if err != nil || u.none() {
		return answer, err
	}
	return nil, c.upgrade(answer, u, p.tls)
}

// grant decides which layers the client gets now. Those that are on stay as
// they are; nothing is put under a compression.
func (p *protocolV2) grant(c *client, req *identifyRequest) (upgrades, error) {
	opts, on := p.env.opts, c.settings.Load()
	compressed := on.snappy || on.deflate
	level := req.DeflateLevel
	if level <= 0 {
		level = defaultDeflateLevel
	}
	u := upgrades{deflateLevel: int(min(level, int64(opts.MaxDeflateLevel)))}
	if !req.FeatureNegotiation {
		return u, nil
	}
	u.tls = req.TLSv1 && p.tls != nil && on.tls == nil && !compressed
	u.snappy = req.Snappy && opts.Snappy && !compressed
	u.deflate = req.Deflate && opts.Deflate && !compressed
	if u.snappy && u.deflate {
		return u, wire.NewError(wire.IdentifyFailed, "cannot enable both deflate and snappy compression", nil)
	}
	return u, nil
}

// readBody reads the sized body of IDENTIFY or AUTH.
func (p *protocolV2) readBody(c *client, command string) ([]byte, error) {
	size, err := wire.ReadSize(c.br)
	if err != nil {
		return nil, wire.NewError(wire.BadBody, command+" failed to read body size", err)
	}
	if limit := p.env.opts.MaxBodySize; int64(size) > limit {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("%s body too big %d > %d", command, size, limit), nil)
	}
	if size <= 0 {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("%s invalid body size %d", command, size), nil)
	}
	body, err := wire.ReadBody(c.br, nil, int(size))
	if err != nil {
		return nil, wire.NewError(wire.BadBody, command+" failed to read body", err)
	}
	return body, nil
}

// negotiate returns the settings that a request gets, or what is wrong with it.
func negotiate(req *identifyRequest, opts *Options) (*settings, error) {
	s := &settings{
		clientID:            kept(req.ClientID),
		hostname:            kept(req.Hostname),
		userAgent:           kept(req.UserAgent),
		heartbeat:           defaultHeartbeatInterval,
		outputBufferSize:    defaultOutputBufferSize,
		outputBufferTimeout: opts.OutputBufferTimeout,
		sampleRate:          req.SampleRate,
		msgTimeout:          opts.MsgTimeout,
		topologyRegion:      kept(req.TopologyRegion),
		topologyZone:        kept(req.TopologyZone),
	}
	within := func(ms int64, low, high time.Duration) bool {
		return ms >= low.Milliseconds() && ms <= high.Milliseconds()
	}
	switch hb := req.HeartbeatInterval; {
	case hb == 0:
	case hb == -1:
		s.heartbeat = 0
	case within(hb, minHeartbeatInterval, opts.MaxHeartbeatInterval):
		s.heartbeat = time.Duration(hb) * time.Millisecond
	default:
		return nil, fmt.Errorf("heartbeat interval (%d) is invalid", hb)
	}
	switch t := req.OutputBufferTimeout; {
	case t == 0:
	case t == -1:
		s.outputBufferTimeout = 0
	case within(t, opts.MinOutputBufferTimeout, opts.MaxOutputBufferTimeout):
		s.outputBufferTimeout = time.Duration(t) * time.Millisecond
	default:
		return nil, fmt.Errorf("output buffer timeout (%d) is invalid", t)
	}
	switch size := req.OutputBufferSize; {
	case size == 0:
	case size == -1:
		s.outputBufferSize = 1
		s.outputBufferTimeout = 0
	case size >= minOutputBufferSize && size <= opts.MaxOutputBufferSize:
		s.outputBufferSize = size
	default:
		return nil, fmt.Errorf("output buffer size (%d) is invalid", size)
	}
	if req.SampleRate < 0 || req.SampleRate > 99 {
		return nil, fmt.Errorf("sample rate (%d) is invalid", req.SampleRate)
	}
	switch t := req.MsgTimeout; {
	case t == 0:
	case within(t, minClientMsgTimeout, opts.MaxMsgTimeout):
		s.msgTimeout = time.Duration(t) * time.Millisecond
	default:
		return nil, fmt.Errorf("msg timeout (%d) is invalid", t)
	}
	return s, nil
}
