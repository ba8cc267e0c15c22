package nsqadmin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/logging"
)

// maxConfigBody is the size of the largest value.
const maxConfigBody = 1 << 20

var (
	errInvalidOption = badRequest("INVALID_OPTION")
	errInvalidValue  = badRequest("INVALID_VALUE")
)

// getConfig shows one option by its key in the config file: strings as text,
// anything else as JSON, and what changed at run time as it is now.
func (s *httpServer) getConfig(r *http.Request) (any, error) {
	return s.option(pathVariable(r, "opt"))
}

func (s *httpServer) option(key string) (any, error) {
	value, ok := config.Value(s.n.opts, key)
	if !ok {
		return nil, errInvalidOption
	}
	switch key {
	case "nsqlookupd_http_addresses":
		value = s.n.lookupds.all()
	case "log_format":
		value = s.n.opts.LogFormat.String()
	case "log_level":
		value = s.n.logLevel().Number()
	}
	switch v := value.(type) {
	case string:
		return httpapi.WithoutPasswords(v), nil
	case []string:
		return append([]string{}, v...), nil // not null
	default:
		return v, nil
	}
}

// putConfig changes one of the two options that may change while nsqadmin runs,
// until it stops. It answers as getConfig does.
func (s *httpServer) putConfig(r *http.Request) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxConfigBody+1))
	switch {
	case err == nil && len(body) == 0, len(body) > maxConfigBody:
		return nil, httpapi.Error{Status: http.StatusRequestEntityTooLarge, Code: "INVALID_VALUE"}
	case err != nil:
		return nil, errInvalidValue
	}
	key := pathVariable(r, "opt")
	switch key {
	case "nsqlookupd_http_addresses":
		err = s.setLookupds(body)
	case "log_level":
		err = s.setLogLevel(string(body))
	default:
		err = errInvalidOption
	}
	if err != nil {
		return nil, err
	}
	return s.option(key)
}

// setLookupds takes a JSON array of addresses. null is an empty one.
func (s *httpServer) setLookupds(body []byte) error {
	var list []string
	if err := json.Unmarshal(body, &list); err != nil {
		return errInvalidValue
	}
	if err := s.n.lookupds.set(list); err != nil {
		return errInvalidValue
	}
	s.n.poller.Stir()
	s.log.Info(fmt.Sprintf("CONFIG: nsqlookupd_http_addresses is now %q", s.n.lookupds.all()))
	return nil
}

// setLogLevel takes one of the five words.
func (s *httpServer) setLogLevel(word string) error {
	if s.n.opts.LevelVar == nil {
		return errInvalidOption
	}
	level, err := logging.ParseLevel(word)
	if err != nil {
		return errInvalidValue
	}
	s.n.opts.LevelVar.Set(level)
	s.log.Info("CONFIG: log_level is now " + logging.Level(level).String())
	return nil
}

// logLevel is the level that is in force.
func (n *NSQAdmin) logLevel() logging.Level {
	if n.opts.LevelVar != nil {
		return logging.Level(n.opts.LevelVar.Level())
	}
	return n.opts.LogLevel
}
