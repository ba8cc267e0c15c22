package nsqd

import (
	"cmp"
	"encoding/binary"
	"time"

	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/netlimit"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Of the files that can be open besides connections, disk queues and the logs of durable
// topics leave some for metadata, listeners and logs, auth servers and statsd, and what
// several queues open for a moment. The index of durable topics has indexFiles at most.
// No number of queues or logs needs more than maxDiskFiles; with minDiskFiles they work,
// as they open a file again when they need it.
const (
	otherFiles   = 24
	indexFiles   = 40
	minDiskFiles = 4
	maxDiskFiles = 8192
)

// openDisk opens the disk queues of the data path.
func (e *env) openDisk() error {
	files, err := netlimit.Reserve()
	if err != nil {
		return err
	}
	e.reserve = e.keepFree()
	queues, err := e.shareFiles(files - otherFiles)
	if err != nil {
		return err
	}
	e.disk, err = diskq.OpenStore(e.diskOptions(queues))
	return err
}

// shareFiles says how many files disk queues may keep open, and has the store of durable
// topics know how many its logs may. Without durable topics disk queues get all.
func (e *env) shareFiles(files int) (queues int, err error) {
	there, err := e.durable.exists()
	logs := min(max((files-indexFiles)/2, minDiskFiles), maxDiskFiles)
	e.durable.files = logs
	if there || e.opts.Durability != Memory {
		return logs, err
	}
	return min(files, maxDiskFiles), err
}

// diskOptions are those of disk queues that may keep so many files open.
func (e *env) diskOptions(files int) diskq.Options {
	return diskq.Options{
		Dir:             e.opts.DataPath,
		MaxBytesPerFile: e.opts.MaxBytesPerFile,
		HeaderLen:       wire.MessageHeaderLen,
		Plausible:       plausibleHeader,
		SyncEvery:       e.opts.SyncEvery,
		SyncTimeout:     e.opts.SyncTimeout,
		OpenFiles:       files,
		KeepFree:        e.reserve,
		Logger:          e.log,
		Health:          e.health.set,
	}
}

// maxKeepFree is what is kept free of a large disk where the options do not say.
const maxKeepFree = 64 << 20

func (e *env) keepFree() int64 {
	if e.opts.MinFreeDisk > 0 {
		return e.opts.MinFreeDisk
	}
	_, total, err := diskspace.Free(e.opts.DataPath)
	if err != nil {
		e.log.Warn("DISK: no space can be kept free for what is in memory at a stop", "error", err)
		return 0
	}
	return min(maxKeepFree, total/16)
}

// closeDisk ends what openDisk began; the queues are closed before.
func (e *env) closeDisk() {
	if e.disk != nil {
		e.disk.Close()
	}
}

// plausibleHeader reports whether a record on disk begins as a message does. It
// accepts every time that a clock may have shown, also one that was never set:
// the digits of the id are what tells messages from other bytes.
func plausibleHeader(header []byte) bool {
	t := int64(binary.BigEndian.Uint64(header))
	if t <= 0 || t >= endOfTime {
		return false
	}
	_, ok := wire.ParseID(header[wire.MessageHeaderLen-wire.MessageIDLen : wire.MessageHeaderLen])
	return ok
}

// endOfTime is beyond every plausible time of a message.
var endOfTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// damageStats returns nil where nothing is damaged.
func damageStats(d diskq.Damage) *stats.Damage {
	if d == (diskq.Damage{}) {
		return nil
	}
	return &stats.Damage{Ranges: d.Ranges, Bytes: d.Bytes, Records: d.Records, Metas: d.Metas}
}

// sumDamage returns both together, nil for none.
func sumDamage(a, b *stats.Damage) *stats.Damage {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &stats.Damage{Ranges: a.Ranges + b.Ranges, Bytes: a.Bytes + b.Bytes, Records: a.Records + b.Records, Metas: a.Metas + b.Metas}
}

// damage returns what was found damaged on the queue's disk, or nil.
func (q *queue) damage() *stats.Damage {
	if q.disk == nil {
		return nil
	}
	return damageStats(q.disk.Damage())
}
