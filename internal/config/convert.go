package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var (
	errInt      = errors.New("must be an integer or a string of digits")
	errBool     = errors.New("must be true or false")
	errString   = errors.New("must be a string")
	errDuration = errors.New(`must be a duration like "5s" or an integer of milliseconds`)
	errStrings  = errors.New("must be an array of strings or one string with commas")
	errFloats   = errors.New("must be an array of numbers or one string with commas")
)

// convert turns a TOML value into a value of the field's type.
func convert(v any, field reflect.Value) (any, error) {
	switch field.Interface().(type) {
	case bool:
		return toBool(v)
	case int:
		n, err := toInt(v, strconv.IntSize)
		return int(n), err
	case int64:
		return toInt(v, 64)
	case string:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, errString
	case time.Duration:
		return toDuration(v)
	case []string:
		return toStrings(v)
	case []float64:
		return toFloats(v)
	default:
		return toWord(v, field)
	}
}

func toBool(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return false, errBool
}

func toInt(v any, bits int) (int64, error) {
	var digits string
	switch v := v.(type) {
	case int64:
		digits = strconv.FormatInt(v, 10)
	case string:
		digits = v
	default:
		return 0, errInt
	}
	n, err := strconv.ParseInt(digits, 10, bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("does not fit into %d bits", bits)
	}
	if err != nil {
		return 0, errInt
	}
	return n, nil
}

func toDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return d, nil
		}
	case int64:
		const limit = math.MaxInt64 / int64(time.Millisecond)
		if -limit <= v && v <= limit {
			return time.Duration(v) * time.Millisecond, nil
		}
	}
	return 0, errDuration
}

func toStrings(v any) ([]string, error) {
	var list []string
	switch v := v.(type) {
	case string:
		for word := range strings.SplitSeq(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
		return list, nil
	case []any:
		for _, element := range v {
			word, ok := element.(string)
			if !ok {
				return nil, errStrings
			}
			list = append(list, word)
		}
		return list, nil
	default:
		return nil, errStrings
	}
}

func toFloats(v any) ([]float64, error) {
	switch v := v.(type) {
	case string:
		if strings.TrimSpace(v) == "" {
			return []float64(nil), nil
		}
		return parseFloats(v)
	case []any:
		var list []float64
		for _, element := range v {
			switch f := element.(type) {
			case float64:
				list = append(list, f)
			case int64:
				list = append(list, float64(f))
			default:
				return nil, errFloats
			}
		}
		return list, nil
	default:
		return nil, errFloats
	}
}

// toWord takes the words that the flag takes, and a boolean where the flag
// could stand alone.
func toWord(v any, field reflect.Value) (any, error) {
	word := newWord(field)
	s, ok := v.(string)
	if b, isTOMLBool := v.(bool); isTOMLBool && isBool(word) {
		s, ok = strconv.FormatBool(b), true
	}
	if !ok {
		return nil, errString
	}
	if err := word.Set(s); err != nil {
		return nil, err
	}
	return wordFlag{word}.Get(), nil
}

// maxLiteral is how much of a value an error text shows.
const maxLiteral = 100

// literal shows a value in an error text: strings bare where that is clear.
func literal(v any) string {
	text := fmt.Sprint(v)
	if len(text) > maxLiteral {
		return strconv.Quote(strings.ToValidUTF8(text[:maxLiteral], "")) + "..."
	}
	hidden := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if _, ok := v.(string); ok && (text == "" || strings.ContainsFunc(text, hidden)) {
		return strconv.Quote(text)
	}
	return text
}
