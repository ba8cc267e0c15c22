package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/version"
)

// The most of an answer that is read so that its connection can be used again, and
// how long that may take. A connection with more is closed, which is cheaper.
const (
	maxDrained   = 64 << 10
	maxDrainTime = time.Second
)

// target is a URL that messages are sent to.
type target struct {
	address string // as it is shown: without a password
	header  http.Header
	request func(ctx context.Context, message []byte) (*http.Request, error) // without the header
	accepts func(status int) bool
}

// newPostTarget returns a target for POST requests.
func newPostTarget(address, contentType string, header http.Header) (*target, error) {
	if err := checkURL(address); err != nil {
		return nil, fmt.Errorf("--post %q: %w", shown(address), err)
	}
	t := &target{address: shown(address), header: http.Header{"Content-Type": {contentType}}}
	maps.Copy(t.header, header)
	t.request = func(ctx context.Context, message []byte) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(message))
	}
	t.accepts = func(status int) bool { return status >= 200 && status < 300 }
	return t, nil
}

// newGetTarget returns a target for GET requests. The address is a format with one
// %s for the message, in which %% stands for % and any other % for itself.
func newGetTarget(address string, header http.Header) (*target, error) {
	fill := func(value string) string { return strings.NewReplacer("%%", "%", "%s", value).Replace(address) }
	if strings.Count(strings.ReplaceAll(address, "%%", ""), "%s") != 1 {
		return nil, errors.New("invalid GET address - must be a printf string")
	}
	if err := checkURL(fill("x")); err != nil {
		return nil, fmt.Errorf("--get %q: %w", shown(address), err)
	}
	t := &target{address: shown(address), header: header}
	t.request = func(ctx context.Context, message []byte) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, fill(url.QueryEscape(string(message))), nil)
	}
	t.accepts = func(status int) bool { return status == http.StatusOK }
	return t, nil
}

func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.Unwrap(err) // without the address
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("must begin with http:// or https:// and a host")
	}
	return nil
}

var password = regexp.MustCompile(`^([a-z]+://[^/?#@:]*):[^/?#]*@`)

// shown returns an address without the password in it.
func shown(address string) string { return password.ReplaceAllString(address, "$1:xxxxx@") }

// What the HTTP client takes for the parts of a header.
var (
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	headerValue = regexp.MustCompile(`^[^\x00-\x08\x0a-\x1f\x7f]*$`)
)

// newHeader returns the header of every request: our own, and the given lines,
// which go before.
func newHeader(lines []string) (http.Header, error) {
	given := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return nil, errors.New("--header value format should be 'key=value'")
		}
		given.Add(name, value)
	}
	header := http.Header{
		"User-Agent": {"nsq_to_http v" + version.Binary},
		// Not sent, as it is empty: it makes the HTTP client send a POST again
		// over another connection if the server had closed the one it was to use.
		"X-Idempotency-Key": nil,
	}
	maps.Copy(header, given)
	return header, nil
}

// send sends a message and waits for the answer.
func (t *target) send(ctx context.Context, client *http.Client, message []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := t.request(ctx, message)
	if err != nil {
		return t.failure(err)
	}
	req.Header = t.header.Clone()
	req.Host = req.Header.Get("Host") // "" for that of the URL
	resp, err := client.Do(req)
	if err != nil {
		return t.failure(err)
	}
	defer resp.Body.Close()
	defer time.AfterFunc(maxDrainTime, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained+1) // to the end; what counts is the status, which is known
	if !t.accepts(resp.StatusCode) {
		return t.failure(fmt.Errorf("got status code %d", resp.StatusCode))
	}
	return nil
}

// failure says which target an error is about, in place of the URL that an error
// of the HTTP client names: that may hold the message, or a password.
func (t *target) failure(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", t.address, err)
}
