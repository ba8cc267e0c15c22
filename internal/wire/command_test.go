package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// words returns the name and the parameters of a line that has no more of them
// than a Line keeps.
func words(l *Line) []string {
	w := []string{string(l.Name)}
	for i := range l.Params() {
		w = append(w, string(l.Param(i)))
	}
	return w
}

func TestParseLine(t *testing.T) {
	for _, tt := range []struct {
		rule, line string
		want       []string // name, then parameters
	}{
		{"a command alone", "NOP\n", []string{"NOP"}},
		{"parameters follow single spaces", "SUB topic channel\n", []string{"SUB", "topic", "channel"}},
		{"one CR before LF is removed", "NOP\r\n", []string{"NOP"}},
		{"only one CR is removed", "NOP\r\r\n", []string{"NOP\r"}},
		{"a CR after a parameter is removed", "PUB t\r\n", []string{"PUB", "t"}},
		{"a CR elsewhere stays", "PUB\r t\n", []string{"PUB\r", "t"}},
		{"only one LF is removed", "NOP\n\n", []string{"NOP\n"}},
		{"the reader may have cut off the LF", "RDY 1", []string{"RDY", "1"}},
		{"the reader may have cut off only the LF", "RDY 1\r", []string{"RDY", "1"}},
		{"two spaces hold an empty parameter", "PUB  t\n", []string{"PUB", "", "t"}},
		{"a trailing space makes an empty last one", "RDY \n", []string{"RDY", ""}},
		{"a trailing space before CR LF as well", "AUTH \r\n", []string{"AUTH", ""}},
		{"only spaces", "   \n", []string{"", "", "", ""}},
		{"a leading space makes the name empty", " NOP\n", []string{"", "NOP"}},
		{"the empty line", "\n", []string{""}},
		{"the empty line with CR", "\r\n", []string{""}},
		{"no line at all", "", []string{""}},
		{"a tab does not separate", "SUB\tt c\n", []string{"SUB\tt", "c"}},
		{"case is kept", "nop\n", []string{"nop"}},
		{"bytes are kept as they are", "PUB \xff\x00\"\n", []string{"PUB", "\xff\x00\""}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			l := ParseLine([]byte(tt.line))
			if got := words(&l); !slices.Equal(got, tt.want) {
				t.Errorf("ParseLine(%q) = %q, want %q", tt.line, got, tt.want)
			}
		})
	}
}

// White space around a line to nsqlookupd does not count, however much; what is
// within stays.
func TestParseFin(t *testing.T) {
	for _, tt := range []struct {
		rule, b string
		ok      bool
	}{
		{"what AppendFin writes", "FIN 18a376cace689000\n", true},
		{"what follows does not matter", "FIN 18a376cace689000\nFIN", true},
		{"cut", "FIN 18a376cace689000", false},
		{"nothing", "", false},
		{"CR", "FIN 18a376cace689000\r\n", false},
		{"another command", "REQ 18a376cace689000\n", false},
		{"lower case", "fin 18a376cace689000\n", false},
		{"an id that is not ours", "FIN 18A376CACE689000\n", false},
		{"a longer id", "FIN 18a376cace6890000\n", false},
	} {
		id, ok := ParseFin([]byte(tt.b))
		if ok != tt.ok || ok && id != 0x18a376cace689000 {
			t.Errorf("%s: ParseFin(%q) = %x, %v, want %v", tt.rule, tt.b, id, ok, tt.ok)
		}
	}
	if n := len(AppendFin(nil, testID)); n != FinLen {
		t.Errorf("FinLen is %d, a FIN has %d bytes", FinLen, n)
	}
}

func TestParseLineV1(t *testing.T) {
	for line, want := range map[string][]string{
		"PING\n":                           {"PING"},
		"PING\r\r\n":                       {"PING"},
		" \t\v\fPING \u0085\u00a0\u2003\n": {"PING"},
		"  REGISTER t c  \r\n":             {"REGISTER", "t", "c"},
		"REGISTER  t\n":                    {"REGISTER", "", "t"},
		"REGISTER t \tc\n":                 {"REGISTER", "t", "\tc"},
		"REGISTER \n":                      {"REGISTER"},
		" \n":                              {""},
		"\n":                               {""},
		"":                                 {""},
		"\xa0PING\n":                       {"\xa0PING"}, // no UTF-8, no space
	} {
		l := ParseLineV1([]byte(line))
		if got := words(&l); !slices.Equal(got, want) {
			t.Errorf("ParseLineV1(%q) = %q, want %q", line, got, want)
		}
	}
	for _, c := range commands {
		line, _, _ := bytes.Cut(c.bytes, []byte("\n"))
		l := ParseLineV1(line)
		if got := words(&l); c.want[len(c.want)-2:] != " \n" && !slices.Equal(got, c.words) {
			t.Errorf("%s: %q, want %q", c.rule, got, c.words)
		}
	}
}

// Commands ignore extra parameters, but AUTH must be able to count them.
func TestParseLineCountsWhatItDoesNotKeep(t *testing.T) {
	l := ParseLine([]byte("SUB t c x y z\n"))
	if l.Params() != 5 {
		t.Errorf("Params() = %d, want 5", l.Params())
	}
	if string(l.Param(0)) != "t" || string(l.Param(1)) != "c" || string(l.Param(2)) != "x" {
		t.Errorf("kept %q %q %q", l.Param(0), l.Param(1), l.Param(2))
	}
	if p := l.Param(3); p != nil {
		t.Errorf("Param(3) = %q, want nil", p)
	}
	long := ParseLine([]byte("NOP" + strings.Repeat(" ", MaxLineLen-4) + "\n"))
	if long.Params() != MaxLineLen-4 {
		t.Errorf("Params() = %d, want %d", long.Params(), MaxLineLen-4)
	}
}

// "RDY" and "RDY " mean different counts.
func TestParamTellsMissingFromEmpty(t *testing.T) {
	missing, empty := ParseLine([]byte("RDY\n")), ParseLine([]byte("RDY \n"))
	if p := missing.Param(0); p != nil || missing.Params() != 0 {
		t.Errorf("missing: %q of %d, want nil of 0", p, missing.Params())
	}
	if p := empty.Param(0); p == nil || len(p) != 0 || empty.Params() != 1 {
		t.Errorf("empty: %q of %d, want an empty one of 1", p, empty.Params())
	}
}

func TestParseNumber(t *testing.T) {
	for _, tt := range []struct {
		rule, in string
		want     int64
	}{
		{"empty means 0", "", 0},
		{"zero", "0", 0},
		{"one digit", "7", 7},
		{"all digits", "1234567890", 1234567890},
		{"leading zeros", "00000000000000000000000000000042", 42},
		{"largest int64", "9223372036854775807", math.MaxInt64},
		{"one less", "9223372036854775806", math.MaxInt64 - 1},
		{"one more saturates", "9223372036854775808", math.MaxInt64},
		{"ten more saturates", "9223372036854775817", math.MaxInt64},
		{"2^64 does not wrap to 0", "18446744073709551616", math.MaxInt64},
		{"2^64+1 does not wrap to 1", "18446744073709551617", math.MaxInt64},
		{"20 digits", "99999999999999999999", math.MaxInt64},
		{"20 digits that end in zeros", "10000000000000000000", math.MaxInt64},
		{"a line full", strings.Repeat("9", MaxLineLen), math.MaxInt64},
	} {
		if got, err := ParseNumber([]byte(tt.in)); got != tt.want || err != nil {
			t.Errorf("%s: ParseNumber(%.40q) = %d, %v; want %d", tt.rule, tt.in, got, err, tt.want)
		}
	}
}

func TestParseNumberRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"a minus sign":                     "-1",
		"a minus sign before 0":            "-0",
		"a plus sign":                      "+1",
		"a sign alone":                     "-",
		"a dot":                            "1.0",
		"an exponent":                      "1e3",
		"a letter":                         "1a",
		"hexadecimal":                      "0x10",
		"an underscore":                    "1_000",
		"a space":                          " 1",
		"a CR":                             "1\r",
		"the byte before '0'":              "1/",
		"the byte after '9'":               "1:",
		"a zero byte":                      "1\x00",
		"a digit that is not ASCII":        "\u0663",
		"a letter after too many digits":   "99999999999999999999x",
		"a letter before what would be 20": "x9999999999999999999",
	} {
		if got, err := ParseNumber([]byte(in)); err != ErrNumber || got != 0 {
			t.Errorf("%s: ParseNumber(%q) = %d, %v; want ErrNumber", name, in, got, err)
		}
	}
}

var testID = [MessageIDLen]byte([]byte("18a376cace689000"))

// commands holds every command a client sends, as the encoder writes it and as
// the server must read it: words of the line, then the body.
var commands = []struct {
	rule  string
	bytes []byte
	want  string
	words []string
	body  []byte // nil: the command has none
}{
	{
		"SUB", AppendSub(nil, "orders", "audit#ephemeral"),
		"SUB orders audit#ephemeral\n", []string{"SUB", "orders", "audit#ephemeral"}, nil,
	},
	{
		"RDY", AppendRdy(nil, 2500),
		"RDY 2500\n", []string{"RDY", "2500"}, nil,
	},
	{
		"RDY 0", AppendRdy(nil, 0),
		"RDY 0\n", []string{"RDY", "0"}, nil,
	},
	{
		"FIN", AppendFin(nil, testID),
		"FIN 18a376cace689000\n", []string{"FIN", "18a376cace689000"}, nil,
	},
	{
		"REQ", AppendReq(nil, testID, 90*time.Second),
		"REQ 18a376cace689000 90000\n", []string{"REQ", "18a376cace689000", "90000"}, nil,
	},
	{
		"REQ cuts the delay to milliseconds", AppendReq(nil, testID, 2*time.Millisecond-1),
		"REQ 18a376cace689000 1\n", []string{"REQ", "18a376cace689000", "1"}, nil,
	},
	{
		"REQ takes a negative delay as 0", AppendReq(nil, testID, -time.Hour),
		"REQ 18a376cace689000 0\n", []string{"REQ", "18a376cace689000", "0"}, nil,
	},
	{
		"TOUCH", AppendTouch(nil, testID),
		"TOUCH 18a376cace689000\n", []string{"TOUCH", "18a376cace689000"}, nil,
	},
	{
		"CLS", AppendCls(nil),
		"CLS\n", []string{"CLS"}, nil,
	},
	{
		"NOP", AppendNop(nil),
		"NOP\n", []string{"NOP"}, nil,
	},
	{
		"REGISTER of a topic", AppendRegister(nil, "orders", ""),
		"REGISTER orders\n", []string{"REGISTER", "orders"}, nil,
	},
	{
		"REGISTER of a channel", AppendRegister(nil, "orders", "audit#ephemeral"),
		"REGISTER orders audit#ephemeral\n", []string{"REGISTER", "orders", "audit#ephemeral"}, nil,
	},
	{
		"UNREGISTER of a topic", AppendUnregister(nil, "orders", ""),
		"UNREGISTER orders\n", []string{"UNREGISTER", "orders"}, nil,
	},
	{
		"UNREGISTER of a channel", AppendUnregister(nil, "orders", "audit"),
		"UNREGISTER orders audit\n", []string{"UNREGISTER", "orders", "audit"}, nil,
	},
	{
		"PING", AppendPing(nil),
		"PING\n", []string{"PING"}, nil,
	},
	{
		"IDENTIFY", AppendIdentify(nil, []byte(`{"client_id":"a"}`)),
		"IDENTIFY\n\x00\x00\x00\x11{\"client_id\":\"a\"}", []string{"IDENTIFY"}, []byte(`{"client_id":"a"}`),
	},
	{
		"AUTH with a string", AppendAuth(nil, "secret"),
		"AUTH\n\x00\x00\x00\x06secret", []string{"AUTH"}, []byte("secret"),
	},
	{
		"AUTH with bytes", AppendAuth(nil, []byte("secret")),
		"AUTH\n\x00\x00\x00\x06secret", []string{"AUTH"}, []byte("secret"),
	},
	{
		"PUB", AppendPub(nil, "orders", []byte("a\nb")),
		"PUB orders\n\x00\x00\x00\x03a\nb", []string{"PUB", "orders"}, []byte("a\nb"),
	},
	{
		"PUB of nothing is for the server to refuse", AppendPub(nil, "orders", nil),
		"PUB orders\n\x00\x00\x00\x00", []string{"PUB", "orders"}, []byte{},
	},
	{
		"DPUB", AppendDPub(nil, "orders", 1500*time.Millisecond, []byte("later")),
		"DPUB orders 1500\n\x00\x00\x00\x05later", []string{"DPUB", "orders", "1500"}, []byte("later"),
	},
	{
		"DPUB keeps a negative delay", AppendDPub(nil, "orders", -time.Second, []byte("x")),
		"DPUB orders -1000\n\x00\x00\x00\x01x", []string{"DPUB", "orders", "-1000"}, []byte("x"),
	},
	{
		"MPUB", AppendMPub(nil, "orders", [][]byte{[]byte("a"), []byte("bcd")}),
		"MPUB orders\n\x00\x00\x00\x10\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x03bcd",
		[]string{"MPUB", "orders"}, []byte("\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x03bcd"),
	},
	{
		"a command by its parts", AppendCommand(nil, []byte("PUB"), [][]byte{[]byte("orders")}, []byte("x")),
		"PUB orders\n\x00\x00\x00\x01x", []string{"PUB", "orders"}, []byte("x"),
	},
	{
		"by its parts, nil is no body", AppendCommand(nil, []byte("SUB"), [][]byte{[]byte("t"), []byte("c")}, nil),
		"SUB t c\n", []string{"SUB", "t", "c"}, nil,
	},
	{
		"by its parts, empty is a body", AppendCommand(nil, []byte("AUTH"), nil, []byte{}),
		"AUTH\n\x00\x00\x00\x00", []string{"AUTH"}, []byte{},
	},
	{
		"by its parts, an empty parameter", AppendCommand(nil, []byte("RDY"), [][]byte{{}}, nil),
		"RDY \n", []string{"RDY", ""}, nil,
	},
}

func TestCommandBytes(t *testing.T) {
	for _, c := range commands {
		if string(c.bytes) != c.want {
			t.Errorf("%s: %q, want %q", c.rule, c.bytes, c.want)
		}
	}
}

// The commands above, all in one stream, as the server takes it apart.
func TestCommandsRoundTrip(t *testing.T) {
	var stream []byte
	for _, c := range commands {
		stream = append(stream, c.bytes...)
	}
	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(wrap(bytes.NewReader(stream)))
			for _, c := range commands {
				raw, err := r.ReadSlice('\n')
				if err != nil {
					t.Fatalf("%s: %v", c.rule, err)
				}
				l := ParseLine(raw)
				if got := words(&l); !slices.Equal(got, c.words) {
					t.Fatalf("%s: line %q, want %q", c.rule, got, c.words)
				}
				if c.body == nil {
					continue
				}
				size, err := ReadSize(r)
				if err != nil || int(size) != len(c.body) {
					t.Fatalf("%s: body size %d, %v; want %d", c.rule, size, err, len(c.body))
				}
				body, err := ReadBody(r, nil, int(size))
				if err != nil || !bytes.Equal(body, c.body) {
					t.Fatalf("%s: body %q, %v; want %q", c.rule, body, err, c.body)
				}
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("left over: %q, %v", rest, err)
			}
		})
	}
}

// Numbers and ids a client writes are those the server reads.
func TestParametersRoundTrip(t *testing.T) {
	l := ParseLine(AppendReq(nil, [MessageIDLen]byte(AppendID(nil, math.MaxUint64)), math.MaxInt64))
	if id, ok := ParseID(l.Param(0)); id != math.MaxUint64 || !ok {
		t.Errorf("id %x, %v", id, ok)
	}
	if n, err := ParseNumber(l.Param(1)); n != math.MaxInt64/1_000_000 || err != nil {
		t.Errorf("delay %d ms, %v", n, err)
	}
	l = ParseLine(AppendRdy(nil, math.MaxInt32))
	if n, err := ParseNumber(l.Param(0)); n != math.MaxInt32 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	line, _, _ := bytes.Cut(AppendDPub(nil, "t", -time.Millisecond, []byte("x")), []byte("\n"))
	l = ParseLine(line)
	if _, err := ParseNumber(l.Param(1)); !errors.Is(err, ErrNumber) {
		t.Errorf("negative delay of DPUB: %v, want ErrNumber", err)
	}
}

// Name and parameters joined by spaces are the line, unless it has more than
// a Line keeps; nothing panics.
func FuzzParseLine(f *testing.F) {
	for _, line := range []string{
		"NOP\n", "SUB topic channel\r\n", "NOP\r\r\n", "PUB  t\n", "RDY \n", " \n", "\n", "\r", "", "\n\r\n",
		"REQ 18a376cace689000 90000\n", "SUB t c x y\n", "AUTH       \n", "SUB\tt c", "\xff \x00 \r \n",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := ParseLine(b)
		line := string(b)
		line = strings.TrimSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\r")
		if want := strings.Count(line, " "); l.Params() != want {
			t.Fatalf("%q has %d parameters, want %d", b, l.Params(), want)
		}
		var params [][]byte
		for i := 0; l.Param(i) != nil; i++ {
			params = append(params, l.Param(i))
		}
		if want := min(l.Params(), maxParams); len(params) != want {
			t.Fatalf("%q keeps %d parameters, want %d", b, len(params), want)
		}
		joined := string(AppendCommand(nil, l.Name, params, nil))
		if l.Params() <= maxParams {
			if joined != line+"\n" {
				t.Fatalf("%q parsed as %q and %q, which join to %q", b, l.Name, params, joined)
			}
		} else if kept := strings.TrimSuffix(joined, "\n") + " "; !strings.HasPrefix(line, kept) {
			t.Fatalf("%q does not start with what was kept, %q", b, kept)
		}
	})
}

// Against arbitrary precision: digits only, and cut off at the largest int64.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"", "0", "2500", "-1", "+1", "1.5", "9223372036854775807", "9223372036854775808", "18446744073709551617"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseNumber(b)
		digits := !slices.ContainsFunc(b, func(c byte) bool { return c < '0' || c > '9' })
		if digits != (err == nil) {
			t.Fatalf("ParseNumber(%q): %v", b, err)
		}
		if !digits {
			return
		}
		want := new(big.Int)
		want.SetString("0"+string(b), 10)
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got != want.Int64() {
			t.Fatalf("ParseNumber(%q) = %d, want %d", b, got, want)
		}
	})
}
