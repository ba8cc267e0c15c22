package config

import (
	"cmp"
	"strings"
)

// Option is what an options struct says of one option, for those who document it.
// But for Default it comes from the tags of the field.
type Option struct {
	Flag string // flag
	Key  string // cfg, or what follows from the flag

	Usage string // usage: what the help says
	More  string // more: whole sentences that the help has no room for

	// Section is the heading under which the option stands in documents. The tag is
	// at the first field of a section, and holds until the next.
	Section string

	// Words are values to choose from, with spaces between them in the tag; "file" or
	// "directory" alone means the path of one.
	Words []string

	// Example is a value to show where there is no default, or where it depends on
	// the machine.
	Example string

	// Change is the HTTP request that changes the option at run time.
	Change string

	Default any // the value of the field
}

// Describe returns the options of a struct, a pointer to which is given, in the
// order of its fields.
func Describe(opts any) []Option {
	var described []Option
	section := ""
	for _, f := range fieldsOf(opts) {
		section = cmp.Or(f.tag.Get("section"), section)
		described = append(described, Option{
			Flag: f.flag, Key: f.key,
			Usage: f.usage, More: f.tag.Get("more"),
			Section: section,
			Words:   strings.Fields(f.tag.Get("words")),
			Example: f.tag.Get("example"), Change: f.tag.Get("change"),
			Default: f.value.Interface(),
		})
	}
	return described
}
