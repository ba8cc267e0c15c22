package nsq_test

import (
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// mayDoAll is the answer of an auth server that allows everything.
const mayDoAll = `{"ttl":60,"identity":"bob","identity_url":"http://bob","authorizations":[{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}`

func TestAuthorization(t *testing.T) {
	const refused, nothing = "a secret nobody knows", "one that allows nothing"
	server := authtest.Start(t)
	server.Answer("s3cret", http.StatusOK, mayDoAll)
	server.Answer(nothing, http.StatusOK, `{"ttl":60,"authorizations":[]}`)
	opts := nsqtest.Options(t)
	opts.AuthHTTPAddresses = []string{server.URL}
	d := nsqtest.Start(t, opts)
	open := nsqtest.Start(t, nil)
	for _, tt := range []struct {
		name, secret, addr, want string
	}{
		{"no secret", "", d.TCPAddr(), "Auth Required"},
		{"a wrong secret", refused, d.TCPAddr(), "Error authenticating E_AUTH_FAILED AUTH failed"},
		{"a secret without rights", nothing, d.TCPAddr(), "Error authenticating E_UNAUTHORIZED AUTH no authorizations found"},
		{"the right secret", "s3cret", d.TCPAddr(), ""},
		{"a secret nobody asks for", refused, open.TCPAddr(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := nsq.NewConfig()
			cfg.AuthSecret = tt.secret
			p, err := nsq.NewProducer(tt.addr, cfg)
			must(t, err)
			p.SetLogger(testLog{t}, nsq.LogLevelInfo)
			defer p.Stop()
			r, err := nsq.NewConsumer("auth", "ch", cfg)
			must(t, err)
			r.SetLogger(testLog{t}, nsq.LogLevelInfo)
			bodies := make(chan string, 1)
			r.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error { bodies <- string(m.Body); return nil }))
			defer func() { r.Stop(); <-r.StopChan }()

			if tt.want != "" {
				if err := p.Publish("auth", []byte("x")); err == nil || err.Error() != tt.want {
					t.Errorf("Publish: %v, want %s", err, tt.want)
				}
				if err := r.ConnectToNSQD(tt.addr); err == nil || err.Error() != tt.want {
					t.Errorf("ConnectToNSQD: %v, want %s", err, tt.want)
				}
				return
			}
			must(t, r.ConnectToNSQD(tt.addr))
			must(t, p.Publish("auth", []byte(tt.name)))
			if got := <-bodies; got != tt.name {
				t.Errorf("got %q", got)
			}
		})
	}
}
