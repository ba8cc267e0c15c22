package nsqd_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// smallLimits is a broker that takes messages of 10 bytes and bodies of 40.
func smallLimits(t *testing.T) (*nsqtest.NSQD, *api) {
	opts := nsqtest.Options(t)
	opts.MaxMsgSize = 10
	opts.MaxBodySize = 40
	n := nsqtest.Start(t, opts)
	return n, newAPI(t, n)
}

func TestHTTPPublishLimits(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	binary := func(bodies ...string) string { return string(wire.AppendBatch(nil, byteSlices(bodies))) }
	const tooBig, bodyTooBig = `413 {"message":"MSG_TOO_BIG"}`, `413 {"message":"BODY_TOO_BIG"}`
	n, a := smallLimits(t)
	for i, c := range []struct {
		path, body string
		want       string
		messages   []string
	}{
		{"/pub?", x(9), "200 OK", []string{x(9)}},
		{"/pub?", x(10), "200 OK", []string{x(10)}},
		{"/pub?", x(11), tooBig, nil},
		{"/pub?%zz", x(11), tooBig, nil},
		{"/pub?", x(100_000), tooBig, nil},
		{"/pub?", "a\nb\n", "200 OK", []string{"a\nb\n"}},
		{"/pub?", "\x00\xff\r\n", "200 OK", []string{"\x00\xff\r\n"}},

		{"/mpub?", "a\nb", "200 OK", []string{"a", "b"}},
		{"/mpub?binary=false", "a\nb\n", "200 OK", []string{"a", "b"}},
		{"/mpub?binary=0", "\n\na\r\n\n\nb \n\r\n\n", "200 OK", []string{"a\r", "b ", "\r"}},
		{"/mpub?", "\n\n", "200 OK", []string{}},
		{"/mpub?", "", "200 OK", []string{}},
		{"/mpub?", "a\n" + x(10) + "\nb", "200 OK", []string{"a", x(10), "b"}},
		{"/mpub?", "a\n" + x(11) + "\nb", tooBig, nil},
		{"/mpub?", "a\n" + x(11), tooBig, nil},
		{"/mpub?", strings.Repeat("123456789\n", 4), "200 OK", slices.Repeat([]string{"123456789"}, 4)},
		{"/mpub?", strings.Repeat("123456789\n", 4) + "\n", bodyTooBig, nil},
		{"/mpub?", strings.Repeat("123456789\n", 4000), bodyTooBig, nil},
		{"/mpub?", x(10) + "\n" + x(11) + "\n" + x(17), tooBig, nil},

		{"/mpub?binary=true", binary("a", "b"), "200 OK", []string{"a", "b"}},
		{"/mpub?binary=1", binary("\n", x(10)), "200 OK", []string{"\n", x(10)}},
		{"/mpub?binary=yes", binary("a"), "200 OK", []string{"a"}},
		{"/mpub?binary", binary("a"), "200 OK", []string{"a"}},
		{"/mpub?binary=1", binary("a", x(11)), `413 {"message":"BAD_MESSAGE"}`, nil},
		{"/mpub?binary=1", binary("a", ""), `413 {"message":"BAD_MESSAGE"}`, nil},
		{"/mpub?binary=1", binary("a") + "and more", "200 OK", []string{"a"}},
		{"/mpub?binary=1", binary(x(10), x(10)) + "12345678", "200 OK", []string{x(10), x(10)}},
		{"/mpub?binary=1", binary(x(10), x(10)) + "123456789", bodyTooBig, nil},
		{"/mpub?binary=1", binary("a") + x(100_000), bodyTooBig, nil},
		{"/mpub?binary=1", "\x00\x00\x00\x08", `413 {"message":"BAD_BODY"}`, nil},
	} {
		for kind, body := range map[string]io.Reader{"whole": strings.NewReader(c.body), "chunked": chunked{strings.NewReader(c.body)}} {
			topic := fmt.Sprint("t", i, kind)
			path := c.path + "&topic=" + topic
			resp, text, err := a.try("POST", path, body)
			if err != nil {
				t.Fatalf("%s %s: %v", kind, path, err)
			}
			if got := fmt.Sprint(resp.StatusCode, " ", text); got != c.want {
				t.Errorf("%s %s %.20q: %s, want %s", kind, path, c.body, got, c.want)
				continue
			}
			counts, exists := n.TopicCounts(topic)
			if exists != (c.messages != nil) {
				t.Errorf("%s %s %.20q: the topic exists: %v", kind, path, c.body, exists)
			}
			if counts.Depth != int64(len(c.messages)) {
				t.Errorf("%s %s %.20q: %d messages, want %q", kind, path, c.body, counts.Depth, c.messages)
				continue
			}
			if len(c.messages) == 0 {
				continue
			}
			client := dialRaw(t, n)
			client.consume(topic, "c", 100)
			if got := client.take(len(c.messages)); !slices.Equal(got, c.messages) {
				t.Errorf("%s %s: got %q, want %q", kind, path, got, c.messages)
			}
			client.close()
		}
	}
}

// What is announced is refused before it is sent.
func TestHTTPPublishRefusesWithoutReading(t *testing.T) {
	n, _ := smallLimits(t)
	for path, want := range map[string]string{
		"/pub?topic=t":           "MSG_TOO_BIG",
		"/mpub?topic=t":          "BODY_TOO_BIG",
		"/mpub?topic=t&binary=1": "BODY_TOO_BIG",
	} {
		conn, err := net.Dial("tcp", n.RealHTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n", path)
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") || !strings.HasSuffix(string(answer), `{"message":"`+want+`"}`) {
			t.Errorf("%s: %s", path, answer)
		}
		conn.Close()
	}
}

// What is announced takes no memory before it has arrived.
func TestHTTPBodiesTakeMemoryAsTheyArrive(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	before := heap()
	const conns = 60
	for i := range conns {
		conn, err := net.Dial("tcp", n.RealHTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, []string{
			"POST /pub?topic=t HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart",
			"POST /mpub?topic=t HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\nstart",
			"POST /mpub?topic=t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4c4b40\r\nstart",
			"POST /mpub?topic=t&binary=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n\x00\x00\x00\x01\x00\x0f\x00\x00start",
			"PUT /config/log_level HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart",
			"POST /debug/pprof/symbol HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart",
		}[i%6])
	}
	nsqtest.Eventually(t, "all requests are being read", func() bool {
		_, stacks, err := a.try("GET", "/debug/pprof/goroutine?debug=2", nil)
		return err == nil && strings.Count(stacks, "httpapi.(*body).Read(") >= conns
	})
	if per := (heap() - before) / conns; per > 32<<10 {
		t.Errorf("a request that has only begun takes %d bytes", per)
	}
}

// A body that ends early is no message.
func TestHTTPPublishOfCutBody(t *testing.T) {
	n, a := smallLimits(t)
	for _, request := range []string{
		"POST /pub?topic=t HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234",
		"POST /pub?topic=t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n",
		"POST /mpub?topic=t HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na\nb\n",
		"POST /mpub?topic=t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n",
		"POST /mpub?topic=t&binary=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n\x00\x00\x00\x01\x00\x00\x00\x01a",
	} {
		conn, err := net.Dial("tcp", n.RealHTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, request)
		conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%q: %v", request, err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 500 ") || !strings.HasSuffix(string(answer), `{"message":"INTERNAL_ERROR"}`) {
			t.Errorf("%q: %s", request, answer)
		}
		conn.Close()
	}
	if topics := a.topics(); topics != "" {
		t.Errorf("topics %s were created", topics)
	}
}

func TestHTTPPublishDeferred(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	client := dialRaw(t, n)
	client.consume("t", "c", 10)
	sent := time.Now()
	a.want(200, "OK", "POST", "/pub?topic=t&defer=200", "later")
	a.want(200, "OK", "POST", "/pub?topic=t&defer=0", "now")
	client.wantMessage("now", 1)
	client.wantMessage("later", 1)
	if took := time.Since(sent); took < 200*time.Millisecond {
		t.Errorf("the deferred message came after %v, want 200ms", took)
	}
}
