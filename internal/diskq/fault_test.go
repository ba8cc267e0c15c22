package diskq

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// A faultyDisk is the file system, except that operations fail for which fail
// returns an error. A write that fails writes half of what it was given.
type faultyDisk struct {
	osDisk
	quick bool // do not wait for anything to be durable, which these tests could not see
	mu    sync.Mutex
	fail  func(op, path string) error
}

func (d *faultyDisk) set(fail func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *faultyDisk) err(op, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil {
		return nil
	}
	return d.fail(op, path)
}

func (d *faultyDisk) open(path string, flag int) (file, error) {
	if err := d.err("open", path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.open(path, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d, path}, nil
}

func (d *faultyDisk) replace(path string, data []byte) error {
	if err := d.err("replace", path); err != nil {
		return err
	}
	if d.quick {
		return errors.Join(os.WriteFile(path+".1.tmp", data, 0o600), os.Rename(path+".1.tmp", path))
	}
	return d.osDisk.replace(path, data)
}

func (d *faultyDisk) syncDir(dir string) error {
	if d.quick {
		return nil
	}
	return d.osDisk.syncDir(dir)
}

func (d *faultyDisk) remove(path string) (bool, error) {
	if err := d.err("remove", path); err != nil {
		return false, err
	}
	return d.osDisk.remove(path)
}

func (d *faultyDisk) list(dir string) ([]string, error) {
	if err := d.err("list", dir); err != nil {
		return nil, err
	}
	return d.osDisk.list(dir)
}

func (d *faultyDisk) size(path string) (int64, error) {
	if err := d.err("size", path); err != nil {
		return 0, err
	}
	return d.osDisk.size(path)
}

type faultyFile struct {
	file
	d    *faultyDisk
	path string
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.err("write", f.path); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return f.file.WriteAt(b, off)
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.d.err("read", f.path); err != nil {
		return 0, err
	}
	return f.file.ReadAt(b, off)
}

func (f *faultyFile) Sync() error {
	if err := f.d.err("sync", f.path); err != nil {
		return err
	}
	if f.d.quick {
		return nil
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.d.err("truncate", f.path); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// failing returns what has the n-th of these operations, and those after it, fail.
func failing(n int, err error, ops ...string) func(op, path string) error {
	return func(op, _ string) error {
		if !slices.Contains(ops, op) {
			return nil
		}
		if n--; n < 0 {
			return err
		}
		return nil
	}
}

// A batch that cannot be written as a whole is not there at all, wherever in it
// the disk fails, and also if what was written cannot be taken back at once.
func TestFailedPutChangesNothing(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EMFILE} {
		for _, ops := range [][]string{{"write"}, {"open"}, {"open", "write"}, {"write", "truncate", "remove"}, {"open", "truncate", "remove", "size"}} {
			for n := range 6 {
				for _, open := range []bool{true, false} { // or after the file was given back
					testFailedPut(t, failing(n, err, ops...), err, open)
				}
			}
		}
	}
}

func testFailedPut(t *testing.T, fail func(op, path string) error, want error, open bool) {
	t.Helper()
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 100
	d := &faultyDisk{quick: true}
	o.disk = d
	q := newQueue(t, "orders", o)
	putBatch(t, q, records(0, 7))
	before := dirNames(t, o.Dir)
	if !open {
		q.idle()
	}
	d.set(fail)
	err := q.Put(batch(records(7, 20)...))
	mended := err == nil
	if !mended && !errors.Is(err, want) {
		t.Errorf("Put: %v, want %v", err, want)
	}
	d.set(nil)
	all := records(0, 7)
	if mended {
		all = records(0, 20)
	}
	wantDepth(t, q, len(all))
	if err := q.Put(batch(record(30))); err != nil {
		t.Errorf("Put when the disk works again: %v", err)
	}
	if names := dirNames(t, o.Dir); !mended && len(names) > len(before)+1 {
		t.Errorf("files %q, before the failed Put %q", names, before)
	}
	all = append(all, record(30))
	q2 := reopen(t, "orders", crash(t, o))
	wantRecords(t, takeAll(t, q2), all)
	wantRecords(t, takeAll(t, q), all)
	if d := q.Damage(); d != (Damage{}) {
		t.Errorf("damage %+v", d)
	}
}

// A failing disk is not damage: reading goes on where it was.
func TestFailedReadChangesNothing(t *testing.T) {
	for _, err := range []error{syscall.EIO, syscall.EMFILE, syscall.EACCES} {
		for _, op := range []string{"open", "read", "size"} {
			for n := range 8 {
				var log loggingtest.Buffer
				o := testOptions(t.TempDir())
				o.MaxBytesPerFile = 300
				o.Logger = log.Logger(slog.LevelInfo)
				d := &faultyDisk{quick: true}
				o.disk = d
				q := newQueue(t, "orders", o)
				putBatch(t, q, records(0, 60))
				q.idle()
				d.set(failing(n, err, op))
				var got []string
				for range 4 {
					recs, readErr := q.Read(nil, 20, 1<<20)
					if readErr != nil && !errors.Is(readErr, err) {
						t.Errorf("Read: %v", readErr)
					}
					for _, r := range recs {
						got = append(got, string(r))
					}
					wantDepth(t, q, 60-len(got))
				}
				d.set(nil)
				failed := len(got) < 60
				got = append(got, takeAll(t, q)...)
				wantRecords(t, got, records(0, 60))
				if d := q.Damage(); d != (Damage{}) {
					t.Errorf("damage %+v", d)
				}
				for _, text := range []string{"cannot be read", "can be read again"} {
					if c := strings.Count(log.String(), text); failed && c != 1 {
						t.Errorf("%d lines %q in %s", c, text, log.String())
					}
				}
			}
		}
	}
}

// A queue that goes while it fails does not seem to have recovered.
func TestClosingIsNoRecovery(t *testing.T) {
	for name, end := range map[string]func(*Queue) error{"close": (*Queue).Close, "delete": (*Queue).Delete} {
		var log loggingtest.Buffer
		var health healthLog
		o := testOptions(t.TempDir())
		o.Logger, o.Health = log.Logger(slog.LevelInfo), health.set
		d := &faultyDisk{quick: true}
		o.disk = d
		q := newQueue(t, "orders", o)
		putAll(t, q, records(0, 1))
		d.set(failing(0, syscall.ENOSPC, "write"))
		if err := q.Put(batch(record(1))); !errors.Is(err, syscall.ENOSPC) || health.get("orders") == nil {
			t.Errorf("Put: %v, health %v", err, health.get("orders"))
		}
		d.set(nil)
		if err := end(q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(log.String(), "can be written again") || !strings.Contains(log.String(), "cannot be written") {
			t.Errorf("%s: the log says %s", name, log.String())
		}
		if err := health.get("orders"); err != nil {
			t.Errorf("%s: health is still %v", name, err)
		}
	}
}

func TestMetaNeverPromisesWhatIsNotSynced(t *testing.T) {
	o := testOptions(t.TempDir())
	d := &faultyDisk{quick: true}
	o.disk = d
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	d.set(failing(0, syscall.EIO, "sync"))
	for range 2 {
		if err := q.sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v", err)
		}
		wantFiles(t, o.Dir, "orders.diskqueue.000000.dat")
	}
	d.set(nil)
	mustSync(t, q)
	if m, err := parseMeta([]byte(readFile(t, q.files.metaPath()))); err != nil || m.depth != 10 {
		t.Errorf("meta %+v, %v", m, err)
	}
}

// On a full disk the files that were read are the room that there is.
func TestReadFilesAreRemovedOnAFullDisk(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 300
	d := &faultyDisk{quick: true}
	o.disk = d
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 100))
	mustSync(t, q)
	files := len(dirNames(t, o.Dir))
	take(t, q, 50)
	d.set(func(op, path string) error {
		if op == "replace" && len(dirNames(t, o.Dir)) == files {
			return syscall.ENOSPC
		}
		return nil
	})
	mustSync(t, q)
	if n := len(dirNames(t, o.Dir)); n >= files {
		t.Errorf("%d files, before %d", n, files)
	}
	wantRecords(t, takeAll(t, q), records(50, 100))
}

// healthLog is what Options.Health was told last, by queue.
type healthLog struct {
	mu   sync.Mutex
	errs map[string]error
}

func (h *healthLog) set(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.errs == nil {
		h.errs = map[string]error{}
	}
	h.errs[name] = err
}

func (h *healthLog) get(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.errs[name]
}

// What fails is tried again by the store itself, and each queue is well again
// when it works, not when another one does.
func TestQueuesHealByThemselves(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var h healthLog
		o := testOptions(dir)
		o.Health = h.set
		d := &faultyDisk{quick: true}
		o.disk = d
		s := openStore(t, o)
		names := []string{"a", "b", "c"}
		queues := map[string]*Queue{}
		for _, name := range names {
			queues[name] = useQueue(t, s, name)
			putAll(t, queues[name], records(0, 3))
		}
		broken := "" // part of the path
		d.set(func(op, path string) error {
			if (op == "write" || op == "replace" || op == "sync") && strings.Contains(path, broken) {
				return syscall.ENOSPC
			}
			return nil
		})
		for _, name := range names {
			if err := queues[name].Put(batch(record(1))); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Put: %v", err)
			}
		}
		<-time.After(10 * time.Second)
		for _, name := range names {
			if h.get(name) == nil {
				t.Errorf("%s is well on a full disk", name)
			}
		}
		d.mu.Lock()
		broken = "b.diskqueue"
		d.mu.Unlock()
		<-time.After(5 * time.Second)
		for _, name := range names {
			if err := h.get(name); (err != nil) != (name == "b") {
				t.Errorf("with only b broken, %s has %v", name, err)
			}
		}
		d.set(nil)
		<-time.After(2 * time.Second)
		if err := h.get("b"); err != nil {
			t.Errorf("b has %v", err)
		}
		// A sync that fails is a failure, too, and one that is deleted is none.
		d.set(failing(0, syscall.EIO, "sync"))
		putAll(t, queues["a"], records(1, 2))
		putAll(t, queues["b"], records(1, 2))
		queues["a"].sync()
		queues["b"].sync()
		if h.get("a") == nil || h.get("b") == nil {
			t.Error("a queue that cannot be synced is well")
		}
		queues["a"].Delete()
		if err := h.get("a"); err != nil {
			t.Errorf("a, which is deleted, has %v", err)
		}
		d.set(nil)
		<-time.After(2 * time.Second)
		if err := h.get("b"); err != nil {
			t.Errorf("b has %v", err)
		}
		for _, name := range names {
			mustClose(t, queues[name])
		}
		s.syncs.mu.Lock()
		defer s.syncs.mu.Unlock()
		if len(s.syncs.failing) != 0 {
			t.Errorf("%d queues are still tried again", len(s.syncs.failing))
		}
	})
}
