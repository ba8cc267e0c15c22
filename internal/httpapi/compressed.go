package httpapi

import (
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// compressionLevel makes a page a sixth of its size in little time.
const compressionLevel = 3

// A bodyWriter compresses the body of an answer.
type bodyWriter interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encodings are those that an answer may have, each with writers for use again.
var encodings = map[string]*sync.Pool{
	"gzip": {New: func() any {
		w, _ := gzip.NewWriterLevel(nil, compressionLevel) // fails for other levels alone
		return w
	}},
	"deflate": {New: func() any {
		w, _ := zlib.NewWriterLevel(nil, compressionLevel)
		return w
	}},
}

// acceptedEncoding returns the first of encodings that a client accepts, "" for
// none.
func acceptedEncoding(r *http.Request) string {
	for _, header := range r.Header.Values("Accept-Encoding") {
		for one := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(one, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if encodings[name] != nil && !isZero(weight) {
				return name
			}
		}
	}
	return ""
}

// isZero reports whether the weight of an encoding refuses it: q=0, q=0.0, ...
func isZero(weight string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(weight), "=")
	return strings.EqualFold(name, "q") && strings.HasPrefix(value, "0") && strings.Trim(value, "0.") == ""
}

// A compressor is a response whose body is compressed on its way, if the client
// accepts that and there is one that is worth it.
type compressor struct {
	http.ResponseWriter
	encoding string     // what the client accepts, "" for none
	isHead   bool       // nothing of a body is sent
	begun    bool       // the header is written
	body     bodyWriter // nil where the body goes as it is
}

func newCompressor(w http.ResponseWriter, r *http.Request) *compressor {
	w.Header().Add("Vary", "Accept-Encoding")
	return &compressor{ResponseWriter: w, encoding: acceptedEncoding(r), isHead: r.Method == http.MethodHead}
}

func (c *compressor) WriteHeader(status int) {
	if !c.begun && status >= http.StatusOK {
		c.begun = true
		if c.encoding != "" && c.isWorthIt(status) {
			c.compress()
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// isWorthIt reports whether there is a body that can become smaller.
func (c *compressor) isWorthIt(status int) bool {
	h := c.Header()
	packed := strings.HasPrefix(h.Get("Content-Type"), "image/") && h.Get("Content-Type") != "image/svg+xml"
	return status != http.StatusNoContent && status != http.StatusNotModified && status != http.StatusPartialContent &&
		h.Get("Content-Encoding") == "" && h.Get("Content-Length") != "0" && !packed && !c.isHead
}

func (c *compressor) compress() {
	h := c.Header()
	h.Set("Content-Encoding", c.encoding)
	h.Del("Content-Length")
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		h.Set("ETag", "W/"+tag) // another one would be for the same bytes
	}
	c.body = encodings[c.encoding].Get().(bodyWriter)
	c.body.Reset(c.ResponseWriter)
}

func (c *compressor) Write(b []byte) (int, error) {
	if !c.begun {
		if c.Header().Get("Content-Type") == "" {
			c.Header().Set("Content-Type", http.DetectContentType(b)) // as net/http does with what is not compressed
		}
		c.WriteHeader(http.StatusOK)
	}
	if c.body == nil {
		return c.ResponseWriter.Write(b)
	}
	return c.body.Write(b)
}

// FlushError sends what was written so far. It is for http.ResponseController.
func (c *compressor) FlushError() error {
	if c.body != nil {
		if err := c.body.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// close ends the body. Without it the answer is not whole, and the client sees
// that.
func (c *compressor) close() {
	if c.body == nil {
		return
	}
	c.body.Close() // a peer that went away is no matter of ours
	c.body.Reset(nil)
	encodings[c.encoding].Put(c.body)
}
