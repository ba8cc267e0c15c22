package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tokenRev stands for the number of a file among those of otherwise the same name.
const tokenRev = "<REV>"

// names says how the files of a topic are called.
type names struct {
	format   string // with nothing left to expand but <DATETIME> and <REV>
	ofAny    string // the same for any process, with <PID> as well
	datetime string

	second  int64 // since the epoch, to which current belongs
	current string
}

func newNames(o *options, topic string) (*names, error) {
	format := strings.NewReplacer("<TOPIC>", topic, "<HOST>", o.host).Replace(o.filenameFormat)
	if o.gzip && !strings.HasSuffix(format, ".gz") {
		format += ".gz"
	}
	if !o.counts() {
		format = strings.ReplaceAll(format, tokenRev, "")
	}
	n := &names{
		format:   strings.ReplaceAll(format, "<PID>", strconv.Itoa(os.Getpid())),
		ofAny:    format,
		datetime: o.datetimeFormat,
		second:   -1,
	}
	if name := n.at(time.Now()); !filepath.IsLocal(name) {
		return nil, fmt.Errorf("file name %q leads out of the directory", name)
	}
	return n, nil
}

// at returns the name of a file at a time, with <REV> as it is.
func (n *names) at(now time.Time) string {
	if second := now.Unix(); second != n.second {
		n.second = second
		n.current = strings.ReplaceAll(n.format, "<DATETIME>", strftime(n.datetime, now.Local()))
	}
	return n.current
}

// pattern matches what at and withRev return at any time and for any process, with
// slashes.
func (n *names) pattern() *regexp.Regexp { return namePattern(n.ofAny) }

// namePattern matches the names of a format.
func namePattern(format string) *regexp.Regexp {
	tokens := strings.NewReplacer(tokenRev, `-\d{6,}`, "<DATETIME>", `.*`, "<PID>", `\d+`)
	return regexp.MustCompile("^" + tokens.Replace(regexp.QuoteMeta(filepath.ToSlash(format))) + "$")
}

// withRev returns a name with its number.
func withRev(name string, rev int) string {
	return strings.ReplaceAll(name, tokenRev, fmt.Sprintf("-%06d", rev))
}

// expandHost returns what <HOST> stands for.
func expandHost(identifier, hostname string) string {
	short, _, _ := strings.Cut(hostname, ".")
	if identifier == "" {
		return short
	}
	return strings.NewReplacer("<SHORT_HOST>", short, "<HOSTNAME>", hostname).Replace(identifier)
}

// needsHostname reports whether the name of the host is part of file names.
func (o *options) needsHostname() bool {
	return strings.Contains(o.filenameFormat, "<HOST>") &&
		(o.hostIdentifier == "" || strings.Contains(o.hostIdentifier, "<SHORT_HOST>") || strings.Contains(o.hostIdentifier, "<HOSTNAME>"))
}
