package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/BurntSushi/toml"
)

// load reads a TOML file into values that have the types of the fields, so
// that go-options, which would end the program over a wrong type and turns
// integers into inverted booleans, has nothing left to convert.
func load(file File, fields []field, origins *Origins) (values map[string]any, warnings []string, err error) {
	fail := func(err error) error { return fmt.Errorf("failed to load config file %s - %w", file.Path, err) }
	entries, err := read(file.Path, fields)
	if err != nil {
		origins.unread = true
		return nil, nil, fail(err)
	}
	values = make(map[string]any)
	var errs []error
	for _, e := range entries {
		switch {
		case e.field == nil && file.Strict:
			errs = append(errs, fail(e.at("unknown %s %q%s", e.noun(), e.key, e.hint(fields))))
		case e.field == nil:
			warning := e.at("unknown %s %q is ignored%s", e.noun(), e.key, e.hint(fields))
			warnings = append(warnings, fmt.Sprintf("config file %s - %v", file.Path, warning))
		case e.err != nil:
			errs = append(errs, fail(e.at("failed parsing %s %s: %w", e.key, literal(e.raw), e.err)))
		default:
			values[e.key] = e.value
		}
		if e.field != nil {
			origins.inFile[e.field.flag] = setting{key: e.key, line: e.line, wrong: e.err != nil}
		}
	}
	return values, warnings, errors.Join(errs...)
}

// read returns the keys of the file in their order.
func read(path string, fields []field) ([]*entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys map[string]toml.Primitive
	meta, err := toml.Decode(string(text), &keys)
	if err != nil {
		return nil, err
	}
	var entries []*entry
	for key, primitive := range keys {
		e := &entry{key: key}
		if i := slices.IndexFunc(fields, func(f field) bool { return f.key == key }); i >= 0 {
			e.field = &fields[i]
		}
		if at, ok := errors.AsType[toml.ParseError](meta.PrimitiveDecode(primitive, e)); ok {
			e.line = at.Position.Line
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.key, b.key)) })
	return entries, nil
}

// entry is one key of the file.
type entry struct {
	key   string
	line  int    // 0 if that is not known
	field *field // nil for a key that means nothing
	raw   any    // as TOML has it
	value any    // of the field's type
	err   error  // why there is no value
}

// errLocate makes the TOML package tell the line, as it does for errors only.
var errLocate = errors.New("here")

// UnmarshalTOML takes the value and always fails, with errLocate.
func (e *entry) UnmarshalTOML(v any) error {
	e.raw = v
	if e.field != nil {
		e.value, e.err = convert(v, e.field.value)
	}
	return errLocate
}

// at is an error that begins with the line.
func (e *entry) at(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if e.line == 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", e.line, err)
}

func (e *entry) noun() string {
	switch e.raw.(type) {
	case map[string]any, []map[string]any:
		return "section"
	default:
		return "key"
	}
}

// hint helps those who wrote the flag's name where the key has another.
func (e *entry) hint(fields []field) string {
	for _, f := range fields {
		if keyOf(e.key) == keyOf(f.flag) || keyOf(e.key) == f.key {
			return ", did you mean " + strconv.Quote(f.key) + "?"
		}
	}
	return ""
}
