package seglog

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFS is a file system whose syncs take time, of a fake clock.
type slowFS struct {
	vfs.FS
	sync  time.Duration
	mu    sync.Mutex
	syncs int
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (s *slowFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(name, c, o...)
	return &slowFile{f, s}, err
}

func (f *slowFile) SyncData() error {
	time.Sleep(f.fs.sync)
	f.fs.mu.Lock()
	f.fs.syncs++
	f.fs.mu.Unlock()
	return f.File.SyncData()
}

func (s *slowFS) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.syncs
}

func TestPublishersThatComeBackShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		const publishers, each = 16, 100
		var wg sync.WaitGroup
		for i := range publishers {
			wg.Go(func() {
				for range each {
					mustAppend(t, l, messages("m"))
					time.Sleep(time.Duration(i) * 10 * time.Microsecond) // as they do not come all at once
				}
			})
		}
		wg.Wait()
		if n := fs.count(); n > each+10 {
			t.Errorf("%d syncs for %d messages of each of %d publishers", n, each, publishers)
		}
	})
}

func TestAPublisherThatIsAloneDoesNotWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		mustAppend(t, l, messages("first")) // which creates the file
		for range 100 {
			begun := time.Now()
			mustAppend(t, l, messages("m"))
			if took := time.Since(begun); took != time.Millisecond {
				t.Fatalf("an append took %s, its sync a millisecond", took)
			}
		}
	})
}

// Publishers that do not come back at once: hardly an append waits for them, and not
// for long.
func TestWaitsThatAreOfNoUseAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		var late, longest = 0, time.Duration(0)
		const rounds = 1000
		for range rounds {
			var wg sync.WaitGroup
			for range 2 { // who meet here, and are alone then
				wg.Go(func() { mustAppend(t, l, messages("both")) })
			}
			wg.Wait()
			begun := time.Now()
			mustAppend(t, l, messages("one"))
			took := time.Since(begun)
			longest = max(longest, took)
			if took > time.Millisecond {
				late++
			}
			time.Sleep(5 * time.Millisecond)
		}
		if late > rounds/20 || longest > time.Millisecond+gatherTime {
			t.Errorf("%d of %d appends waited, the longest took %s", late, rounds, longest)
		}
	})
}

func TestAppendsThatAreStartedShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		var started []Appending
		for _, body := range []string{"one", "two", "three"} {
			a, err := l.Start([]*Record{messages(body)})
			check(t, err)
			started = append(started, a)
		}
		if n := fs.count(); n != 0 {
			t.Errorf("%d syncs before anybody waits", n)
		}
		for _, a := range started {
			check(t, a.Wait())
		}
		if n := fs.count(); n != 1 {
			t.Errorf("%d syncs for three appends", n)
		}
		wantBodies(t, l, "one", "two", "three")
	})
}

func TestAppendsThatAreStartedKeepNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		first, err := l.Start([]*Record{messages("started")})
		check(t, err)
		mustAppend(t, l, messages("waited for")) // leads the other, too
		check(t, first.Wait())
		wantBodies(t, l, "started", "waited for")

		last, err := l.Start([]*Record{messages("never written")})
		check(t, err)
		check(t, l.Close())
		if err := last.Wait(); err != ErrClosed {
			t.Errorf("an append that was started before Close: %v", err)
		}
	})
}

// More waits than a group takes: it goes at once, as who else comes is not in it.
func TestAGroupThatIsFullDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &slowFS{FS: vfs.NewMem(), sync: time.Millisecond}
		l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
		body := string(make([]byte, groupBytes/3))
		const publishers, each = 16, 20
		var wg sync.WaitGroup
		begun := time.Now()
		for range publishers {
			wg.Go(func() {
				for range each {
					mustAppend(t, l, messages(body))
					time.Sleep(gatherTime / 2)
				}
			})
		}
		wg.Wait()
		took, syncs := time.Since(begun), time.Duration(fs.count())
		if idle := took - syncs*fs.sync; idle > took/10 {
			t.Errorf("%s of %s nothing was synced, with %d syncs", idle, took, syncs)
		}
	})
}
