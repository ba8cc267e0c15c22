package logging

import "log/slog"

// Said is the value of an attribute that the message says already, in the words that
// people and scripts know: the text form leaves the attribute out, so that it is not said
// twice. As JSON it is a field like others.
func Said(v any) slog.LogValuer { return said{v} }

type said struct{ v any }

// LogValue implements slog.LogValuer.
func (s said) LogValue() slog.Value { return slog.AnyValue(s.v) }

// isSaid reports whether a value is one of Said.
func isSaid(v slog.Value) bool {
	if v.Kind() != slog.KindLogValuer {
		return false
	}
	_, ok := v.LogValuer().(said)
	return ok
}
