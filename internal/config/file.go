package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/BurntSushi/toml"
)

// load reads a TOML file into values that have the types of the fields, so
// that go-options, which would end the program over a wrong type and turns
// integers into inverted booleans, has nothing left to convert.
func load(path string, fields []field) (values map[string]any, warnings []string, err error) {
	fail := func(err error) error { return fmt.Errorf("failed to load config file %s - %w", path, err) }
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fail(err)
	}
	var keys map[string]toml.Primitive
	meta, err := toml.Decode(string(text), &keys)
	if err != nil {
		return nil, nil, fail(err)
	}

	values = make(map[string]any)
	var unknown, wrong []problem
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		e := entry{key: key}
		if i := slices.IndexFunc(fields, func(f field) bool { return f.key == key }); i >= 0 {
			e.field = &fields[i]
		}
		switch err := meta.PrimitiveDecode(keys[key], &e); {
		case err == nil:
			values[key] = e.value
		case e.field == nil:
			unknown = append(unknown, at(err, e.hint(fields)))
		default:
			wrong = append(wrong, at(err, ""))
		}
	}
	var errs []error
	for _, p := range inOrder(wrong) {
		errs = append(errs, fail(p))
	}
	for _, p := range inOrder(unknown) {
		warnings = append(warnings, fmt.Sprintf("config file %s - %s", path, p))
	}
	return values, warnings, errors.Join(errs...)
}

// entry is one key of the file while it is decoded. It fails instead of
// returning what it found, because only then does the TOML package tell where.
type entry struct {
	key   string
	field *field // nil for a key that means nothing
	value any
}

func (e *entry) UnmarshalTOML(v any) error {
	if e.field == nil {
		return fmt.Errorf("unknown key %q is ignored", e.key)
	}
	var err error
	if e.value, err = convert(v, e.field.value); err != nil {
		return fmt.Errorf("failed parsing %s %s: %w", e.key, literal(v), err)
	}
	return nil
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

// problem is what is wrong with one line, 0 if that is not known.
type problem struct {
	line int
	text string
}

func at(err error, more string) problem {
	if p, ok := errors.AsType[toml.ParseError](err); ok {
		return problem{p.Position.Line, p.Message + more}
	}
	return problem{0, err.Error() + more}
}

func (p problem) Error() string {
	if p.line == 0 {
		return p.text
	}
	return fmt.Sprintf("line %d: %s", p.line, p.text)
}

func inOrder(problems []problem) []problem {
	slices.SortStableFunc(problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	return problems
}
