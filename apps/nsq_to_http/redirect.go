package main

import (
	"errors"
	"log"
	"net/http"
	"sync"
)

// maxRedirects is how many redirects a request follows, as is usual in Go.
const maxRedirects = 10

// redirects follows redirects, and says which of them lose messages: many a server
// answers 301 to POST because its address has changed. The request that follows is a
// GET without a body, and success.
type redirects struct {
	log    *log.Logger
	warned sync.Map // addresses
}

// check is for an http.Client.
func (r *redirects) check(next *http.Request, before []*http.Request) error {
	if len(before) >= maxRedirects {
		return errors.New("too many redirects")
	}
	first, status := before[0], next.Response.StatusCode
	if first.Method != http.MethodPost || status != http.StatusMovedPermanently && status != http.StatusFound {
		return nil // after 303, the server has the message
	}
	address := shown(first.URL.String())
	if _, known := r.warned.LoadOrStore(address, nil); !known {
		r.log.Printf("Warning: %s answers POST with status code %d, after which a GET without the message follows; it may be meant to be sent to %s", address, status, next.URL.Redacted())
	}
	return nil
}
