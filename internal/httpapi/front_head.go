package httpapi

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// maxDirectBody is from which size on a body is net/http's, which does not read
// the rest of one that nobody wants.
const maxDirectBody = 256 << 10

// A head is that of a request: what net/http's server would give to a handler.
// Everything in it is used again for the next one.
type head struct {
	request http.Request // without its body
	url     url.URL
	values  []string // what the header consists of

	hasHost bool
}

// parse reads all of the head of a request for one of the paths, from its first
// byte to the empty line. It reports whether it did: what is not quite ordinary is
// net/http's, malformed or not. Whatever it takes, net/http understands the same.
func (h *head) parse(text string, paths map[string]bool) bool {
	return h.parseLines(text, paths) && h.hasHost && h.request.ContentLength > 0
}

// mayBecome reports whether text may be the start of a head that parse takes. Of
// the last line, which has no end, it says nothing.
func (h *head) mayBecome(text string, paths map[string]bool) bool {
	lines := text[:strings.LastIndexByte(text, '\n')+1]
	return lines == "" || h.parseLines(lines, paths)
}

// parseLines reads lines, each with its end.
func (h *head) parseLines(text string, paths map[string]bool) bool {
	line, text, _ := strings.Cut(text, "\r\n")
	if !h.parseRequestLine(line, paths) {
		return false
	}
	for text != "" {
		var ended bool
		line, text, ended = strings.Cut(text, "\r\n")
		if !ended {
			return false
		}
		if line != "" && !h.parseField(line) {
			return false
		}
	}
	return true
}

// parseRequestLine begins with an empty header.
func (h *head) parseRequestLine(line string, paths map[string]bool) bool {
	target, isPost := strings.CutPrefix(line, http.MethodPost+" ")
	target, isVersion := strings.CutSuffix(target, " HTTP/1.1")
	path, query, hasQuery := strings.Cut(target, "?")
	if !isPost || !isVersion || !paths[path] || hasQuery && query == "" || !isVisible(query) {
		return false
	}
	header := h.request.Header
	if header == nil {
		header = make(http.Header)
	}
	clear(header)
	h.values, h.hasHost = h.values[:0], false
	h.url = url.URL{Path: path, RawQuery: query}
	h.request = http.Request{
		Method: http.MethodPost, RequestURI: target, URL: &h.url,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header,
	}
	return true
}

// isVisible reports whether a query consists of what needs no thought.
func isVisible(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] > '~' {
			return false
		}
	}
	return true
}

func (h *head) parseField(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isFieldName(name) {
		return false
	}
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if (value[i] < ' ' && value[i] != '\t') || value[i] > '~' {
			return false
		}
	}
	return h.addField(textproto.CanonicalMIMEHeaderKey(name), value)
}

func isFieldName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != ""
}

// addField refuses every field that has a meaning for the connection, except
// in its usual form.
func (h *head) addField(key, value string) bool {
	switch key {
	case "Host":
		if h.hasHost || !isHost(value) {
			return false
		}
		h.hasHost, h.request.Host = true, value
		return true // net/http takes it out of the header
	case "Content-Length":
		length, err := strconv.ParseUint(value, 10, 64)
		if h.request.ContentLength != 0 || err != nil || length == 0 || length >= maxDirectBody {
			return false
		}
		h.request.ContentLength = int64(length)
	case "Connection":
		if !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Transfer-Encoding", "Trailer", "Upgrade", "Http2-Settings", "Expect", "Pragma":
		return false
	}
	header := h.request.Header
	if others := header[key]; others != nil {
		header[key] = append(others, value)
		return true
	}
	h.values = append(h.values, value)
	n := len(h.values)
	header[key] = h.values[n-1 : n : n]
	return true
}

// isHost knows names and addresses, with and without ports.
func isHost(value string) bool {
	for i := range len(value) {
		c := value[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= ':' || c == '-' || c == '_' || c == '.' || c == '[' || c == ']') {
			return false
		}
	}
	return value != ""
}
