package nsq

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	// maxHandshake bounds the answer to IDENTIFY.
	maxHandshake = 1 << 20

	defaultMaxRDY = 2500 // until nsqd says otherwise
)

// IdentifyResponse is what nsqd answers to IDENTIFY: its limit for RDY, and what
// it grants of the layers that were asked for.
type IdentifyResponse struct {
	MaxRdyCount  int64 `json:"max_rdy_count"`
	TLSv1        bool  `json:"tls_v1"`
	Deflate      bool  `json:"deflate"`
	Snappy       bool  `json:"snappy"`
	AuthRequired bool  `json:"auth_required"`
}

// negotiated is all of the answer to IDENTIFY that is used.
type negotiated struct {
	IdentifyResponse
	MsgTimeout int64 `json:"msg_timeout"` // in milliseconds; 0 if it is not known
}

// identity is the body of IDENTIFY.
type identity struct {
	ClientID            string `json:"client_id"`
	Deflate             bool   `json:"deflate"`
	DeflateLevel        int    `json:"deflate_level"`
	FeatureNegotiation  bool   `json:"feature_negotiation"`
	HeartbeatInterval   int64  `json:"heartbeat_interval"`
	Hostname            string `json:"hostname"`
	LongID              string `json:"long_id"`
	MsgTimeout          int64  `json:"msg_timeout"`
	OutputBufferSize    int64  `json:"output_buffer_size"`
	OutputBufferTimeout int64  `json:"output_buffer_timeout"`
	SampleRate          int32  `json:"sample_rate"`
	ShortID             string `json:"short_id"`
	Snappy              bool   `json:"snappy"`
	TLSv1               bool   `json:"tls_v1"`
	TopologyRegion      string `json:"topology_region"`
	TopologyZone        string `json:"topology_zone"`
	UserAgent           string `json:"user_agent"`
}

func newIdentity(cfg *Config) identity {
	return identity{
		ClientID:            cfg.ClientID,
		Deflate:             cfg.Deflate,
		DeflateLevel:        cfg.DeflateLevel,
		FeatureNegotiation:  true,
		HeartbeatInterval:   millisecondsOrOff(cfg.HeartbeatInterval),
		Hostname:            cfg.Hostname,
		LongID:              cfg.Hostname, // the names of two fields above, before they had those
		MsgTimeout:          cfg.MsgTimeout.Milliseconds(),
		OutputBufferSize:    cfg.OutputBufferSize,
		OutputBufferTimeout: millisecondsOrOff(cfg.OutputBufferTimeout),
		SampleRate:          cfg.SampleRate,
		ShortID:             cfg.ClientID,
		Snappy:              cfg.Snappy,
		TLSv1:               cfg.TlsV1,
		TopologyRegion:      cfg.TopologyRegion,
		TopologyZone:        cfg.TopologyZone,
		UserAgent:           cfg.UserAgent,
	}
}

// millisecondsOrOff returns d in milliseconds, and -1 for the -1ns or -1ms that
// switch an option off.
func millisecondsOrOff(d time.Duration) int64 {
	if d == -1 {
		return -1
	}
	return d.Milliseconds()
}

// handshake does everything that comes before the connection can be served, within
// ReadTimeout: who sends a byte now and then does not keep callers waiting.
func (c *nsqdConn) handshake() error {
	c.link.until = time.Now().Add(c.cfg.ReadTimeout)
	defer func() { c.link.until = time.Time{} }()
	err := c.identify()
	if err == nil {
		err = c.upgrade()
	}
	if err != nil {
		return newErrIdentify(err)
	}
	if c.identity.AuthRequired {
		return c.authenticate()
	}
	return nil
}

func (c *nsqdConn) identify() error {
	body, err := json.Marshal(newIdentity(c.cfg))
	if err != nil {
		return err
	}
	if _, err := c.out.Write(wire.AppendIdentify([]byte(wire.MagicV2), body)); err != nil {
		return err
	}
	data, err := c.readAnswer()
	if err != nil {
		return err
	}
	c.identity.MaxRdyCount = defaultMaxRDY
	if len(data) == 0 || data[0] != '{' {
		return nil // an nsqd that does not negotiate
	}
	return json.Unmarshal(data, &c.identity)
}

// AuthResponse is the answer of an nsqd that accepted a secret.
type AuthResponse struct {
	Identity        string `json:"identity"`
	IdentityUrl     string `json:"identity_url"` //nolint:revive // the name programs know
	PermissionCount int64  `json:"permission_count"`
}

// authenticate sends AuthSecret and waits for the answer.
func (c *nsqdConn) authenticate() error {
	if c.cfg.AuthSecret == "" {
		return ErrAuthRequired
	}
	if _, err := c.out.Write(wire.AppendAuth(nil, c.cfg.AuthSecret)); err != nil {
		return err
	}
	data, err := c.readAnswer()
	if err == nil {
		c.auth = new(AuthResponse)
		err = json.Unmarshal(data, c.auth)
	}
	if err != nil {
		return fmt.Errorf("%w %w", ErrAuthenticating, err)
	}
	return nil
}

// readAnswer reads the answer to a command of the handshake. An error frame is
// an ErrProtocol.
func (c *nsqdConn) readAnswer() ([]byte, error) {
	limit := c.cfg.MaxMsgSize
	if limit == 0 || limit > maxHandshake {
		limit = maxHandshake
	}
	frameType, data, err := readUnpackedResponse(c.br, limit)
	switch {
	case err != nil:
		return nil, err
	case frameType == FrameTypeError:
		return nil, ErrProtocol{string(data)}
	case frameType != FrameTypeResponse:
		return nil, detailed(ErrInvalidResponse, "unexpected frame type %d", frameType)
	}
	return data, nil
}
