package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// selection says which messages are passed on, and what of them: the flags about
// JSON. Its methods may be called from any number of goroutines.
type selection struct {
	field  string   // that a message must have; "" for no matter
	value  string   // of that field; "" for no matter
	fields []string // that are passed on; none for the body as it is
}

// active reports whether messages have to be JSON at all.
func (s *selection) active() bool { return s.field != "" || len(s.fields) > 0 }

// verdict is what becomes of a message.
type verdict int

const (
	pass   verdict = iota
	drop           // it is not one of those to be passed on
	reject         // it is no JSON object
)

// errFieldMissing says that a field has to be compared, and is not there.
var errFieldMissing = errors.New("the field of --require-json-field is missing")

// apply decides about a message, and returns what is to be published of one that
// is passed on. With an error it cannot decide.
func (s *selection) apply(body []byte) ([]byte, verdict, error) {
	if !s.active() {
		return body, pass, nil
	}
	object, ok := parseObject(body)
	if !ok {
		return nil, reject, nil
	}
	if wanted, err := s.wants(object); err != nil || !wanted {
		return nil, drop, err
	}
	if len(s.fields) == 0 {
		return body, pass, nil
	}
	projected, err := s.project(object)
	return projected, pass, err
}

// parseObject returns the fields of a JSON object, and false for anything else.
func parseObject(body []byte) (map[string]json.RawMessage, bool) {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, false // null would be taken for an object
	}
	var object map[string]json.RawMessage
	return object, json.Unmarshal(body, &object) == nil
}

// wants reports whether the object is one to be passed on.
func (s *selection) wants(object map[string]json.RawMessage) (bool, error) {
	if s.field == "" {
		return true, nil
	}
	raw, ok := object[s.field]
	switch {
	case s.value == "":
		return ok, nil
	case !ok:
		return false, fmt.Errorf("%w: %q", errFieldMissing, s.field)
	}
	value, err := decode(raw)
	if err != nil {
		return false, err
	}
	switch value := value.(type) {
	case string:
		return value == s.value, nil
	case json.Number:
		return sameNumber(string(value), s.value), nil
	}
	return false, nil
}

// sameNumber reports whether a number of JSON and a text from the command line
// are the same number.
func sameNumber(a, b string) bool {
	x, okX := parseNumber(a)
	y, okY := parseNumber(b)
	return okX && okY && x.equal(y)
}

// project returns the fields to be passed on that the object has, as compact
// JSON, sorted.
func (s *selection) project(object map[string]json.RawMessage) ([]byte, error) {
	projected := make(map[string]any, len(s.fields))
	for _, field := range s.fields {
		raw, ok := object[field]
		if !ok {
			continue
		}
		value, err := decode(raw)
		if err != nil {
			return nil, err
		}
		projected[field] = shortenNumbers(value)
	}
	return json.Marshal(projected)
}

// decode reads a value without loss: numbers stay text.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	err := d.Decode(&value)
	return value, err
}

// shortenNumbers shortens every number in a value, which it changes.
func shortenNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		return json.Number(shortened(string(value)))
	case []any:
		for i, v := range value {
			value[i] = shortenNumbers(v)
		}
	case map[string]any:
		for k, v := range value {
			value[k] = shortenNumbers(v)
		}
	}
	return value
}

// mostQuoted is how much of a body that is no JSON is shown in the log.
const mostQuoted = 200

// quoted returns the beginning of a body for the log.
func quoted(body []byte) string {
	if len(body) <= mostQuoted {
		return strconv.Quote(string(body))
	}
	return fmt.Sprintf("%q... (%d bytes)", body[:mostQuoted], len(body))
}
