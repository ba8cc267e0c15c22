package nsq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxLookupAnswer bounds the body of an answer of nsqlookupd: some 50,000
// producers.
const maxLookupAnswer = 16 << 20

// lookupAnswer is what an nsqlookupd knows of a topic.
type lookupAnswer struct {
	known bool     // the topic exists
	addrs []string // of its producers, host:port, sorted, each once
	tag   string   // stands for this state of things; "" from an nsqlookupd that cannot tell of changes
}

// errNotModified says that the state of things is still the one of the tag in
// the request.
var errNotModified = errors.New("not modified")

// lookupResult is the body of an answer.
type lookupResult struct {
	Producers []struct {
		BroadcastAddress string `json:"broadcast_address"`
		TCPPort          int    `json:"tcp_port"`
	} `json:"producers"`
	Message string `json:"message"`
}

// readLookupAnswer reads an answer of nsqlookupd. That the topic is not known is
// an answer like any other.
func readLookupAnswer(resp *http.Response) (*lookupAnswer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLookupAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxLookupAnswer:
		return nil, fmt.Errorf("got an answer of more than %d bytes", maxLookupAnswer)
	case resp.StatusCode == http.StatusNotModified:
		return nil, errNotModified
	}
	result, err := decodeLookup(resp.Header, body)
	tag := resp.Header.Get("ETag")
	switch {
	case resp.StatusCode == http.StatusNotFound && result.Message == "TOPIC_NOT_FOUND":
		return &lookupAnswer{tag: tag}, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("got response %s %q", resp.Status, body[:min(len(body), 200)])
	case err != nil:
		return nil, fmt.Errorf("cannot read the answer %q: %w", body[:min(len(body), 200)], err)
	}
	return &lookupAnswer{known: true, addrs: result.addresses(), tag: tag}, nil
}

// decodeLookup takes the result out of the envelope that nsqlookupd used before
// version 1.0. An empty body is an empty result.
func decodeLookup(header http.Header, body []byte) (lookupResult, error) {
	var result lookupResult
	if len(body) == 0 {
		return result, nil
	}
	if header.Get("X-NSQ-Content-Type") == "nsq; version=1.0" {
		return result, json.Unmarshal(body, &result)
	}
	var envelope struct {
		StatusCode int             `json:"status_code"`
		StatusText string          `json:"status_txt"`
		Data       json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return result, err
	}
	switch {
	case envelope.Data == nil && envelope.StatusCode == 0: // something in between dropped the header
		return result, json.Unmarshal(body, &result)
	case envelope.StatusCode != http.StatusOK && envelope.StatusCode != 0:
		result.Message = envelope.StatusText
		return result, fmt.Errorf("got response %d %s", envelope.StatusCode, envelope.StatusText)
	case envelope.Data == nil:
		return result, nil
	}
	return result, json.Unmarshal(envelope.Data, &result)
}

// addresses returns where the producers are. One without an address is left out.
func (r *lookupResult) addresses() []string {
	addrs := make([]string, 0, len(r.Producers))
	for _, p := range r.Producers {
		host := strings.TrimSuffix(strings.TrimPrefix(p.BroadcastAddress, "["), "]")
		if host == "" || p.TCPPort <= 0 || p.TCPPort > 65535 {
			continue
		}
		addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(p.TCPPort)))
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}
