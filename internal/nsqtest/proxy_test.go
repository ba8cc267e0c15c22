package nsqtest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// echo answers every connection with what it says, and then with its end. What
// arrived on a connection is told once that has ended.
func echo(t *testing.T) (addr string, arrived <-chan []byte) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan []byte, 10)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			var b bytes.Buffer
			io.Copy(io.MultiWriter(nc, &b), nc)
			nc.Close()
			all <- b.Bytes()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String(), all
}

// A cut comes after just as many bytes as it says, in either direction; a proxy
// that is healed makes none.
func TestProxyCuts(t *testing.T) {
	const sent = "0123456789"
	for _, tt := range []struct {
		cut             nsqtest.Cut
		healed          bool
		arrived, answer string
	}{
		{nsqtest.NoCut, false, sent, sent},
		{nsqtest.Cut{After: 0}, false, "", ""},
		{nsqtest.Cut{After: 4}, true, sent, sent},
		{nsqtest.Cut{After: 10, Answers: true, Manner: nsqtest.HalfClosed, Pause: time.Minute}, false, sent, sent},
		{nsqtest.Cut{After: 4, Manner: nsqtest.HalfClosed, Pause: time.Minute}, false, "0123", "0123"},
		{nsqtest.Cut{After: 4, Answers: true, Manner: nsqtest.Closed}, false, sent, "0123"},
		{nsqtest.Cut{After: 4, Answers: true, Manner: nsqtest.Reset}, false, sent, "0123"},
		{nsqtest.Cut{After: 4, Answers: true, Manner: nsqtest.Stalled, Pause: time.Millisecond}, false, sent, "0123"},
		{nsqtest.Cut{After: 4, Answers: true, Manner: nsqtest.Lopsided, Pause: time.Millisecond}, false, sent, "0123"},
	} {
		t.Run(tt.cut.Manner.String(), func(t *testing.T) {
			target, all := echo(t)
			p := nsqtest.NewProxy(t, target, func() nsqtest.Cut { return tt.cut })
			if tt.healed {
				p.Heal()
			}
			nc, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(nsqtest.Patience))
			nc.Write([]byte(sent))
			nc.(*net.TCPConn).CloseWrite()
			answer, err := io.ReadAll(nc)
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Error("the connection was not cut")
			}
			arrived := nsqtest.Receive(t, "the server's end", all)
			if string(arrived) != tt.arrived || string(answer) != tt.answer && tt.cut.Manner != nsqtest.Reset {
				t.Errorf("the server got %q, want %q; the client got %q, want %q", arrived, tt.arrived, answer, tt.answer)
			}
			want := int64(1)
			if tt.cut.After < 0 || tt.healed {
				want = 0
			}
			if n := p.Cuts(); n != want {
				t.Errorf("%d cuts, want %d", n, want)
			}
		})
	}
}
