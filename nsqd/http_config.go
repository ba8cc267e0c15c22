package nsqd

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/julienschmidt/httprouter"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/logging"
)

var (
	errInvalidOption = badRequest("INVALID_OPTION")
	errInvalidValue  = badRequest("INVALID_VALUE")
)

// getConfig shows one option by its key in the config file: strings as text,
// anything else as JSON, and what changed at run time as it is now.
func (s *httpServer) getConfig(r *http.Request) (any, error) {
	return s.option(optionParam(r))
}

func (s *httpServer) option(key string) (any, error) {
	value, ok := config.Value(s.n.opts, key)
	if !ok {
		return nil, errInvalidOption
	}
	switch key {
	case "nsqlookupd_tcp_addresses":
		value = s.n.lookups.all()
	case "broadcast_address":
		value = s.n.broadcastAddress()
	case "durability":
		value = s.n.opts.Durability.String()
	case "log_format":
		value = s.n.opts.LogFormat.String()
	case "log_level":
		value = s.n.logLevel().Number()
	case "statsd_prefix":
		value = s.n.statsdPrefix()
	}
	switch v := value.(type) {
	case string:
		return httpapi.WithoutPasswords(v), nil
	case []string:
		shown := make([]string, 0, len(v))
		for _, text := range v {
			shown = append(shown, httpapi.WithoutPasswords(text))
		}
		return shown, nil
	case []float64:
		return append([]float64{}, v...), nil // not null
	default:
		return v, nil
	}
}

// putConfig changes one of the two options that may change while the daemon
// runs, until it stops. It answers as getConfig does.
func (s *httpServer) putConfig(r *http.Request) (any, error) {
	limit := s.n.opts.MaxMsgSize
	if r.ContentLength > limit {
		return nil, tooLarge("INVALID_VALUE")
	}
	body, err := readBody(r, limit)
	if len(body) == 0 && err == nil || int64(len(body)) > limit {
		return nil, tooLarge("INVALID_VALUE")
	}
	if err != nil {
		return nil, errCutBody
	}
	key := optionParam(r)
	switch key {
	case "nsqlookupd_tcp_addresses":
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

func optionParam(r *http.Request) string {
	return httprouter.ParamsFromContext(r.Context()).ByName("opt")
}

// setLookupds takes a JSON array of addresses. null is an empty one.
func (s *httpServer) setLookupds(body []byte) error {
	var addresses []string
	if err := json.Unmarshal(body, &addresses); err != nil {
		return errInvalidValue
	}
	if err := s.n.lookups.set(addresses); err != nil {
		return errInvalidValue
	}
	s.n.log.Info(fmt.Sprintf("CONFIG: nsqlookupd_tcp_addresses is now %q", addresses))
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
	s.n.log.Info("CONFIG: log_level is now " + logging.Level(level).String())
	return nil
}

// logLevel is the level that is in force.
func (n *NSQD) logLevel() logging.Level {
	if n.opts.LevelVar != nil {
		return logging.Level(n.opts.LevelVar.Level())
	}
	return n.opts.LogLevel
}
