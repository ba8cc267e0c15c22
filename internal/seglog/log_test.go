package seglog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestWhatIsAppendedIsReadInOrder(t *testing.T) {
	var h heard
	fs := vfs.NewMem()
	l := openLog(t, h.options(fs))
	first := &Record{Kind: Messages, Count: 2, ID: 40, Time: 50, Due: 60, Attempts: 7, Channel: 8, Payload: payloadOf("a", "b")}
	mustAppend(t, l, first, moved(1<<63|9, "m"))
	mustAppend(t, l, messages("c"))
	wantBodies(t, l, "a", "b", "c")
	if next, at := l.End(); next != 4 || at <= first.Pos {
		t.Errorf("the end is %d, %x", next, at)
	}
	var kinds []Kind
	check(t, l.Scan(1, func(r Record) error {
		kinds = append(kinds, r.Kind)
		if again, err := l.Read(r.Pos); err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("Read has %v, %v, Scan had %v", again, err, r)
		}
		if r.Pos == first.Pos && fmt.Sprint(r) != fmt.Sprint(*first) {
			t.Errorf("read %v, appended %v", r, *first)
		}
		if r.Kind == Moved && (r.First != 1<<63|9 || r.Due != 5 || r.Channel != 7 || r.Attempts != 3 || r.Count != 1) {
			t.Errorf("read %v", r)
		}
		return nil
	}))
	if !slices.Equal(kinds, []Kind{Messages, Moved, Messages}) {
		t.Errorf("Scan found kinds %v", kinds)
	}
	if len(h.commits) != 3 || h.commits[2].First != 3 || h.commits[0].Pos != first.Pos {
		t.Errorf("OnCommit was told of %v", h.commits)
	}
}

func TestLargeRecordIsSplitBetweenMessages(t *testing.T) {
	l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log"})
	huge := strings.Repeat("h", 3*MaxFrame)
	r := numbered("m", 1000, 200)
	r.ID = 500
	mustAppend(t, l, r, messages(huge), messages("last"))
	records, err := l.Seek(0).Next(1 << 30)
	check(t, err)
	seq := uint64(1)
	for _, got := range records[:len(records)-1] {
		if len(got.Payload) > MaxFrame && got.Count > 1 {
			t.Errorf("a frame has %d messages in %d bytes", got.Count, len(got.Payload))
		}
		if got.First != seq || got.First <= 1000 && got.ID != 499+seq {
			t.Errorf("a frame begins with %d, id %d, want %d", got.First, got.ID, seq)
		}
		seq += uint64(got.Count)
	}
	all := bodiesOf(readAll(t, l))
	if len(all) != 1002 || all[1000] != huge || all[1001] != "last" || !slices.Equal(all[:1000], bodies(r.Payload)) {
		t.Errorf("%d messages were read", len(all))
	}
}

func TestMalformedRecordIsRefused(t *testing.T) {
	l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log"})
	big := numbered("m", 1000, 200)
	for name, r := range map[string]*Record{
		"no kind":               {Count: 1, Payload: payloadOf("a")},
		"a seal":                {Kind: kindSeal, Count: 1, Payload: payloadOf("a")},
		"no message":            {Kind: Messages},
		"two moved":             {Kind: Moved, Count: 2, Payload: payloadOf("a", "b")},
		"more than fits":        {Kind: Messages, Count: 9, Payload: payloadOf("a")},
		"fewer than it has":     {Kind: Messages, Count: 999, Payload: big.Payload},
		"more than it has":      {Kind: Messages, Count: 1001, Payload: big.Payload},
		"a size beyond the end": {Kind: Messages, Count: 1000, Payload: big.Payload[:len(big.Payload)-1]},
	} {
		if err := l.Append([]*Record{messages("good"), r}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := readAll(t, l); all != nil {
		t.Errorf("the log has %v", all)
	}
}

func TestLogGoesOnAfterClose(t *testing.T) {
	for _, sync := range []bool{false, true} {
		fs := vfs.NewMem()
		var want []string
		for i := range 5 {
			l := openLog(t, Options{FS: fs, Dir: "log", Sync: sync, SegmentBytes: 4 << 10})
			if next, _ := l.End(); next != uint64(i*20+1) {
				t.Errorf("the next number is %d", next)
			}
			for j := range 20 {
				want = append(want, fmt.Sprint(i, "-", j, strings.Repeat(".", 200)))
				mustAppend(t, l, messages(want[len(want)-1]))
			}
			wantBodies(t, l, want...)
			check(t, l.Close())
			if err := l.Append([]*Record{messages("x")}); !errors.Is(err, ErrClosed) {
				t.Errorf("a closed log answers %v", err)
			}
		}
		l := openLog(t, Options{FS: fs, Dir: "log"})
		for _, s := range l.Segments() {
			if !s.Sealed {
				t.Errorf("segment %v is not sealed", s)
			}
		}
		if n := l.Count(0, 1000); n != 100 {
			t.Errorf("the log counts %d", n)
		}
	}
}

func TestSeekFindsEveryNumber(t *testing.T) {
	l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 900 << 10})
	for i := range 40 {
		mustAppend(t, l, numbered(fmt.Sprint(i), 200, 300), moved(1, "m"))
	}
	for seq := uint64(1); seq <= 8000; seq += 97 {
		c := l.Seek(seq)
		records, err := c.Next(1)
		check(t, err)
		if r := records[0]; r.First > seq || r.First+uint64(r.Count) <= seq {
			t.Fatalf("Seek(%d) begins with %d to %d", seq, r.First, r.First+uint64(r.Count))
		}
		c.Close()
	}
	c := l.Seek(8001)
	if got := rest(t, c); got != nil {
		t.Errorf("behind the end are %v", got)
	}
	mustAppend(t, l, messages("new"))
	if got := rest(t, c); !slices.Equal(got, []message{{8001, "new"}}) {
		t.Errorf("the cursor at the end got %v", got)
	}
}

func TestRaisedNumbersLeaveAGapBetweenSegments(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, Options{FS: fs, Dir: "log", First: 10})
	mustAppend(t, l, messages("a", "b"))
	l.Raise(5)
	mustAppend(t, l, messages("c"))
	l.Raise(100)
	if next, _ := l.End(); next != 100 {
		t.Errorf("the end is %d", next)
	}
	mustAppend(t, l, messages("d"))
	want := []message{{10, "a"}, {11, "b"}, {12, "c"}, {100, "d"}}
	if got := readAll(t, l); !slices.Equal(got, want) {
		t.Errorf("the log has %v", got)
	}
	if n := l.Count(11, 101); n != 3 {
		t.Errorf("11 to 101 are %d", n)
	}
	if got := rest(t, l.Seek(50)); !slices.Equal(got, want[3:]) {
		t.Errorf("Seek into the gap finds %v", got)
	}
}

func TestRemovedSegmentsAreGoneAndNumbersAreRemembered(t *testing.T) {
	for _, windows := range []bool{false, true} {
		var h heard
		fs := vfs.NewMem()
		fs.UseWindowsSemantics(windows)
		l := openLog(t, h.options(fs))
		mustAppend(t, l, messages("a"))
		if err := l.Remove(1); !errors.Is(err, ErrInUse) {
			t.Errorf("removing what is written to: %v", err)
		}
		check(t, l.Roll())
		b := messages("b")
		mustAppend(t, l, b)
		c := l.Seek(0)
		if _, err := c.Next(1); err != nil {
			t.Fatal(err)
		}
		check(t, l.Remove(1)) // the cursor is in it
		if got := rest(t, c); !slices.Equal(bodiesOf(got), []string{"b"}) {
			t.Errorf("the cursor went on with %v", got)
		}
		if first, at := l.Begin(); first != 2 || at != b.Pos {
			t.Errorf("the log begins with %d, %x", first, at)
		}
		_, err := l.Read(b.Pos) // keeps the file open
		check(t, err)
		check(t, l.Roll())
		check(t, l.Remove(2))
		if _, err := l.Read(b.Pos); !errors.Is(err, ErrGone) {
			t.Errorf("reading what is removed: %v", err)
		}
		if err := l.Remove(2); !errors.Is(err, ErrGone) {
			t.Errorf("removing twice: %v", err)
		}
		if all := l.Segments(); len(all) != 0 {
			t.Errorf("segments are %v", all)
		}
		_, end := l.End()
		check(t, l.Close())
		l = openLog(t, h.options(fs))
		third := messages("c")
		mustAppend(t, l, third)
		if third.First != 3 || third.Pos < end {
			t.Errorf("the next message is %d at %x, want 3 at %x or later", third.First, third.Pos, end)
		}
		if got := files(t, fs); len(got) != 1 {
			t.Errorf("files are %v", got)
		}
		if h.damages != nil {
			t.Errorf("damage %v", h.damages)
		}
	}
}

func TestConcurrentAppendsAreInOneOrder(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprint("sync=", sync), func(t *testing.T) {
			var h heard
			opts := h.options(vfs.NewMem())
			opts.Sync, opts.SegmentBytes = sync, 64<<10
			l := openLog(t, opts)
			appendFromMany(t, l, 8, 60)
			all := readAll(t, l)
			next := map[string]int{}
			for i, m := range all {
				var who string
				var n int
				fmt.Sscanf(m.body, "%s %d", &who, &n)
				if m.seq != uint64(i+1) || n != next[who] {
					t.Fatalf("message %d is %v, want %d of %s", i, m, next[who], who)
				}
				next[who]++
			}
			if len(all) != 8*60*3 {
				t.Errorf("%d messages", len(all))
			}
			seq := uint64(1)
			for _, r := range h.commits {
				if r.First != seq {
					t.Fatalf("OnCommit was told of %d, want %d", r.First, seq)
				}
				seq += uint64(r.Count)
			}
		})
	}
}

// appendFromMany has several append n records of 3 messages each.
func appendFromMany(t *testing.T, l *Log, writers, n int) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range n {
				var b []string
				for j := range 3 {
					b = append(b, fmt.Sprintf("w%d %d %s", w, i*3+j, strings.Repeat("x", w*10)))
				}
				r := messages(b...)
				if err := l.Append([]*Record{r}); err != nil {
					t.Error(err)
				}
				if got, err := l.Read(r.Pos); err != nil || got.First != r.First {
					t.Errorf("what was appended as %d reads as %v, %v", r.First, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCursorsFollowAppendsAndRemovals(t *testing.T) {
	l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 2 << 10})
	const n = 400
	var wg sync.WaitGroup
	defer wg.Wait()
	removed := make(chan uint32, n)
	wg.Go(func() {
		for i := range n {
			mustAppend(t, l, numbered(fmt.Sprint(i), 1, 100))
		}
	})
	wg.Go(func() { // removes what the first cursor has passed
		for id := range removed {
			check(t, l.Remove(id))
		}
	})
	wg.Go(func() { // may miss what is removed, but no order
		c, last := l.Seek(0), uint64(0)
		defer c.Close()
		for last < n {
			for _, m := range rest(t, c) {
				if m.seq <= last {
					t.Errorf("%d after %d", m.seq, last)
				}
				last = m.seq
			}
		}
	})
	c, seq, id := l.Seek(0), uint64(1), uint32(1)
	defer close(removed)
	defer c.Close()
	for seq <= n {
		records, err := c.Next(300)
		check(t, err)
		for _, r := range records {
			if r.First != seq {
				t.Fatalf("read %d, want %d", r.First, seq)
			}
			for seq++; id < r.Pos.Segment(); id++ {
				removed <- id
			}
		}
	}
}

func TestCloseWhileAppendsRun(t *testing.T) {
	for range 20 {
		fs := vfs.NewMem()
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		var mu sync.Mutex
		var kept int
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					err := l.Append([]*Record{messages("m")})
					mu.Lock()
					if err == nil {
						kept++
					}
					mu.Unlock()
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for next, _ := l.End(); next < 20; next, _ = l.End() {
		}
		check(t, l.Close())
		wg.Wait()
		l = openLog(t, Options{FS: fs, Dir: "log"})
		if got := len(readAll(t, l)); got != kept {
			t.Errorf("%d messages are there, %d were acknowledged", got, kept)
		}
	}
}

func TestReadOnlyLogChangesNothing(t *testing.T) {
	fs := vfs.NewMem()
	l := openLog(t, Options{FS: fs, Dir: "log"})
	mustAppend(t, l, messages("a"))
	before := fs.String() // as after a kill: there is no seal
	ro := openLog(t, Options{FS: fs, Dir: "log", ReadOnly: true})
	wantBodies(t, ro, "a")
	if err := errors.Join(ro.Append([]*Record{messages("b")}), ro.Remove(1), ro.Roll()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("changes are answered with %v", err)
	}
	check(t, ro.Close())
	if after := fs.String(); after != before {
		t.Errorf("files were %s, are %s", before, after)
	}
	if _, err := Open(Options{FS: fs, Dir: "none", ReadOnly: true}); err == nil {
		t.Error("a directory that is missing was opened")
	}
}
