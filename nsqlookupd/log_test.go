package nsqlookupd_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Every change is one line at info; a ping is none.
func TestChangesAreLogged(t *testing.T) {
	var log loggingtest.Buffer
	opts := nsqtest.LookupdOptions(t)
	opts.Logger = log.Logger(slog.LevelInfo)
	d := nsqtest.StartLookupd(t, opts)
	nsqtest.Eventually(t, "it says where it listens", func() bool {
		return strings.Count(log.String(), ": listening on ") == 2
	})
	c := dialProducer(t, d, "n1")
	lines := func(do func(), want ...string) {
		t.Helper()
		before := len(log.String())
		do()
		var got []string
		for line := range strings.Lines(log.String()[before:]) {
			if !strings.Contains(line, `msg="200 `) { // which is the access log
				got = append(got, line)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d lines, want %d: %q", len(got), len(want), got)
			return
		}
		for i := range want {
			if !strings.Contains(got[i], "level=INFO") || !strings.Contains(got[i], want[i]) {
				t.Errorf("%q does not say %q", got[i], want[i])
			}
		}
	}
	lines(func() { c.register("t", "") }, "client("+c.addr()+") REGISTER topic:t channel:")
	lines(func() { c.register("t", "c") }, "REGISTER topic:t channel:c")
	lines(func() { c.unregister("t", "c") }, "UNREGISTER topic:t channel:c")
	lines(func() { c.unregister("t", "") }, "UNREGISTER topic:t channel:")
	lines(c.ping)
	for _, x := range []struct{ path, want string }{
		{"/topic/create?topic=t", "created topic t"},
		{"/channel/create?topic=t&channel=c", "created channel t:c"},
		{"/channel/delete?topic=t&channel=c", "deleted channel t:c"},
		{"/topic/tombstone?topic=t&node=n1.example:4151%0a", `n1.example:4151\\u000a in topic t`},
		{"/topic/delete?topic=t", "deleted topic t"},
	} {
		lines(func() { request(t, d, "POST", x.path) }, x.want)
	}
}

// What a client sends is cut, and cannot forge lines.
func TestLogLinesOfClientsAreBounded(t *testing.T) {
	const most = 3000 // six characters for one that does not print, and the text handler's escapes
	long := strings.Repeat("x\n\x1b", 1000)
	for name, sent := range map[string]string{
		"a word":     wire.MagicV1 + strings.Repeat("\x1b", 4000) + "\n",
		"a topic":    wire.MagicV1 + identifyCommand + "REGISTER " + strings.Repeat("\x1b", 4000) + "\n",
		"an address": wire.MagicV1 + string(wire.AppendIdentify(nil, []byte(`{"broadcast_address":"`+strings.Repeat(`\u001b\n`, 300)+`","tcp_port":1,"http_port":2,"version":"v"}`))) + "\n",
		"a number":   wire.MagicV1 + string(wire.AppendIdentify(nil, []byte(`{"tcp_port":`+strings.Repeat("9", 5000)+`}`))),
		"a magic":    "\x1b\n\x00\xff" + long,
	} {
		var log loggingtest.Buffer
		opts := nsqtest.LookupdOptions(t)
		opts.Logger = log.Logger(slog.LevelDebug)
		d := nsqtest.StartLookupd(t, opts)
		c := connect(t, d.RealTCPAddr())
		c.send(sent)
		for err := error(nil); err == nil; _, err = c.tryNext() {
		}
		d.Stop()
		if strings.Contains(log.String(), "\x1b") {
			t.Errorf("%s: as it came in %q", name, log.String())
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > most || !strings.HasPrefix(line, "time=") {
				t.Errorf("%s: a line of %d bytes: %.200q", name, len(line), line)
			}
		}
	}
}
