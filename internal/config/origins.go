package config

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// Mistake is what a check of the options found wrong with one of them, or with
// several that do not go together.
type Mistake struct {
	Flags []string // of the options, without dashes
	Text  string   // in the words of the command line
}

// Error is the text.
func (m *Mistake) Error() string { return m.Text }

// Origins knows where each option has its value from.
type Origins struct {
	path   string // of the file
	given  map[string]bool
	inFile map[string]setting // by flag
	unread bool               // there is a file, but it could not be read
}

// setting is how the file sets an option.
type setting struct {
	key   string
	line  int
	wrong bool // its value could not be read
}

func newOrigins(fs *flag.FlagSet, path string) *Origins {
	o := &Origins{path: path, given: make(map[string]bool), inFile: make(map[string]setting)}
	fs.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	return o
}

// Given says whether the command line has the flag.
func (o *Origins) Given(flag string) bool { return o.given[flag] }

// Explain says of each Mistake in err, which may join several, where the values
// come from. Mistakes that are about values which could not be read are left
// out: those were reported as such, and what took their place is nobody's.
func (o *Origins) Explain(err error) error {
	var explained []error
	for _, err := range split(err) {
		m, ok := errors.AsType[*Mistake](err)
		switch {
		case !ok:
			explained = append(explained, err)
		case !o.unknown(m):
			explained = append(explained, o.explain(m))
		}
	}
	return errors.Join(explained...)
}

func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (o *Origins) unknown(m *Mistake) bool {
	for _, name := range m.Flags {
		if !o.given[name] && (o.unread || o.inFile[name].wrong) {
			return true
		}
	}
	return false
}

func (o *Origins) explain(m *Mistake) error {
	var from []string
	for _, name := range m.Flags {
		s, inFile := o.inFile[name]
		switch {
		case o.given[name] && !strings.Contains(m.Text, "--"+name):
			from = append(from, "--"+name)
		case inFile && !o.given[name]:
			from = append(from, fmt.Sprintf("config file %s - line %d: %s", o.path, s.line, s.key))
		}
	}
	if from == nil {
		return m
	}
	return fmt.Errorf("%w (%s)", m, strings.Join(from, ", "))
}
