// Package httpapitest compares HTTP APIs that package httpapi serves with what
// they should answer, to the byte.
package httpapitest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Content types of answers.
const (
	Text = "text/plain; charset=utf-8"
	JSON = "application/json; charset=utf-8"

	html = "text/html; charset=utf-8"
)

// An Exchange is one request and its answer.
type Exchange struct {
	Method, Target, Body string
	Status               int
	Answer               string // the body; of an error the code, of a redirect the target, of 405 and OPTIONS what is allowed
}

// PathRules returns what holds for an endpoint, whatever it does: which methods
// it has, separated by spaces, and that other spellings of its path are
// redirected; those in another case only if folds is true.
func PathRules(path, methods string, folds bool) (rows []Exchange) {
	has := strings.Fields(methods)
	allow := strings.Join(slices.Sorted(slices.Values(append(has, "OPTIONS"))), ", ")
	add := func(method, target, body string, status int, answer string) {
		rows = append(rows, Exchange{method, target, body, status, answer})
	}
	add("OPTIONS", path, "", http.StatusOK, allow)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
		if !slices.Contains(has, method) {
			add(method, path+"?topic=t&channel=c&node=n:1&rate=1", "x", http.StatusMethodNotAllowed, allow)
			continue
		}
		moved := http.StatusTemporaryRedirect
		if method == "GET" {
			moved = http.StatusMovedPermanently
		}
		add(method, path+"/?topic=t", "x", moved, path+"?topic=t")
		add(method, "/."+path, "", moved, path)
		if folds {
			add(method, strings.ToUpper(path)+"?%zz", "", moved, path+"?%zz")
		}
	}
	return rows
}

// A Form is what the answers of a path look like.
type Form struct {
	Plain   bool // errors are text, too, and no header tells the version
	IsValue bool // it is JSON, not text
	Tagged  bool // it has an ETag
}

// Want returns the whole answer that x stands for, in the words of Transcript.
// An Answer that ends in "..." stands for every body that begins so, of which
// got is one.
func (x Exchange) Want(f Form, got string) string {
	body, header := x.Answer, http.Header{}
	switch {
	case x.Status/100 == 3:
		header.Set("Location", x.Answer)
		body, f.Plain = "", true
		if x.Method == "GET" { // a line for people
			body = fmt.Sprintf("<a href=\"%s\">Moved Permanently</a>.\n\n", x.Answer)
			header.Set("Content-Type", html)
		}
		if x.Method == "HEAD" { // its type, without its length
			header.Set("Content-Type", html)
			return Transcript(x.Status, header, "")
		}
	case x.Method == "OPTIONS" && x.Status == http.StatusOK:
		header.Set("Allow", x.Answer)
		body, f.Plain = "", true
	case x.Status == http.StatusMethodNotAllowed:
		header.Set("Allow", x.Answer)
		body, f.Plain = message("METHOD_NOT_ALLOWED"), false
	case x.Status >= 400 && !f.Plain:
		body = message(x.Answer)
	}
	if start, open := strings.CutSuffix(body, "..."); open && strings.HasPrefix(got, start) {
		body = got
	}
	if !f.Plain {
		header.Set("X-NSQ-Content-Type", "nsq; version=1.0")
	}
	if f.Tagged {
		header.Set("ETag", "")
	}
	if body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", Text)
		if !f.Plain && (f.IsValue || x.Status >= 400) {
			header.Set("Content-Type", JSON)
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if x.Method == "HEAD" {
		body = ""
	}
	return Transcript(x.Status, header, body)
}

func message(code string) string { return `{"message":"` + code + `"}` }

// Transcript returns a whole answer as text, except for what changes from one
// to the next: the date, whether the connection stays open, and the value of a
// tag.
func Transcript(status int, header http.Header, body string) string {
	text := strconv.Itoa(status)
	for _, key := range slices.Sorted(maps.Keys(header)) {
		switch key {
		case "Date", "Connection":
		case "Etag":
			text += "\nEtag"
		default:
			text += fmt.Sprintf("\n%s: %s", key, strings.Join(header[key], "|"))
		}
	}
	return text + "\n\n" + body
}
