package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A server can make us hold this much, and no more.
const (
	maxAnswer  = 1 << 20
	maxHeaders = 64 << 10
	maxHops    = 5 // redirections
)

// Connections to one server: at a time, kept for the next query, and for how
// long.
const (
	maxConns    = 128
	maxIdle     = 8
	idleTimeout = time.Minute
)

// Config is what a Client needs to know.
type Config struct {
	Addresses      []string      // at least one: host:port or a URL
	Method         string        // "get" or "post"
	RequestTimeout time.Duration // for the whole query of one server
	Dial           Dial          // opens connections, with a time-out of its own
	DialTLS        Dial          // for https
	Log            *slog.Logger
	Now            func() int64 // a monotonic clock in nanoseconds, for sessions
}

// A Dial is a DialContext as that of net.Dialer.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Request is what auth servers are told of a client.
type Request struct {
	Secret     string
	CommonName string // of the client's certificate, "" without one
	RemoteIP   string // "" for a unix socket
	TLS        bool
}

// ErrRefused says that no server granted anything and at least one refused the
// client, rather than failed.
var ErrRefused = errors.New("refused by an auth server")

// ErrClosed is the reason why queries end when the Client is closed.
var ErrClosed = errors.New("auth client is closed")

// A Client asks auth servers. It is safe for concurrent use and keeps a
// bounded number of connections.
type Client struct {
	post    bool
	log     *slog.Logger
	now     func() int64
	http    http.Client
	servers []*server

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc

	mu      sync.Mutex // closed; running grows only while it is held and closed is false
	closed  bool
	running sync.WaitGroup
}

// NewClient returns a client of these servers. Whoever calls it calls Close in
// the end.
func NewClient(c Config) (*Client, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("no address of an auth server")
	}
	client := &Client{post: c.Method == "post", log: c.Log, now: c.Now}
	for _, address := range c.Addresses {
		u, err := parseAddress(address)
		if err != nil {
			return nil, err
		}
		client.servers = append(client.servers, newServer(u))
	}
	client.ctx, client.stop = context.WithCancelCause(context.Background())
	client.http = http.Client{
		Timeout:       c.RequestTimeout,
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{ // without a proxy: secrets go to the servers that are named
			DialContext:            client.bindDial(c.Dial),
			DialTLSContext:         client.bindDial(c.DialTLS),
			MaxConnsPerHost:        maxConns,
			MaxIdleConns:           4 * maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaders,
		},
	}
	return client, nil
}

// Close ends the queries that are under way, with ErrClosed, and returns when
// none runs any more. Later ones fail.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop(ErrClosed)
	c.running.Wait()
	c.http.CloseIdleConnections()
}

// bind returns a context that ends with ctx or with the client.
func (c *Client) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		unbind()
		cancel(nil)
	}
}

// bindDial has dial end with the client: a transport goes on dialing for a
// query that has ended.
func (c *Client) bindDial(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, done := c.bind(ctx)
		defer done()
		return dial(ctx, network, address)
	}
}

// enter reports whether a query may run. If so it must call running.Done.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}

// Ask asks one server after the other, from a random one on, until one gives an
// answer that is as it should be. The error is ErrRefused where one refused and
// none answered, the cause of ctx where that ended, and ErrClosed after Close.
func (c *Client) Ask(ctx context.Context, r Request) (*Answer, error) {
	if !c.enter() {
		return nil, ErrClosed
	}
	defer c.running.Done()
	ctx, done := c.bind(ctx)
	defer done()
	var failed failure
	first := rand.IntN(len(c.servers))
	for i := range c.servers {
		s := c.servers[(first+i)%len(c.servers)]
		answer, err := c.askServer(ctx, s, r)
		if ctx.Err() != nil && err != nil {
			return nil, context.Cause(ctx)
		}
		s.noteHealth(c.log, err)
		if err == nil {
			return answer, nil
		}
		failed = append(failed, err)
	}
	return nil, failed
}

// askServer asks one server, a second time over https if it wants that. The
// error is a *serverError.
func (c *Client) askServer(ctx context.Context, s *server, r Request) (*Answer, error) {
	status, body, err := c.query(ctx, s.url, r)
	if err == nil && status == http.StatusForbidden && s.url.Scheme != "https" {
		if u := httpsURL(s.url, body); u != nil {
			status, body, err = c.query(ctx, u, r)
		}
	}
	if err == nil && status != http.StatusOK {
		return nil, &serverError{
			server:  s.name,
			reason:  fmt.Sprintf("answered with status %d", status),
			refused: status == http.StatusUnauthorized || status == http.StatusForbidden,
		}
	}
	var answer *Answer
	if err == nil {
		answer, err = parseAnswer(body)
	}
	if err != nil {
		return nil, &serverError{server: s.name, reason: reason(err)}
	}
	return answer, nil
}

// query makes one HTTP request.
func (c *Client) query(ctx context.Context, u *url.URL, r Request) (status int, body []byte, err error) {
	req, err := c.request(ctx, u, r)
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, err
	}
	if len(body) > maxAnswer {
		return 0, nil, plainErrorf("answer has more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, body, nil
}

// request returns the query in the form that auth servers know.
func (c *Client) request(ctx context.Context, u *url.URL, r Request) (req *http.Request, err error) {
	values := url.Values{
		"common_name": {r.CommonName},
		"remote_ip":   {r.RemoteIP},
		"secret":      {r.Secret},
		"tls":         {strconv.FormatBool(r.TLS)},
	}
	if c.post {
		body, err := json.Marshal(values)
		if err != nil {
			return nil, err
		}
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
	} else {
		withQuery := *u
		for name, own := range u.Query() {
			if _, ours := values[name]; !ours {
				values[name] = own
			}
		}
		withQuery.RawQuery = values.Encode()
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, withQuery.String(), nil); err != nil {
			return nil, err
		}
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	return req, nil
}

// checkRedirect follows a few redirections, but never from https to clear text,
// and without a Referer, which would hold the secret.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	switch {
	case len(via) > maxHops:
		return plainErrorf("more than %d redirections", maxHops)
	case req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
		return plainError("redirected from https to a URL that is not")
	}
	return nil
}

// httpsURL returns where a server wants to be asked that refuses clear text,
// nil if it said nothing of that.
func httpsURL(u *url.URL, body []byte) *url.URL {
	var hint struct {
		Port int `json:"https_port"`
	}
	if json.Unmarshal(body, &hint) != nil || hint.Port < 1 || hint.Port > 65535 {
		return nil
	}
	https := *u
	https.Scheme = "https"
	https.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(hint.Port))
	return &https
}

// parseAddress returns the URL that an address stands for.
func parseAddress(address string) (*url.URL, error) {
	full := address
	if !strings.Contains(address, "://") {
		full = "http://" + address + "/auth"
	}
	u, err := url.Parse(full)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is neither host:port nor a URL: %w", address, err)
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is neither host:port nor a URL of http or https", address)
	}
	return u, nil
}
