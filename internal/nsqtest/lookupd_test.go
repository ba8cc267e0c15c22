package nsqtest_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// One that is restarted is where the first was and knows nothing any more.
func TestLookupdRestart(t *testing.T) {
	a := nsqtest.StartLookupd(t, nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(a.HTTPURL()+"/topic/create?topic=t", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	conn, err := net.Dial("tcp", a.TCPAddr()) // its end is in the way of the next listener
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := []string{`{"topics":["t"]}`, `{"topics":[]}`}
	for i, d := range []func() *nsqtest.Lookupd{func() *nsqtest.Lookupd { return a }, a.Restart} {
		b := d()
		if b.TCPAddr() != a.TCPAddr() || b.HTTPAddr() != a.HTTPAddr() {
			t.Errorf("it went from %s and %s to %s and %s", a.TCPAddr(), a.HTTPAddr(), b.TCPAddr(), b.HTTPAddr())
		}
		resp, err := client.Get(b.HTTPURL() + "/topics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != want[i] {
			t.Errorf("got %s, %v, want %s", body, err, want[i])
		}
	}
}
