package interop_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
)

func TestFacts(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts func(interop.Offline) []interop.Fact
		known []difference
	}{
		{"constants", interop.Offline.Constants, nil},
		{"commands", interop.Offline.Commands, nil},
		{"nil bodies", interop.Offline.NilBodies, []difference{
			{`D?PUB t.*`, `"D?PUB t.*\\n" <nil>`, `"D?PUB t.*\\n\\x00\\x00\\x00\\x00" <nil>`, "nsqd takes what follows for the size if there is none"},
		}},
		{"answers", interop.Offline.Answers, nil},
		{"misuse", interop.Offline.Misuse, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := allow(c.known)
			d.compareFacts(t, c.facts(gonsq.Library{}), c.facts(ours.Library{}))
			d.end(t)
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{
		"", "a", ".", "-", "_", "A-Z.a_z-0.9", "a b", "a/b", "a$", "ä", "a\n", "\x00", "#ephemeral", "a#ephemeral", "a#ephemera",
		"a#ephemeral#ephemeral", "a#EPHEMERAL", "#", strings.Repeat("x", 64), strings.Repeat("x", 65),
		strings.Repeat("x", 54) + "#ephemeral", strings.Repeat("x", 55) + "#ephemeral",
	} {
		topic, channel := gonsq.Library{}.Names(name)
		if gotTopic, gotChannel := (ours.Library{}).Names(name); gotTopic != topic || gotChannel != channel {
			t.Errorf("%q: topic %v, channel %v, want %v, %v", name, gotTopic, gotChannel, topic, channel)
		}
	}
}

func TestFrames(t *testing.T) {
	const head = "\x00\x00\x00\x06\x00\x00\x00\x00OK"
	readers := map[string]func(s string) io.Reader{
		"at once":      func(s string) io.Reader { return strings.NewReader(s) },
		"byte by byte": func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) },
		"broken": func(s string) io.Reader {
			return io.MultiReader(strings.NewReader(s), iotest.ErrReader(io.ErrClosedPipe))
		},
	}
	d := allow(frameDifferences)
	for _, in := range []string{
		"", "\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x01", "\x00\x00\x00\x03abc", "\x00\x00\x00\x04\x00\x00\x00\x01", "\x00\x00\x00\x04abc",
		head, head + head, head[:9], "\x00\x00\x00\x0a\xff\xff\xff\xfferrors", "\xff\xff\xff\xff", "\xff\xff\xff\xfe\x00\x00\x00\x00", "\x80\x00\x00\x00abc",
		"\x00\x01\x00\x00half of 64 KiB",
	} {
		for how, reader := range readers {
			name := fmt.Sprintf("%q %s", in, how)
			d.compare(t, "read "+name, gonsq.Library{}.Read(reader(in)), ours.Library{}.Read(reader(in)))
			d.compare(t, "unpack "+name, gonsq.Library{}.ReadUnpacked(reader(in)), ours.Library{}.ReadUnpacked(reader(in)))
		}
		d.compare(t, fmt.Sprintf("%q", in), gonsq.Library{}.Unpack([]byte(in)), ours.Library{}.Unpack([]byte(in)))
	}
	d.compare(t, "unpack nil", gonsq.Library{}.Unpack(nil), ours.Library{}.Unpack(nil))
	d.end(t)
}

var frameDifferences = []difference{
	{`(?:read|unpack) "[^"]{16}" (?:at once|byte by byte)`, `.*"" EOF`, `.*"" unexpected EOF`, "an end after the size is not between frames"},
}

func TestMessages(t *testing.T) {
	id := "0123456789abcdef"
	for _, in := range []string{
		"", "x", strings.Repeat("x", 25), strings.Repeat("\x00", 26), strings.Repeat("\xff", 27),
		"\x11\x22\x33\x44\x55\x66\x77\x88\x00\x05" + id, "\x11\x22\x33\x44\x55\x66\x77\x88\xff\xff" + id + "the body",
		string(bytes.Repeat([]byte("long"), 1<<16)),
	} {
		if theirs, own := (gonsq.Library{}).Decode([]byte(in)), (ours.Library{}).Decode([]byte(in)); own != theirs {
			t.Errorf("%.40q\ngo-nsq: %.400s\nours:   %.400s", in, theirs, own)
		}
	}
}
