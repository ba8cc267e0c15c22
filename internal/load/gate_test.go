package load

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := NewGate(100, 2)
		var passed, refused atomic.Int64
		for range 5 {
			go func() {
				for g.Pass(ctx, 30) {
					passed.Add(30)
				}
				refused.Add(1)
			}()
		}
		for _, step := range []struct{ group, consumed, want int }{
			{0, 0, 90},    // of 100
			{0, 90, 90},   // the other group has consumed nothing
			{1, 50, 150},  // 100 + 50
			{1, 9, 150},   // 9 more are not enough for 30
			{1, 21, 180},  // 80 consumed
			{0, 200, 180}, // 1 is still the slowest
		} {
			g.Consumed(step.group, step.consumed)
			synctest.Wait()
			if got := passed.Load(); got != int64(step.want) {
				t.Fatalf("%+v: %d passed", step, got)
			}
		}
		if got := g.Total(); got != 370 {
			t.Errorf("%d were consumed in total, want 370", got)
		}
		cancel()
		synctest.Wait()
		if refused.Load() != 5 || g.Pass(ctx, 0) {
			t.Errorf("%d of 5 have ended with the context", refused.Load())
		}
	})
}

func TestTally(t *testing.T) {
	var a, b, c Tally
	for n := range uint64(1000) {
		a.Add(n)
		b.Add(999 - n)
		c.Add(n ^ 1)
	}
	if a != b || a != c {
		t.Error("the order matters")
	}
	c.Add(5)
	b.Add(6)
	if b == c {
		t.Error("one of two messages came twice, and it does not matter which")
	}
	var twice Tally
	twice.Merge(a, 2)
	a.Merge(a, 1)
	if a != twice || twice.Count != 2000 {
		t.Errorf("%+v and %+v, want both to be the double", a, twice)
	}
}

func TestBodies(t *testing.T) {
	for _, size := range []int{MinSize, 17, 200, 5000} {
		bodies := Bodies(3, size)
		for _, b := range bodies {
			if len(b) != size {
				t.Errorf("a body of %d bytes, want %d", len(b), size)
			}
		}
		if size >= 200 && bytes.Equal(bodies[0], bodies[1]) {
			t.Error("two bodies are the same")
		}
	}
}

func TestBatchesBearNumbersAndTimes(t *testing.T) {
	bodies := Bodies(3, 40)
	for name, b := range map[string]*Batch{
		"MPub": MPub("t", bodies), "Pubs": Pubs("t", bodies), "DPub": DPub("t", 5, bodies[0]),
		"Frames": Frames(bodies), "HTTPPub": HTTPPub("t", bodies[0]), "HTTPMPub": HTTPMPub("t", bodies),
	} {
		var tally, want Tally
		b.Number(77, &tally)
		b.Stamp(-5)
		for i, at := range b.bodies {
			want.Add(uint64(77 + i))
			body := b.Bytes()[at : at+40]
			if number(body) != uint64(77+i) || stamp(body) != -5 || !bytes.Equal(body[MinSize:], bodies[i][MinSize:]) {
				t.Errorf("%s: message %d is %q", name, i, body)
			}
		}
		if tally != want {
			t.Errorf("%s: %+v, want %+v", name, tally, want)
		}
	}
}

func BenchmarkNumber(b *testing.B) {
	batch := MPub("t", Bodies(200, 200))
	var t Tally
	b.ReportAllocs()
	for b.Loop() {
		batch.Number(1, &t)
	}
}
