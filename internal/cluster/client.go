// Package cluster asks the daemons of a cluster over HTTP.
package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A daemon can make us hold this much of its headers, and of what it says of
// an error.
const (
	maxHeaders = 64 << 10
	maxMessage = 4 << 10
)

// idleTimeout is how long a connection is kept for the next request.
const idleTimeout = time.Minute

// contentType is the header by which a daemon says that the body is the answer
// itself.
const contentType = "X-NSQ-Content-Type"

// Config is what a Client needs to know.
type Config struct {
	Dial           Dial          // opens connections, with a time-out of its own
	TLS            *tls.Config   // for daemons that want HTTPS; nil for the defaults
	RequestTimeout time.Duration // for a request, from the connection to the last byte of its answer
	MaxAnswer      int64         // bytes that an answer may have
	ConnsPerDaemon int           // at a time; they are kept for the next request
}

// A Dial is a DialContext as that of net.Dialer.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Client makes requests. It is safe for concurrent use.
type Client struct {
	http      http.Client
	maxAnswer int64
	secure    sync.Map           // address to where it wants to be asked, over TLS
	stop      context.CancelFunc // ends what is being dialed
}

// NewClient returns a client. Whoever calls it calls Close in the end.
func NewClient(c Config) *Client {
	ctx, stop := context.WithCancel(context.Background())
	return &Client{
		http: http.Client{
			Timeout:       c.RequestTimeout,
			CheckRedirect: sameMethod,
			Transport: &http.Transport{ // without a proxy: daemons are reached directly
				DialContext:            bindDial(ctx, c.Dial),
				TLSClientConfig:        c.TLS,
				MaxConnsPerHost:        c.ConnsPerDaemon,
				MaxIdleConnsPerHost:    c.ConnsPerDaemon,
				IdleConnTimeout:        idleTimeout,
				MaxResponseHeaderBytes: maxHeaders,
			},
		},
		maxAnswer: c.MaxAnswer,
		stop:      stop,
	}
}

// sameMethod follows a redirection only with the same kind of request: a POST that
// became a GET would be answered, with nothing done.
func sameMethod(next *http.Request, before []*http.Request) error {
	const most = 10
	if next.Method != before[0].Method || len(before) >= most {
		return http.ErrUseLastResponse
	}
	return nil
}

// bindDial has dial end with life, too: a transport goes on dialing for a
// request that has ended.
func bindDial(life context.Context, dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return dial(ctx, network, address)
	}
}

// Close closes connections that are not in use. Requests that run are ended by
// their contexts, which must have ended by now.
func (c *Client) Close() {
	c.stop()
	c.http.CloseIdleConnections()
}

// A StatusError is the answer of a daemon that refuses a request.
type StatusError struct {
	Status  int
	Message string // what it gives as the reason, "" for none
	Body    string // all that it says, cut after a few KiB

	httpsPort int // where it wants to be asked instead, 0 for nowhere
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("answered with status %d", e.Status)
	}
	return fmt.Sprintf("answered with status %d %q", e.Status, e.Message)
}

// TopicNotFound reports whether err says that a daemon does not know the topic.
func TopicNotFound(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Status == http.StatusNotFound && e.Message == "TOPIC_NOT_FOUND"
}

// An AnswerError is what is wrong with an answer that arrived: asked again, the
// daemon would hardly say anything else.
type AnswerError struct{ Err error }

func (e *AnswerError) Error() string { return "answer " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *AnswerError) Unwrap() error { return e.Err }

// Get asks the daemon with its HTTP API at host:port and stores its answer, an
// object, in into. Errors are a *StatusError, an *AnswerError, or tell why there
// was no whole answer.
func (c *Client) Get(ctx context.Context, address, path string, query url.Values, into any) error {
	resp, err := c.do(ctx, http.MethodGet, address, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxAnswer+1))
	if err != nil {
		return err
	}
	if int64(len(body)) > c.maxAnswer {
		return &AnswerError{fmt.Errorf("has more than %d bytes", c.maxAnswer)}
	}
	if resp.Header.Get(contentType) == "" {
		body = unwrap(body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &AnswerError{fmt.Errorf("is not as expected: %w", err)}
	}
	return nil
}

// Post has the daemon with its HTTP API at host:port do something. Errors are
// those of Get; what else it answers is of no interest.
func (c *Client) Post(ctx context.Context, address, path string, query url.Values) error {
	resp, err := c.do(ctx, http.MethodPost, address, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxMessage)) // the connection can be used again
	return err
}

// do returns an answer with status 200. A daemon that answers only over TLS says
// where, and is asked there; the next time at once, until that fails.
func (c *Client) do(ctx context.Context, method, address, path string, query url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: address, Path: path, RawQuery: query.Encode()}
	if known, ok := c.secure.Load(address); ok {
		return c.sendSecure(ctx, method, address, known.(string), u)
	}
	resp, err := c.send(ctx, method, &u)
	if e, ok := errors.AsType[*StatusError](err); ok && e.httpsPort > 0 {
		return c.sendSecure(ctx, method, address, net.JoinHostPort(u.Hostname(), strconv.Itoa(e.httpsPort)), u)
	}
	return resp, err
}

// sendSecure makes a request of the daemon at address where it answers over TLS.
func (c *Client) sendSecure(ctx context.Context, method, address, secure string, u url.URL) (*http.Response, error) {
	u.Scheme, u.Host = "https", secure
	resp, err := c.send(ctx, method, &u)
	if _, answered := errors.AsType[*StatusError](err); err == nil || answered {
		c.secure.Store(address, secure)
	} else {
		c.secure.Delete(address) // it may have been restarted without
	}
	return resp, err
}

// send makes one request.
func (c *Client) send(ctx context.Context, method string, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0") // those before 1.0 answer in an envelope without it
	resp, err := c.http.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the caller knows the URL
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, statusError(resp)
	}
	return resp, nil
}

// statusError reads what an answer that is none says, and no more than is
// worth it.
func statusError(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	var reason struct {
		Message    string `json:"message"`
		StatusText string `json:"status_txt"` // in an envelope
		HTTPSPort  int    `json:"https_port"`
	}
	json.Unmarshal(body, &reason) // whatever it is, the status says enough
	if reason.Message == "" {
		reason.Message = reason.StatusText
	}
	e := &StatusError{Status: resp.StatusCode, Message: reason.Message, Body: string(body)}
	if resp.StatusCode == http.StatusForbidden {
		e.httpsPort = reason.HTTPSPort
	}
	return e
}

// unwrap returns what is in the envelope in which daemons before 1.0 answer, or
// the body itself where there is none.
func unwrap(body []byte) []byte {
	var envelope struct {
		Status *int            `json:"status_code"`
		Data   json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &envelope) != nil || envelope.Status == nil || envelope.Data == nil {
		return body
	}
	return envelope.Data
}
