package nsqd_test

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

const streamSeed = 4150

func mutatedStreams() *nsqtest.MutatedStreams {
	return &nsqtest.MutatedStreams{TCP: tcpStreams(), HTTP: httpStreams(), Seed: streamSeed}
}

// Whatever clients send, the broker goes on, gives everything back and serves
// others.
func TestMutatedStreams(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	b := startInBubble(t, opts)
	mutatedStreams().Play(t, nsqtest.StreamTarget{TCP: b.listener, HTTP: b.http, Panics: b.Panics, Clear: func() {
		t.Helper()
		if err := b.DeleteTopics(); err != nil {
			t.Fatal(err)
		}
	}}, 64<<20, 4<<20)
	c := b.dial()
	c.sub("after", "c")
	c.rdy(1)
	b.dial().pub("after", "message")
	c.fin(c.wantMessage("message", 1))
}

// The same over sockets, where peers close, half-close and do not read.
func TestMutatedStreamsOverSockets(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	n := nsqtest.Start(t, opts)
	dialRaw(t, n).pub("t", "message")
	before, streams := nsqtest.TakeResources(), mutatedStreams()
	nsqtest.Concurrently(8, 3000, func(i int) {
		if i%10 == 0 {
			answerMutated(t, n, i)
			return
		}
		s, isHTTP := streams.Number(i)
		addr := n.RealTCPAddr()
		if isHTTP {
			addr = n.RealHTTPAddr()
		}
		if err := nsqtest.SendStream(addr, s, i); err != nil {
			t.Errorf("stream %d, %q: %v", i, s, err)
		}
	})
	if n := n.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
	c := dialRaw(t, n)
	c.pub("after", "message")
	c.consume("after", "c", 1)
	c.fin(c.wantMessage("message", 1))
	c.close()
	if err := n.DeleteTopics(); err != nil {
		t.Error(err)
	}
	before.WaitFor(t)
}

// answerMutated takes a message and sends mutated answers to it.
func answerMutated(t *testing.T, n *nsqtest.NSQD, i int) {
	c := dialRaw(t, n)
	defer c.close()
	c.pub("answers", "message")
	c.consume("answers", "c", 1)
	id := c.message().ID
	answers := []nsqtest.ByteStream{{wire.AppendTouch(nil, id), wire.AppendReq(nil, id, 0), wire.AppendFin(nil, id), wire.AppendCls(nil)}}
	for _, piece := range nsqtest.Mutate(rand.New(rand.NewPCG(streamSeed, uint64(i))), answers) {
		if c.trySend(piece) != nil {
			return
		}
	}
}

// FuzzTCP sends the broker whatever the fuzzer finds, a line at a time.
func FuzzTCP(f *testing.F) {
	for _, s := range tcpStreams() {
		f.Add(bytes.Join(s, nil))
	}
	fuzzStreams(f, func(b *bubble) *nsqtest.PipeListener { return b.listener })
}

// FuzzHTTP is FuzzTCP for the HTTP API.
func FuzzHTTP(f *testing.F) {
	for _, s := range httpStreams() {
		f.Add(bytes.Join(s, nil))
	}
	fuzzStreams(f, func(b *bubble) *nsqtest.PipeListener { return b.http })
}

func fuzzStreams(f *testing.F, listener func(*bubble) *nsqtest.PipeListener) {
	opts := nsqtest.Options(f)
	opts.Logger = slog.New(slog.DiscardHandler)
	b := startInBubble(f, opts)
	l := listener(b)
	sent := 0
	f.Fuzz(func(t *testing.T, stream []byte) {
		if !l.Serve(bytes.SplitAfter(stream, []byte{'\n'})) {
			t.Error("the stream is not at its end")
		}
		if n := b.Panics(); n != 0 {
			t.Errorf("%d panics", n)
		}
		if sent++; sent%1000 == 0 {
			if err := b.DeleteTopics(); err != nil {
				t.Error(err)
			}
		}
	})
}
