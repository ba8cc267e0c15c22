package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	const unchanged = "the body as it is"
	var (
		none    = selection{}
		field   = selection{field: "f"}
		text    = selection{field: "f", value: "abc"}
		ten     = selection{field: "f", value: "10"}
		big     = selection{field: "f", value: "12345678901234567890"}
		some    = selection{fields: []string{"b", "a"}}
		both    = selection{field: "f", value: "1", fields: []string{"a"}}
		missing = errFieldMissing
	)
	for _, c := range []struct {
		name    string
		s       selection
		body    string
		verdict verdict
		want    string
		err     error
	}{
		{"no JSON is asked for", none, "anything", pass, unchanged, nil},

		{"not JSON", field, "anything", reject, "", nil},
		{"nothing", field, " ", reject, "", nil},
		{"cut off", field, `{"f":1`, reject, "", nil},
		{"an array", field, `[{"f":1}]`, reject, "", nil},
		{"null", field, `null`, reject, "", nil},
		{"a string", some, `"{}"`, reject, "", nil},
		{"two objects", field, `{"f":1}{"f":1}`, reject, "", nil},
		{"an error in what is not looked at", some, `{"a":1,"x":[1,]}`, reject, "", nil},
		{"too deep", field, `{"f":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, reject, "", nil},

		{"the field is there", field, ` {"x":1, "f" : 2}` + "\n", pass, unchanged, nil},
		{"the field is null", field, `{"f":null}`, pass, unchanged, nil},
		{"the field is not there", field, `{"F":1}`, drop, "", nil},
		{"the field is further in", field, `{"x":{"f":1}}`, drop, "", nil},

		{"the value", text, `{"f":"abc"}`, pass, unchanged, nil},
		{"the value, escaped", text, `{"f":"\u0061bc"}`, pass, unchanged, nil},
		{"another value", text, `{"f":"abcd"}`, drop, "", nil},
		{"the last of two values counts", text, `{"f":1,"f":"abc"}`, pass, unchanged, nil},
		{"no value", text, `{"x":"abc"}`, drop, "", missing},
		{"a number where text is wanted", text, `{"f":10}`, drop, "", nil},
		{"true", selection{field: "f", value: "true"}, `{"f":true}`, drop, "", nil},
		{"null is not text", selection{field: "f", value: "null"}, `{"f":null}`, drop, "", nil},
		{"an object", text, `{"f":{"f":"abc"}}`, drop, "", nil},
		{"an array of it", text, `{"f":["abc"]}`, drop, "", nil},

		{"the number", ten, `{"f":10}`, pass, unchanged, nil},
		{"the number with a fraction", ten, `{"f":10.0}`, pass, unchanged, nil},
		{"the number with an exponent", ten, `{"f":1e1}`, pass, unchanged, nil},
		{"the number as text", ten, `{"f":"10"}`, pass, unchanged, nil},
		{"another text for the number", ten, `{"f":"10.0"}`, drop, "", nil},
		{"another number", ten, `{"f":11}`, drop, "", nil},
		{"a big number", big, `{"f":12345678901234567890}`, pass, unchanged, nil},
		{"a number close to it", big, `{"f":12345678901234567891}`, drop, "", nil},

		{"some fields", some, `{"c":3, "b":2, "a":1}`, pass, `{"a":1,"b":2}`, nil},
		{"a field that is not there", some, `{"c":3,"a":1}`, pass, `{"a":1}`, nil},
		{"none of them", some, `{"c":3}`, pass, `{}`, nil},
		{"a field of a field", some, `{"x":{"a":1}}`, pass, `{}`, nil},
		{"numbers", some, `{"a":[1e3,2.0,{"x":2.50,"y":12345678901234567890}],"b":1.0e-7}`, pass, `{"a":[1000,2,{"x":2.5,"y":12345678901234567890}],"b":1e-7}`, nil},
		{"HTML", some, `{"a":"<b>&</b>","b":"ü\u2028"}`, pass, `{"a":"\u003cb\u003e\u0026\u003c/b\u003e","b":"ü\u2028"}`, nil},
		{"keys are sorted at all depths", some, `{"a":{"z":1,"y":{"b":true,"a":null}}}`, pass, `{"a":{"y":{"a":null,"b":true},"z":1}}`, nil},
		{"the last of two counts", some, `{"a":{"x":1},"a":{"y":2}}`, pass, `{"a":{"y":2}}`, nil},
		{"space goes", some, "\t{ \"a\" :\n [ 1 , 2 ] }", pass, `{"a":[1,2]}`, nil},

		{"filtered and cut", both, `{"f":1,"a":2,"b":3}`, pass, `{"a":2}`, nil},
		{"filtered out", both, `{"f":2,"a":2}`, drop, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == unchanged {
				c.want = c.body
			}
			got, v, err := c.s.apply([]byte(c.body))
			if v != c.verdict || string(got) != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("verdict %d, %q, %v, want %d, %q, %v", v, got, err, c.verdict, c.want, c.err)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	for body, want := range map[string]string{
		"not\njson":              `"not\njson"`,
		strings.Repeat("x", 200): `"` + strings.Repeat("x", 200) + `"`,
		strings.Repeat("x", 201): `"` + strings.Repeat("x", 200) + `"... (201 bytes)`,
	} {
		if got := quoted([]byte(body)); got != want {
			t.Errorf("%q is shown as %s, want %s", body, got, want)
		}
	}
}

// Whatever passes decodes to the same object restricted to the fields.
func FuzzSelection(f *testing.F) {
	for _, body := range []string{`{"a":1e3,"b":"<x>","c":[2.0,{"d":-0.0}]}`, `{}`, `null`, `{"a":{"a":12345678901234567890}}`, `{"a":"\ud800\u0000","a":null}`, "{\"\xff\":1}"} {
		f.Add([]byte(body), "a", "c", "1000")
	}
	f.Fuzz(func(t *testing.T, body []byte, field, other, value string) {
		s := selection{fields: []string{field, other}}
		got, v, err := s.apply(body)
		var object map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		valid := json.Valid(body) && d.Decode(&object) == nil && object != nil
		if err != nil || valid != (v == pass) {
			t.Fatalf("%q: verdict %d, %v; it is an object: %v", body, v, err, valid)
		}
		for name := range object {
			if name != field && name != other {
				delete(object, name)
			}
		}
		if v == pass && !reflect.DeepEqual(exact(t, got), shortenNumbers(any(object))) {
			t.Fatalf("%q became %q", body, got)
		}
		if again, _, err := s.apply(got); v == pass && (err != nil || !bytes.Equal(again, got)) {
			t.Fatalf("%q became %q the second time, %v", got, again, err)
		}

		filter := selection{field: field, value: value}
		if got, v, _ := filter.apply(body); v == pass && !bytes.Equal(got, body) {
			t.Fatalf("%q became %q without fields to choose", body, got)
		}
	})
}

// exact decodes JSON with the text of its numbers.
func exact(t *testing.T, b []byte) any {
	t.Helper()
	v, err := decode(b)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return v
}

func BenchmarkSelection(b *testing.B) {
	body := []byte(`{"id":12345678901234567890,"name":"somebody","tags":["a","b"],"price":12.50,"address":{"street":"<unknown>","number":7.0}}`)
	for name, s := range map[string]selection{
		"field":  {field: "name"},
		"value":  {field: "price", value: "12.5"},
		"fields": {fields: []string{"id", "address"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, v, err := s.apply(body); v != pass || err != nil {
					b.Fatal(v, err)
				}
			}
		})
	}
}
