package nsqd

import (
	"fmt"
	"strings"
	"testing"
)

// What was one batch is one again, as far as it is read at a time; what only looks
// like it is not.
func TestBatchesComeBackFromDisk(t *testing.T) {
	again := batchOf(5, "e").all()
	again.attempts = 1
	later := batchOf(6, "f").all()
	later.b.time++
	spans := []span{
		batchOf(1, "a", "b").all(), batchOf(3, "c", "", "").all(), // as pipelined PUBs may be
		again,
		later,
		batchOf(9, "g", "h").all(),
	}
	for _, test := range []struct {
		take int
		want string
	}{
		{100, "1:a 2:b 3:c 4: 5:, 5:e, 6:f, 9:g 10:h"},
		{3, "1:a 2:b 3:c, 4: 5:, 5:e, 6:f, 9:g 10:h"},
		{1, "1:a, 2:b, 3:c, 4:, 5:, 5:e, 6:f, 9:g, 10:h"},
	} {
		q := testQueue(t, testEnv(t, 0), "q")
		if _, err := q.putAll(spans); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range takeAll(q, test.take) {
			got = append(got, describe(s))
			if last := strings.HasSuffix(describe(s), "e"); last != (s.attempts == 1) || (s.id() == 6) != (s.b.time == 43) {
				t.Errorf("%s has %d attempts and time %d", describe(s), s.attempts, s.b.time)
			}
		}
		if got := strings.Join(got, ", "); got != test.want {
			t.Errorf("%d at a time came back as %s, want %s", test.take, got, test.want)
		}
	}
}

// Bodies read together share memory, in pieces that a straggler may hold; who keeps
// one for longer copies it.
func TestMemoryOfWhatIsReadFromDisk(t *testing.T) {
	for _, size := range []int{0, 1, 100, unspillBytes / 2, unspillBytes, 3 * unspillBytes} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			q := testQueue(t, testEnv(t, 0), "q")
			body := strings.Repeat("x", size)
			for i := range guid(200) {
				q.put(batchOf(1000-2*i, body).all())
			}
			q.put(batchOf(2000, body).all())
			n := 0
			for _, s := range takeAll(q, 200) {
				for n++; s.count > 0; {
					m := s.pop().alone()
					if string(m.body()) != body || m.b.count != 1 || m.b.shared || cap(m.b.payload) > 4+size {
						t.Fatalf("message %d alone: %d bytes in %d, shared: %v", m.id(), len(m.body()), cap(m.b.payload), m.b.shared)
					}
				}
				if held := len(s.b.payload); held > unspillBytes && held > 4+size {
					t.Errorf("message %d holds %d bytes", s.id(), held)
				}
			}
			if n != 201 {
				t.Errorf("%d spans came back, want 201", n)
			}
		})
	}
}

func BenchmarkThroughDisk(b *testing.B) {
	const n = 200
	q := testQueue(b, testEnv(b, 0), "q")
	s := batchOf(1, strings.Split(strings.Repeat(strings.Repeat("x", 200)+" ", n-1)+"x", " ")...).all()
	var spans []span
	b.ReportAllocs()
	for b.Loop() {
		q.put(s)
		if spans, _ = q.take(spans[:0], n, 1<<20); len(spans) == 0 {
			b.Fatal("nothing came back")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
}
