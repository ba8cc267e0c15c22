package nsqd

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/httpapi"
)

// maxHTTPSessions is how many secrets and addresses from which they came the
// answers of auth servers are kept for; for others they are asked each time.
const maxHTTPSessions = 1024

// httpAuth decides who may publish over HTTP where --auth-required is set. It
// is safe for concurrent use.
type httpAuth struct {
	env      *env
	sessions *lru.Cache[httpClient, *auth.Session]
}

// An httpClient is what auth servers are told of a client, with a hash of the
// secret in place of the secret.
type httpClient struct {
	secret     [sha256.Size]byte
	commonName string
	remoteIP   string
	tls        bool
}

// newHTTPAuth returns nil where publishing needs no secret.
func newHTTPAuth(e *env) *httpAuth {
	if !e.opts.AuthRequired {
		return nil
	}
	sessions, err := lru.New[httpClient, *auth.Session](maxHTTPSessions)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &httpAuth{env: e, sessions: sessions}
}

// mayPublish refuses a request that may not publish. It does not touch the
// body.
func (a *httpAuth) mayPublish(r *http.Request) error {
	if a == nil {
		return nil
	}
	secret := bearer(r)
	if secret == "" {
		return httpapi.Error{Status: http.StatusUnauthorized, Code: "AUTH_REQUIRED", Challenge: "Bearer"}
	}
	_, topic, err := newTopicParam(r)
	if err != nil {
		return err
	}
	request := auth.Request{Secret: secret, RemoteIP: remoteIP(r.RemoteAddr)}
	if r.TLS != nil {
		request.TLS = true
		request.CommonName = commonName(r.TLS)
	}
	answer, err := a.answer(r.Context(), request)
	switch {
	case errors.Is(err, auth.ErrRefused) || err == nil && !answer.Allows(auth.Publish, []byte(topic), nil):
		return httpapi.Error{Status: http.StatusForbidden, Code: "UNAUTHORIZED"}
	case errors.Is(err, auth.ErrClosed):
		return httpapi.Exiting
	case err != nil && r.Context().Err() != nil: // nobody is there to be told
		return errCutBody
	case err != nil:
		return httpapi.Error{Status: http.StatusServiceUnavailable, Code: "AUTH_FAILED", Err: err}
	}
	return nil
}

// answer returns what auth servers say of a client, until it expires the same
// for all requests.
func (a *httpAuth) answer(ctx context.Context, r auth.Request) (*auth.Answer, error) {
	key := httpClient{sha256.Sum256([]byte(r.Secret)), r.CommonName, r.RemoteIP, r.TLS}
	session, ok := a.sessions.Get(key)
	if !ok {
		session = a.env.auth.Session()
		if first, found, _ := a.sessions.PeekOrAdd(key, session); found {
			session = first
		}
	}
	if answer := session.Valid(); answer != nil {
		return answer, nil
	}
	return session.Renew(ctx, r)
}

// bearer returns the secret that a request carries, "" without one.
func bearer(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}
