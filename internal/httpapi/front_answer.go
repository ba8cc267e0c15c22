package httpapi

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// An answer is a http.ResponseWriter that keeps everything until the handler is
// done. It looks like one of net/http's server.
type answer struct {
	header http.Header
	status int // 0 until it is written
	body   []byte

	encoded bytes.Buffer
	second  int64  // of date
	date    []byte // as in the header
}

// begin makes it empty.
func (a *answer) begin() {
	clear(a.header)
	a.status, a.body = 0, a.body[:0]
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// encode returns the whole answer as it is sent; it is valid until the next one.
// isLast says that the connection ends with it.
func (a *answer) encode(now time.Time, isLast bool) []byte {
	a.WriteHeader(http.StatusOK)
	if a.header["Content-Length"] == nil {
		a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	out := &a.encoded
	out.Reset()
	out.WriteString("HTTP/1.1 ")
	out.Write(strconv.AppendInt(out.AvailableBuffer(), int64(a.status), 10))
	out.WriteByte(' ')
	out.WriteString(http.StatusText(a.status))
	out.WriteString("\r\n")
	a.header.Write(out) // cannot fail: it goes to memory
	out.WriteString("Date: ")
	if second := now.Unix(); second != a.second {
		a.second, a.date = second, now.UTC().AppendFormat(a.date[:0], http.TimeFormat)
	}
	out.Write(a.date)
	if isLast {
		out.WriteString("\r\nConnection: close")
	}
	out.WriteString("\r\n\r\n")
	out.Write(a.body)
	return out.Bytes()
}
