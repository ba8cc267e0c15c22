package nsqd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/wire"
)

// openAuth prepares to ask auth servers, if there are any.
func (n *NSQD) openAuth() (err error) {
	if len(n.opts.AuthHTTPAddresses) == 0 {
		return nil
	}
	n.env.auth, err = auth.NewClient(n.authConfig())
	if err == nil && n.http.isOn() && !n.opts.AuthRequired {
		n.log.Warn("AUTH: auth servers decide about TCP clients only, publishing over HTTP needs no secret without --auth-required")
	}
	return err
}

func (n *NSQD) authConfig() auth.Config {
	dialer := &net.Dialer{Timeout: n.opts.HTTPClientConnectTimeout}
	return auth.Config{
		Addresses:      n.opts.AuthHTTPAddresses,
		Method:         n.opts.AuthHTTPRequestMethod,
		RequestTimeout: n.opts.HTTPClientRequestTimeout,
		Dial:           dialer.DialContext,
		DialTLS:        n.certs.DialTLS(dialer),
		Log:            n.log,
		Now:            n.env.now,
	}
}

// clientAuth is what a connection has since its AUTH succeeded.
type clientAuth struct {
	secret  string
	session *auth.Session

	// The most recent publishing that was allowed, so that patterns are matched
	// once per topic and answer. Used by IOLoop only.
	allowedTopic  []byte
	allowedAnswer *auth.Answer
}

// authResponse is the answer to AUTH.
type authResponse struct {
	Identity        string `json:"identity"`
	IdentityURL     string `json:"identity_url"`
	PermissionCount int    `json:"permission_count"`
}

// auth takes AUTH: the auth servers say what the owner of a secret may do.
func (p *protocolV2) auth(c *client, l *wire.Line) ([]byte, error) {
	if c.state.Load() != stateInit {
		return nil, errState("AUTH")
	}
	if l.Params() > 0 {
		return nil, wire.NewError(wire.Invalid, "AUTH invalid number of parameters", nil)
	}
	secret, err := p.readBody(c, "AUTH")
	if err != nil {
		return nil, err
	}
	if c.auth.Load() != nil {
		return nil, wire.NewError(wire.Invalid, "AUTH already set", nil)
	}
	if p.env.auth == nil {
		return nil, wire.NewError(wire.AuthDisabled, "AUTH disabled", nil)
	}
	a := &clientAuth{secret: string(secret), session: p.env.auth.Session()}
	answer, err := p.currentAnswer(c, a)
	if err != nil {
		return nil, err
	}
	if answer.Len() == 0 {
		return nil, wire.NewError(wire.Unauthorized, "AUTH no authorizations found", nil)
	}
	c.auth.Store(a)
	return json.Marshal(authResponse{answer.Identity, answer.IdentityURL, answer.Len()})
}

// authorize refuses a command that the client may not use on topic and
// channel. Without auth servers it costs nothing.
func (p *protocolV2) authorize(c *client, command string, permission auth.Permission, topic, channel []byte) error {
	if p.env.auth == nil {
		return nil
	}
	a := c.auth.Load()
	if a == nil {
		return wire.NewError(wire.AuthFirst, "AUTH required before "+command, nil)
	}
	answer, err := p.currentAnswer(c, a)
	if err != nil {
		return err
	}
	if permission == auth.Publish && answer == a.allowedAnswer && string(topic) == string(a.allowedTopic) {
		return nil
	}
	if !answer.Allows(permission, topic, channel) {
		return errUnauthorized(command, topic, channel)
	}
	if permission == auth.Publish {
		a.allowedTopic, a.allowedAnswer = append(a.allowedTopic[:0], topic...), answer
	}
	return nil
}

func errUnauthorized(command string, topic, channel []byte) *wire.Error {
	return wire.NewError(wire.Unauthorized, fmt.Sprintf("AUTH failed for %s on %q %q", command, topic, channel), nil)
}

// currentAnswer is for IOLoop. If it has to ask, what came before is completed
// first, and the time that this takes is not the client's.
func (p *protocolV2) currentAnswer(c *client, a *clientAuth) (*auth.Answer, error) {
	if answer := a.session.Valid(); answer != nil {
		return answer, nil
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	answer, err := a.session.Renew(c.ctx, c.authRequest(a))
	switch {
	case err == nil:
		c.newLine = true
		return answer, nil
	case errors.Is(err, auth.ErrClosed): // clients are told nothing of a stop
		return nil, errExiting
	default:
		return nil, errAuthFailed(err)
	}
}

func errAuthFailed(cause error) *wire.Error {
	return wire.NewError(wire.AuthFailed, "AUTH failed", cause)
}

// authRequest returns what auth servers are told of the client.
func (c *client) authRequest(a *clientAuth) auth.Request {
	r := auth.Request{Secret: a.secret, RemoteIP: remoteIP(c.conn.RemoteAddr().String())}
	if info := c.settings.Load().tls; info != nil {
		r.TLS, r.CommonName = true, info.commonName
	}
	return r
}

// commonName returns the name in a client's certificate, "" without one.
func commonName(s *tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	return s.PeerCertificates[0].Subject.CommonName
}

// remoteIP returns the host of an address, "" for a unix socket.
func remoteIP(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// While no auth server answers, a subscription goes on for another ttl, and at
// least for minAuthGrace: a restart of a server must not disconnect every
// consumer whose answer has a short ttl. They are asked again after a second,
// and then after twice as long as the last time up to maxAuthRetry.
const (
	minAuthGrace = time.Minute
	minAuthRetry = time.Second
	maxAuthRetry = time.Minute
)

// recheck starts recheckLoop for a connection that has subscribed; IOLoop
// waits for it in the end.
func (p *protocolV2) recheck(c *client, topic, channel []byte) {
	a := c.auth.Load()
	if a == nil {
		return
	}
	s := &subscription{env: p.env, c: c, a: a, topic: bytes.Clone(topic), channel: bytes.Clone(channel)}
	c.rechecks.Go(func() {
		verdict := errAuthFailed(nil) // if this panics
		defer func() {
			if verdict != nil {
				c.refuse(verdict)
			}
		}()
		defer p.env.recoverPanic("PROTOCOL(V2)", c.conn.RemoteAddr())
		verdict = s.recheckLoop()
	})
}

// A subscription is what recheckLoop watches over.
type subscription struct {
	env            *env
	c              *client
	a              *clientAuth
	topic, channel []byte
}

// recheckLoop asks the auth servers whenever their answer has expired, until
// they no longer allow the subscription: then it returns what the client is
// told. It returns nil when the connection ends. Delivery goes on while it asks.
func (s *subscription) recheckLoop() *wire.Error {
	for s.sleep(time.Duration(s.a.session.Expires() - s.env.now())) {
		answer, err := s.renew()
		switch {
		case s.c.ctx.Err() != nil || errors.Is(err, auth.ErrClosed):
			return nil
		case errors.Is(err, auth.ErrRefused) || err == nil && !answer.Allows(auth.Subscribe, s.topic, s.channel):
			e := errUnauthorized("SUB", s.topic, s.channel)
			e.Err = err
			return e
		case err != nil:
			return errAuthFailed(err)
		}
	}
	return nil
}

// renew asks for a new answer until there is one, the client is refused, or
// the subscription has gone on for long enough without.
func (s *subscription) renew() (*auth.Answer, error) {
	grace := max(s.a.session.Last().TTL, minAuthGrace)
	end := s.a.session.Expires() + int64(grace)
	for wait := time.Duration(0); ; {
		answer, err := s.a.session.Renew(s.c.ctx, s.c.authRequest(s.a))
		left := time.Duration(end - s.env.now())
		if err == nil || errors.Is(err, auth.ErrRefused) || errors.Is(err, auth.ErrClosed) || left <= 0 {
			return answer, err
		}
		if wait == 0 && s.c.ctx.Err() == nil {
			s.env.log.Warn("AUTH: no server answers, the subscription goes on for now", s.logFields(), "for", left, "error", err)
		}
		wait = min(max(2*wait, minAuthRetry), maxAuthRetry)
		if !s.sleep(min(left, wait+rand.N(wait/4))) { // not all clients at once
			return nil, context.Cause(s.c.ctx)
		}
	}
}

func (s *subscription) logFields() slog.Attr {
	return slog.Group("", "client", s.c.conn.RemoteAddr(), "topic", string(s.topic), "channel", string(s.channel))
}

// sleep reports false if the connection ended before.
func (s *subscription) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.c.ctx.Done():
		return false
	}
}

// refuse has IOLoop end the connection with an error. It may be called in any
// goroutine and waits for nothing: IOLoop, which writes the frame in its turn,
// is woken if it reads.
func (c *client) refuse(e *wire.Error) {
	c.refused.Store(e)
	c.conn.SetReadDeadline(time.Now())
}
