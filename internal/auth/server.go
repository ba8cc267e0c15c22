package auth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// A server is one auth server.
type server struct {
	url     *url.URL
	name    string // for errors and logs: the URL without user and query
	failing atomic.Bool
}

func newServer(u *url.URL) *server {
	name := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return &server{url: u, name: name.String()}
}

// noteHealth logs when the server begins to fail and when it answers again:
// two lines, however many clients ask meanwhile. A refusal is an answer.
func (s *server) noteHealth(log *slog.Logger, err error) {
	failing := err != nil && !errors.Is(err, ErrRefused)
	if s.failing.Swap(failing) == failing {
		return
	}
	if failing {
		log.Warn("AUTH: a server fails", "error", err)
	} else {
		log.Info("AUTH: a server answers again", "server", s.name)
	}
}

// A serverError is why one server granted nothing. Its text has nothing that
// the server said, which may repeat the secret, and nothing of the URL that was
// asked, which may contain it.
type serverError struct {
	server  string
	reason  string
	refused bool
}

func (e *serverError) Error() string { return e.server + ": " + e.reason }

// Is makes a refusal known as ErrRefused.
func (e *serverError) Is(target error) bool { return e.refused && target == ErrRefused }

// A plainError is an error that may be shown as it is.
type plainError string

func (e plainError) Error() string { return string(e) }

func plainErrorf(format string, args ...any) error { return plainError(fmt.Sprintf(format, args...)) }

// reason returns the text of those errors that may be shown; of others, which
// are about what the server sent, only that.
func reason(err error) string {
	if e, ok := errors.AsType[plainError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "no answer in time"
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "answer is not proper HTTP"
}

// A failure is why none of the servers granted anything, one error for each.
type failure []error

func (f failure) Error() string {
	reasons := make([]string, len(f))
	for i, err := range f {
		reasons[i] = err.Error()
	}
	return strings.Join(reasons, "; ")
}

// Unwrap returns the error of each server.
func (f failure) Unwrap() []error { return f }
