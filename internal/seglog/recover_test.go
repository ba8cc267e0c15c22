package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// killed makes a log with the appends of a log that was never closed, and returns its file
// and where each append ends.
func killed(t *testing.T, appends ...[]*Record) (fs *vfs.MemFS, path string, ends []int) {
	fs = vfs.NewMem()
	l, err := Open(Options{FS: fs, Dir: "log"})
	check(t, err)
	for _, records := range appends {
		mustAppend(t, l, records...)
		_, at := l.End()
		ends = append(ends, int(at.offset()))
	}
	return fs, files(t, fs)[0], ends
}

func TestTornWritesAreCutOff(t *testing.T) {
	fs, path, ends := killed(t, []*Record{messages("a", "b")}, []*Record{messages("c")},
		[]*Record{messages("d"), messages("e", "f"), moved(2, "g")})
	whole := content(t, fs, path)
	garbage := bytes.Repeat([]byte{0x9a, 0x51}, 300)
	torn := map[string]struct {
		data []byte
		want int // messages
	}{
		"nothing":                             {nil, 0},
		"zeros alone":                         {make([]byte, 5000), 0},
		"garbage alone":                       {garbage, 0},
		"half a header":                       {whole[:30], 0},
		"a header":                            {whole[:headerSize], 0},
		"all but a byte of the first":         {whole[:ends[0]-1], 0},
		"the first":                           {whole[:ends[0]], 2},
		"two, and half a header":              {whole[:ends[1]+30], 3},
		"two, and one of three frames":        {whole[:ends[1]+headerSize+5], 3},
		"two, and all but a byte":             {whole[:ends[2]-1], 3},
		"two, and all but a byte, then zeros": {append(slices.Clone(whole[:ends[2]-1]), make([]byte, 5000)...), 3},
		"all":                                 {whole, 6},
		"all, then zeros":                     {append(slices.Clone(whole), make([]byte, 5000)...), 6},
		"all, then garbage":                   {append(slices.Clone(whole), garbage...), 6},
		"all, then the first again":           {append(slices.Clone(whole), whole[:ends[0]]...), 6},
	}
	for n := range ends[2] { // every length there is
		torn[fmt.Sprint(n, " bytes")] = struct {
			data []byte
			want int
		}{whole[:n], []int{0, 2, 3, 6}[countBelow(ends, n)]}
	}
	for name, c := range torn {
		replace(t, fs, path, c.data)
		var h heard
		l := openLog(t, h.options(fs))
		want := []string{"a", "b", "c", "d", "e", "f"}[:c.want]
		wantBodies(t, l, want...)
		next := messages("next")
		mustAppend(t, l, next)
		if next.First != uint64(c.want+1) {
			t.Errorf("%s: the next number is %d", name, next.First)
		}
		check(t, l.Close())
		l = openLog(t, h.options(fs)) // again, from seals
		wantBodies(t, l, append(want, "next")...)
		if h.damages != nil {
			t.Errorf("%s: damage %v", name, h.damages)
		}
		check(t, l.Close())
		for _, f := range files(t, fs) {
			check(t, fs.Remove(f))
		}
	}
}

func countBelow(ends []int, n int) (i int) {
	for i < len(ends) && ends[i] <= n {
		i++
	}
	return i
}

// Each frame of this log has one message, so that damage to one loses one.
func TestDamageCostsNoMoreThanItself(t *testing.T) {
	at := func(frame int, f func(b []byte)) func([]byte) []byte {
		return func(data []byte) []byte {
			f(data[frame*(headerSize+104):][:headerSize+104])
			return data
		}
	}
	for name, c := range map[string]struct {
		change  func([]byte) []byte
		missing []int // frames
		lost    int64
	}{
		"a flip in a header":             {at(3, func(b []byte) { b[20] ^= 1 }), []int{3}, 1},
		"a flip in the length":           {at(3, func(b []byte) { b[12] ^= 0x80 }), []int{3}, 1},
		"a flip in a magic":              {at(0, func(b []byte) { b[0] ^= 1 }), []int{0}, 1},
		"a flip in a payload":            {at(3, func(b []byte) { b[headerSize+50] ^= 1 }), []int{3}, 1},
		"a flip in a size":               {at(3, func(b []byte) { b[headerSize] ^= 0x80 }), []int{3}, 1},
		"a flip in the header of Moved":  {at(5, func(b []byte) { b[20] ^= 1 }), []int{5}, 1},
		"a flip in the payload of Moved": {at(5, func(b []byte) { b[headerSize+9] ^= 1 }), []int{5}, 1},
		"zeros in the middle": {func(data []byte) []byte {
			clear(data[2*168+10 : 4*168+10])
			return data
		}, []int{2, 3, 4}, 3},
		"a flip in the last":              {at(9, func(b []byte) { b[20] ^= 1 }), []int{9}, 1},
		"a flip in the seal":              {func(data []byte) []byte { data[1680+20] ^= 1; return data }, nil, 0},
		"cut off behind seven and a half": {func(data []byte) []byte { return data[:7*168+80] }, []int{7, 8, 9}, 3},
		"cut off":                         {func(data []byte) []byte { return nil }, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			fs, path := tenFrames(t)
			replace(t, fs, path, c.change(content(t, fs, path)))
			var h heard
			l := openLog(t, h.options(fs))
			var got, want []string
			for _, s := range l.Segments() {
				check(t, l.Scan(s.ID, func(r Record) error {
					got = append(got, bodies(r.Payload)...)
					return nil
				}))
			}
			for i := range 10 {
				if !slices.Contains(c.missing, i) {
					want = append(want, tenth(i))
				}
			}
			if want = append(want, "second segment"); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			readAll(t, l) // tells of nothing again
			if h.lost() != c.lost || (c.lost > 0) != (len(h.damages) == 1) {
				t.Errorf("damage is told as %v, want %d messages", h.damages, c.lost)
			}
			for _, d := range h.damages {
				if d.File != path {
					t.Errorf("damage is in %s, want %s", d.File, path)
				}
			}
			if next, _ := l.End(); next != 11 {
				t.Errorf("the next number is %d", next)
			}
		})
	}
}

func tenth(i int) string { return fmt.Sprint(i, strings.Repeat(".", 99)) }

// tenFrames are nine of one message and, as the sixth, one that was moved; then another segment.
func tenFrames(t *testing.T) (*vfs.MemFS, string) {
	fs := vfs.NewMem()
	l := openLog(t, Options{FS: fs, Dir: "log"})
	for i := range 10 {
		r := messages(tenth(i))
		if i == 5 {
			r.Kind, r.First = Moved, 3
		}
		mustAppend(t, l, r)
	}
	check(t, l.Roll())
	mustAppend(t, l, messages("second segment"))
	check(t, l.Close())
	path := files(t, fs)[0]
	if size := len(content(t, fs, path)); size != 10*168+headerSize {
		t.Fatalf("the first file has %d bytes", size)
	}
	return fs, path
}

func TestHolesOfACrashLeaveNoHalfAppend(t *testing.T) {
	fs, path, ends := killed(t, []*Record{messages("a")}, []*Record{messages("b"), messages("c"), messages("d")}, []*Record{messages("e")})
	frame := headerSize + 5
	for lost := range 3 { // of the second append's frames
		data := content(t, fs, path)
		clear(data[ends[0]+lost*frame:][:frame])
		fs2 := vfs.NewMem()
		check(t, fs2.MkdirAll("log", 0o755))
		replace(t, fs2, path, data)
		for range 2 { // it is told each time the log is opened
			var h heard
			l := openLog(t, h.options(fs2))
			wantBodies(t, l, "a", "e")
			if len(h.damages) != 1 || h.lost() != 3 {
				t.Errorf("damage is told as %v", h.damages)
			}
			check(t, l.Close())
		}
	}
}

func TestBodyThatContainsFramesIsABody(t *testing.T) {
	fs, path, _ := killed(t, []*Record{messages("a")}, []*Record{messages("b")})
	frames := string(content(t, fs, path))
	l, err := Open(Options{FS: fs, Dir: "log"})
	check(t, err)
	mustAppend(t, l, messages(frames), messages("c"))
	path = files(t, fs)[1]
	// Even if the file's own frames are in it, and its header is lost.
	own := string(content(t, fs, path))
	mustAppend(t, l, messages(own+own))
	mustAppend(t, l, messages("d"))
	end := len(own)
	data := content(t, fs, path)
	data[end+20] ^= 1
	replace(t, fs, path, data)
	var h heard
	l = openLog(t, h.options(fs))
	wantBodies(t, l, "a", "b", frames, "c", "d")
	if h.lost() != 1 {
		t.Errorf("damage is told as %v", h.damages)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	fs, path := tenFrames(t)
	twice := fs.PathJoin("log", (&segment{id: 1, first: 99, salt: 3, after: 99}).fileName())
	for _, name := range []string{"log/notes.txt", "log/garbage.log", twice} {
		replace(t, fs, name, []byte("what is this"))
	}
	var h heard
	l := openLog(t, h.options(fs))
	if got := len(readAll(t, l)); got != 10 {
		t.Errorf("%d messages", got)
	}
	if len(h.damages) != 2 || h.damages[0].Bytes != 12 || h.lost() != 0 {
		t.Errorf("damage is told as %v", h.damages)
	}
	check(t, l.Close())
	check(t, fs.Remove(path))
	check(t, fs.Remove(twice))
	l = openLog(t, h.options(fs))
	wantBodies(t, l, "second segment")
	if next, _ := l.End(); next != 11 {
		t.Errorf("the next number is %d", next)
	}
}

func TestLaterFormIsRefusedByName(t *testing.T) {
	fs, path, ends := killed(t, []*Record{messages("a")})
	seg, _ := parseName(fs.PathBase(path))
	data := append(content(t, fs, path), make([]byte, headerSize)...)
	later := frame{kind: 9, first: 2}
	later.putHeader(data[ends[0]:], seedAt(seg.salt, int64(ends[0])))
	replace(t, fs, path, data)
	if _, err := Open(Options{FS: fs, Dir: "log"}); !errors.Is(err, ErrLaterForm) || !strings.Contains(err.Error(), path) {
		t.Errorf("opened with %v", err)
	}
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	fs, path := tenFrames(t)
	data := content(t, fs, path)
	data[3*168+headerSize+9] ^= 1
	replace(t, fs, path, data)
	var h heard
	l := openLog(t, h.options(fs))
	for at, want := range map[Pos]error{
		posOf(1, 0): nil, posOf(1, 3*168): ErrDamaged, posOf(1, 5): ErrDamaged,
		posOf(1, 10*168): ErrGone, posOf(9, 0): ErrGone,
	} {
		if _, err := l.Read(at); !errors.Is(err, want) {
			t.Errorf("Read(%x): %v, want %v", at, err, want)
		}
	}
	if h.lost() != 2 { // in the frame, and where none begins
		t.Errorf("damage is told as %v", h.damages)
	}
}

// What was refused, and numbers that were left out, are not lost. Nothing of this says so to the
// next Open but the files themselves: a power cut came before seals were on stable storage.
func TestWhatWasNeverAcknowledgedIsNotMissing(t *testing.T) {
	for name, between := range map[string]func(fs *faulty, l *Log){
		"a failed sync": func(fs *faulty, l *Log) {
			fs.syncs.Store(1)
			if l.Append([]*Record{messages("x", "y")}) == nil {
				t.Fatal("a failed sync went unnoticed")
			}
		},
		"raised":       func(_ *faulty, l *Log) { l.Raise(100) },
		"opened above": nil,
	} {
		mem := crashable(t)
		fs := newFaulty()
		fs.FS = mem
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		mustAppend(t, l, messages("a"))
		if between != nil {
			between(fs, l)
		} else {
			l = openLog(t, Options{FS: fs, Dir: "log", Sync: true, First: 100})
		}
		mustAppend(t, l, messages("b"))
		mustAppend(t, l, messages("c"))
		for range 2 { // again, as what is not sealed is read again
			var h heard
			crashed := mem.CrashClone(vfs.CrashCloneCfg{})
			again := openLog(t, h.options(crashed))
			wantBodies(t, again, "a", "b", "c")
			if h.damages != nil {
				t.Errorf("%s: damage is told as %v", name, h.damages)
			}
			mem = crashed
		}
	}
}

// A segment whose end is lost says nothing of what was in those behind it, when they are removed.
func TestWhatWasRemovedIsNotMissing(t *testing.T) {
	fs, path := tenFrames(t)
	l := openLog(t, Options{FS: fs, Dir: "log"})
	mustAppend(t, l, messages("third segment"))
	check(t, l.Remove(2))
	check(t, l.Close())
	data := content(t, fs, path)
	data[0] ^= 1 // so that it is never sealed again
	replace(t, fs, path, data[:len(data)-headerSize])
	var h heard
	wantBodies(t, openLog(t, h.options(fs)), tenth(1), tenth(2), tenth(3), tenth(4), tenth(6), tenth(7), tenth(8), tenth(9), "third segment")
	if h.lost() != 1 {
		t.Errorf("damage is told as %v", h.damages)
	}
}

// appendTogether has a log keep several appends as one group.
func appendTogether(t *testing.T, l *Log, records ...*Record) {
	t.Helper()
	var wg sync.WaitGroup
	l.exclude()
	for i, r := range records {
		wg.Go(func() {
			if err := l.Append([]*Record{r}); err != nil {
				t.Error(err)
			}
		})
		for queued := 0; queued <= i; {
			runtime.Gosched()
			l.mu.Lock()
			queued = len(l.queue)
			l.mu.Unlock()
		}
	}
	l.passOn()
	wg.Wait()
}

// Appends that were to be synced together may reach the disk in any order before a power cut.
func TestHolesInWhatWasSyncedLastAreNoDamage(t *testing.T) {
	frame := headerSize + 5
	for name, c := range map[string]struct {
		sync bool
		hole int // frame
		more bool
		want []string
		lost int64
	}{
		"in the last group":                   {true, 2, false, []string{"a", "b"}, 0},
		"in the last group, its first":        {true, 1, false, []string{"a"}, 0},
		"in the last group, its last":         {true, 3, false, []string{"a", "b", "c"}, 0},
		"before the last group":               {true, 0, false, []string{"b", "c", "d"}, 1},
		"in a group with one behind it":       {true, 2, true, []string{"a", "b", "d", "e"}, 1},
		"in the last group, not to be synced": {false, 2, false, []string{"a", "b", "d"}, 1},
	} {
		fs := vfs.NewMem()
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: c.sync})
		mustAppend(t, l, messages("a"))
		appendTogether(t, l, messages("b"), messages("c"), messages("d"))
		if c.more {
			mustAppend(t, l, messages("e"))
		}
		killed := vfs.NewMem()
		check(t, killed.MkdirAll("log", 0o755))
		path := files(t, fs)[0]
		data := content(t, fs, path)
		clear(data[c.hole*frame:][:frame])
		replace(t, killed, path, data)
		for pass := range 2 {
			var h heard
			again := openLog(t, h.options(killed))
			if got := bodiesOf(readAll(t, again)); !slices.Equal(got, c.want) || h.lost() != c.lost {
				t.Errorf("%s: pass %d: the log has %q, %v told, want %q, %d lost", name, pass, got, h.damages, c.want, c.lost)
			}
			check(t, again.Close())
		}
	}
}

// What was acknowledged is kept, or told as lost, also if the write that a kill or power cut
// interrupted was the next one: that it began shows what was done before.
func TestDamageBeforeATornGroupIsNoPartOfIt(t *testing.T) {
	const frame = headerSize + 5
	for _, sync := range []bool{false, true} {
		fs := vfs.NewMem()
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: sync})
		mustAppend(t, l, messages("a"))
		appendTogether(t, l, messages("b"), messages("c"), messages("d"))
		appendTogether(t, l, messages("e"), messages("f"))
		path := files(t, fs)[0]
		whole := content(t, fs, path)[:6*frame]
		torn := map[string][]byte{
			"a header":                      whole[:4*frame+headerSize],
			"all but a byte of one":         whole[:5*frame-1],
			"all but a byte, then zeros":    append(slices.Clone(whole[:5*frame-1]), make([]byte, 5000)...),
			"a header, then garbage":        append(slices.Clone(whole[:4*frame+headerSize]), bytes.Repeat([]byte{0x51}, 5000)...),
			"a header, then nothing of two": append(slices.Clone(whole[:4*frame+headerSize]), make([]byte, 5+frame)...),
		}
		if sync { // and the second, which is not kept without the first
			torn["one half and the other"] = append(slices.Clone(whole[:5*frame-1]), append([]byte{0}, whole[5*frame:]...)...)
		}
		for name, data := range torn {
			for at := range 4 * frame {
				flipped := slices.Clone(data)
				flipped[at] ^= 0x10
				wantDamageOnce(t, fmt.Sprintf("%s, a flip at %d", name, at), path, flipped, at/frame)
			}
		}
	}
}

// wantDamageOnce has a log of four messages, and something torn behind them, that lost one of
// these tell so each time it is opened, and never give a number twice.
func wantDamageOnce(t *testing.T, name, path string, data []byte, lost int) {
	t.Helper()
	fs := vfs.NewMem()
	check(t, fs.MkdirAll("log", 0o755))
	replace(t, fs, path, data)
	want := slices.Delete([]string{"a", "b", "c", "d"}, lost, lost+1)
	for pass := range 3 {
		var h heard
		l := openLog(t, h.options(fs))
		if got := bodiesOf(readAll(t, l)); !slices.Equal(got, want) || h.lost() != 1 || len(h.damages) != 1 {
			t.Fatalf("%s, pass %d: the log has %q, %v told, want %q, 1 lost", name, pass, got, h.damages, want)
		}
		if pass == 1 {
			next := messages("next")
			mustAppend(t, l, next)
			if next.First != 5 {
				t.Fatalf("%s: the next number is %d", name, next.First)
			}
			want = append(want, "next")
		}
		check(t, l.Close())
	}
}
