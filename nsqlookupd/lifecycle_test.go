package nsqlookupd_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// longestStop is how long a stop may take, whatever peers do.
const longestStop = time.Second

func TestNewReportsWhatIsWrong(t *testing.T) {
	opts := nsqtest.LookupdOptions(t)
	opts.TCPAddress, opts.InactiveProducerTimeout = "127.0.0.1", -1
	_, err := nsqlookupd.New(opts)
	if err == nil || !strings.Contains(err.Error(), "tcp-address") || !strings.Contains(err.Error(), "inactive-producer-timeout") {
		t.Errorf("New: %v, want both mistakes", err)
	}
}

// What New has opened is closed when it fails.
func TestNewFailsWhereAPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	opts := nsqtest.LookupdOptions(t)
	opts.TCPAddress, opts.HTTPAddress = free.Addr().String(), taken.Addr().String()
	for range 2 { // the second time fails for the same reason as the first
		_, err := nsqlookupd.New(opts)
		if want := "listen (" + taken.Addr().String() + ") failed - "; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New: %v, want %s...", err, want)
		}
	}
}

func TestExitWithoutMain(t *testing.T) {
	l, err := nsqlookupd.New(nsqtest.LookupdOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Exit(); err != nil {
			t.Errorf("Exit: %v", err)
		}
	}
	if err := l.Main(); err != nil {
		t.Errorf("Main after Exit: %v", err)
	}
	if conn, err := net.Dial("tcp", l.RealTCPAddr().String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

// A stop waits for nobody: not for who says nothing, nor for who has said half,
// nor for who does not read.
func TestStopIsNotDelayed(t *testing.T) {
	d := nsqtest.StartLookupd(t, nil)
	open := func(address, text string) net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for range 10 {
		for _, text := range []string{"", "  V", "  V1", "  V1PIN", "  V1IDENTIFY\n", "  V1IDENTIFY\n\x00\x00\x01\x00{", "  V2", "  V1\n", "  V1PING\n"} {
			open(d.TCPAddr(), text)
		}
		for _, text := range []string{"", "GET /pi", "GET /watch?topic=t HTTP/1.1\r\nHost: h\r\n\r\n", "GET /debug/pprof/profile?seconds=30 HTTP/1.1\r\nHost: h\r\n\r\n"} {
			open(d.HTTPAddr(), text)
		}
	}
	for i := range 30 { // so that an answer has some megabytes
		dialProducer(t, d, fmt.Sprint("n", i)).registerMany(1000)
	}
	deaf := open(d.HTTPAddr(), "")
	deaf.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := io.WriteString(deaf, "GET /debug HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(deaf, make([]byte, 100)); err != nil { // it is being sent
		t.Fatal(err)
	}
	start := time.Now()
	d.Stop()
	if took := time.Since(start); took > longestStop {
		t.Errorf("the stop took %v", took)
	} else {
		t.Logf("the stop took %v", took)
	}
}
