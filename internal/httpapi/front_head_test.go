package httpapi

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var headPaths = map[string]bool{"/pub": true, "/mpub": true}

const plainHead = "POST /pub?topic=t HTTP/1.1\r\nHost: h:4151\r\nContent-Length: 3\r\n\r\n"

func TestHead(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(plainHead, old, with, 1) }
	field := func(line string) string { return replace("Host: ", line+"\r\nHost: ") }
	for text, want := range map[string]bool{
		plainHead: true,
		"POST /mpub?topic=t&binary=true HTTP/1.1\r\nhost:[::1]\r\nCONTENT-LENGTH: \t 262143 \r\nConnection: Keep-Alive\r\n\r\n": true,
		replace("?topic=t", ""):                              true,
		replace("topic=t", "topic=t&%zz;#?"):                 true,
		field("User-Agent: some/1.0 (x; y)\r\nAccept: */*"):  true,
		field("Authorization: Bearer x\r\nAuthorization: y"): true,
		field("X_Y-1:"):                                          true,
		replace("POST", "PUT"):                                   false,
		replace("POST", "post"):                                  false,
		replace("POST ", "POST  "):                               false,
		replace("1.1", "1.0"):                                    false,
		replace("1.1", "1.1 "):                                   false,
		replace("/pub", "http://h/pub"):                          false,
		replace("/pub", "/pub/"):                                 false,
		replace("/pub", "/%70ub"):                                false,
		replace("/pub", "/sub"):                                  false,
		replace("topic=t", ""):                                   false,
		replace("topic=t", "t\x01"):                              false,
		replace("topic=t", "t\x7f"):                              false,
		replace("topic=t", "t\u00fc"):                            false,
		replace("Host: h:4151\r\n", ""):                          false,
		replace("h:4151", ""):                                    false,
		replace("h:4151", "h/x"):                                 false,
		field("Host: other"):                                     false,
		replace("Content-Length: 3\r\n", ""):                     false,
		replace(": 3", ": 0"):                                    false,
		replace(": 3", ": +3"):                                   false,
		replace(": 3", ": -3"):                                   false,
		replace(": 3", ": 0x3"):                                  false,
		replace(": 3", ": 3_0"):                                  false,
		replace(": 3", ": 3, 3"):                                 false,
		replace(": 3", ": 262144"):                               false,
		replace(": 3", ": 99999999999999999999"):                 false,
		field("Content-Length: 3"):                               false,
		field("Content-Length: 4"):                               false,
		field("Content-Length : 3"):                              false,
		field("Transfer-Encoding: chunked"):                      false,
		field("transfer-encoding: identity"):                     false,
		field("Transfer-Encoding : chunked"):                     false,
		field("Transfer\x00-Encoding: chunked"):                  false,
		field("Connection: close"):                               false,
		field("Connection: keep-alive, upgrade"):                 false,
		field("Connection: Upgrade\r\nUpgrade: h2c"):             false,
		field("Upgrade: h2c"):                                    false,
		field("Expect: 100-continue"):                            false,
		field("Trailer: X"):                                      false,
		field("Pragma: no-cache"):                                false,
		field("X: a\r\n b"):                                      false,
		field(" X: a"):                                           false,
		field("X"):                                               false,
		field(": a"):                                             false,
		field("X: a\x00"):                                        false,
		field("X: a\rb"):                                         false,
		field("X: a\nTransfer-Encoding: chunked"):                false,
		strings.ReplaceAll(plainHead, "\r\n", "\n") + "\r\n\r\n": false,
		"\r\n" + plainHead:                                       false,
	} {
		var h head
		if got := h.parse(text, headPaths); got != want {
			t.Errorf("parse(%q) = %v, want %v", text, got, want)
		}
	}
}

// What the front takes means the same to net/http, and it waits for the rest of
// everything that it takes.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		plainHead,
		"POST /pub HTTP/1.1\r\nhost: [::1]:80\r\ncontent-length:007\r\nX-A: 1\r\nx-a: 2\r\nConnection: keep-alive\r\n\r\n",
		"POST /mpub?a=%zz;#?x HTTP/1.1\r\nHost: a_b.c\r\nContent-Length: 1\r\nAuthorization:\tBearer x \r\nEmpty:\r\n\r\n",
		"POST /pub? HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := strings.Index(text, "\r\n\r\n")
		if end < 0 {
			return
		}
		text = text[:end+4]
		var h head
		for range 2 { // nothing of the last one is left
			if !h.parse(text, headPaths) {
				return
			}
		}
		got := h.request
		body := bytes.Repeat([]byte("x"), maxDirectBody)
		want, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(text), bytes.NewReader(body))))
		if err != nil {
			t.Fatalf("%q is no request: %v", text, err)
		}
		read, err := io.ReadAll(want.Body)
		if int64(len(read)) != got.ContentLength || err != nil {
			t.Errorf("%q has a body of %d bytes, %v, not %d", text, len(read), err, got.ContentLength)
		}
		got.Body, want.Body = nil, nil
		if !reflect.DeepEqual(allOf(&got), allOf(want)) {
			t.Errorf("%q:\n%+v, want\n%+v", text, allOf(&got), allOf(want))
		}
		if want.Close || len(want.TransferEncoding) > 0 || want.Trailer != nil || len(want.Header["Expect"]) > 0 {
			t.Errorf("%q has a meaning for the connection", text)
		}
		for i := range text {
			if !new(head).mayBecome(text[:i], headPaths) {
				t.Fatalf("%q is not taken for the start of %q", text[:i], text)
			}
		}
	})
}

// allOf returns all that a handler can see of a request.
func allOf(r *http.Request) map[string]any {
	return map[string]any{
		"line": r.Method + " " + r.RequestURI + " " + r.Proto, "major": r.ProtoMajor, "minor": r.ProtoMinor,
		"URL": *r.URL, "Host": r.Host, "Length": r.ContentLength,
		"keys": slices.Sorted(maps.Keys(r.Header)), "header": url.Values(r.Header).Encode(),
	}
}

func BenchmarkHead(b *testing.B) {
	b.ReportAllocs()
	var h head
	for b.Loop() {
		if !h.parse(plainHead, headPaths) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkReadRequest(b *testing.B) {
	b.ReportAllocs()
	text := strings.NewReader("")
	in := bufio.NewReader(text)
	for b.Loop() {
		text.Reset(plainHead)
		in.Reset(text)
		if _, err := http.ReadRequest(in); err != nil {
			b.Fatal(err)
		}
	}
}
