package main

import (
	"bytes"
	"flag"
	"reflect"
	"testing"
	"time"
)

// What package flag prints is read back.
func TestParseHelp(t *testing.T) {
	var help bytes.Buffer
	fs := flag.NewFlagSet("testd", flag.ContinueOnError)
	fs.SetOutput(&help)
	fs.Bool("b", false, "a boolean of one letter")
	fs.Bool("deflate", true, "offer it")
	fs.Int("n", 0, "number of messages, 0 for no limit")
	fs.Duration("msg-timeout", time.Minute, "how long (at most)")
	fs.String("name", "a (b)", "the `file` of it\nin two lines")
	fs.String("work-dir", "", "where (default that directory)")
	help.WriteString("Usage of testd:\n")
	fs.PrintDefaults()
	help.WriteString("\nThe end\nof it.\n")

	flags, notation, err := parseHelp("testd", help.String())
	want := []helpFlag{
		{name: "b", usage: "a boolean of one letter"},
		{name: "deflate", usage: "offer it", def: "true"},
		{name: "msg-timeout", value: "duration", usage: "how long (at most)", def: "1m0s"},
		{name: "n", value: "int", usage: "number of messages, 0 for no limit"},
		{name: "name", value: "file", usage: "the file of it in two lines", def: `"a (b)"`},
		{name: "work-dir", value: "string", usage: "where", def: "that directory"},
	}
	if err != nil || !reflect.DeepEqual(flags, want) || notation != "The end\nof it." {
		t.Errorf("got %+v, %q, %v, want %+v", flags, notation, err, want)
	}
	for text, why := range map[string]string{
		"flag provided but not defined: -x\n": `begins with "flag provided but not defined: -x\n"`,
		"Usage of testd:\nx\n":                `what is the line "x"?`,
		"Usage of testd:\n  -x string\n":      "nothing is said of -x",
	} {
		if _, _, err := parseHelp("testd", text); err == nil || err.Error() != why {
			t.Errorf("%q: got %v, want %s", text, err, why)
		}
	}
}
