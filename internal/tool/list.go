package tool

import (
	"errors"
	"flag"
	"slices"
	"strings"
)

// List is a flag that may be repeated. It holds the values in the order given,
// each of them once; none is split.
type List []string

// ListFlag adds a flag that may be repeated.
func ListFlag(fs *flag.FlagSet, name, usage string) *List {
	l := new(List)
	fs.Var(l, name, usage+" (may be given several times)")
	return l
}

// Set appends a value that is not in the list yet.
func (l *List) Set(value string) error {
	if !slices.Contains(*l, value) {
		*l = append(*l, value)
	}
	return nil
}

// String returns the values, separated by commas.
func (l *List) String() string { return strings.Join(*l, ",") }

// What a tool says about mistakes that any of them can meet with.
var (
	ErrNoTopic = errors.New("--topic required")
	ErrNoNSQD  = errors.New("--nsqd-tcp-address required")
)
