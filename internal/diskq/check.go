package diskq

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/seed893f581e/nsq/internal/durable"
)

// A checker makes the files of a queue agree with each other before
// go-diskqueue opens them. After a crash the meta file is older than the data,
// or missing: go-diskqueue would then count wrong, or start over and write on
// top of what is there.
type checker struct {
	files
	minRecord, maxRecord int32
	log                  *slog.Logger
}

// check leaves a meta file whose depth and positions are exact, and data files
// that end after a whole record. It reads only what lies beyond the recorded
// write position, unless the meta file is missing or contradicts the files. It
// fails only if the files cannot be read or written; damage is set aside and logged.
func (c checker) check(ls listing) error {
	for _, path := range ls.temp {
		if err := removeIfThere(path); err != nil {
			return err
		}
	}
	if !ls.meta && len(ls.data) == 0 {
		return nil
	}
	recorded, m, err := c.recorded(ls)
	if err != nil {
		return err
	}
	from := m.write
	for i, num := range ls.data {
		if num < from.file {
			continue
		}
		var offset int64
		if num == from.file {
			offset = from.offset
		}
		records, end, err := c.salvage(num, offset, i == len(ls.data)-1)
		if err != nil {
			return err
		}
		m.depth += records
		m.write = position{num, end}
	}
	if recorded == m {
		return nil
	}
	c.log.Info("disk queue positions corrected", "queue", c.name, "depth", m.depth)
	return c.writeMeta(m)
}

// recorded returns what the meta file says, for comparison, and the state from
// which to count on: the same if it fits the data files, else an empty one at
// the first record that may still be unread.
func (c checker) recorded(ls listing) (recorded, start meta, err error) {
	first := position{}
	if len(ls.data) > 0 {
		first.file = ls.data[0]
	}
	unknown := meta{depth: -1} // differs from all that can be counted
	if !ls.meta {
		c.log.Warn("disk queue has no meta file, counting its records", "queue", c.name, "file", c.dataPath(first.file))
		return unknown, meta{read: first, write: first}, nil
	}
	m, err := c.readMeta()
	if errors.Is(err, errMeta) {
		c.log.Warn("disk queue meta file makes no sense, counting records", "queue", c.name, "file", c.metaPath(), "offset", 0, "error", err)
		return unknown, meta{read: first, write: first}, nil
	}
	if err != nil {
		return meta{}, meta{}, err
	}
	fits, err := c.fits(m, ls.data)
	if err != nil || fits {
		return m, m, err
	}
	c.log.Warn("disk queue meta file does not fit the data files, counting records",
		"queue", c.name, "file", c.metaPath(), "meta", m.encode())
	read, err := c.unread(m, ls.data)
	return m, meta{read: read, write: read}, err
}

// fits reports whether all that m counts can be there.
func (c checker) fits(m meta, data []int64) (bool, error) {
	if m.depth < 0 || (m.depth == 0) != (m.read == m.write) {
		return false, nil
	}
	if m.read.file < m.write.file {
		i, _ := slices.BinarySearch(data, m.read.file)
		j, _ := slices.BinarySearch(data, m.write.file)
		if int64(j-i) != m.write.file-m.read.file {
			return false, nil // a file between them is missing
		}
		size, err := c.size(m.read.file)
		if err != nil || size < m.read.offset {
			return false, err
		}
	}
	size, err := c.size(m.write.file)
	return size >= m.write.offset, err
}

// unread returns the first position at or after m.read that exists.
func (c checker) unread(m meta, data []int64) (position, error) {
	i, there := slices.BinarySearch(data, m.read.file)
	if i == len(data) {
		return position{file: m.write.file}, nil
	}
	if !there {
		return position{file: data[i]}, nil
	}
	size, err := c.size(m.read.file)
	return position{m.read.file, min(m.read.offset, size)}, err
}

// size is 0 for a file that is not there.
func (c checker) size(num int64) (int64, error) {
	fi, err := os.Stat(c.dataPath(num))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// salvage counts the records of a data file from offset on and cuts off what
// follows the last good one. A record torn by a crash, possible only at the end
// of the last file, was never confirmed by a sync and is dropped; anything else
// may hold good records and is copied aside first.
func (c checker) salvage(num, offset int64, last bool) (records, end int64, err error) {
	path := c.dataPath(num)
	x, err := scan(path, offset, c.minRecord, c.maxRecord)
	if err != nil || x.end == x.size {
		return x.records, x.end, err
	}
	if last && !x.badLength {
		c.log.Warn("disk queue: torn last record cut off",
			"queue", c.name, "file", path, "offset", x.end, "bytes", x.size-x.end)
	} else {
		bad, err := setAside(path, x.end)
		if err != nil {
			return 0, 0, fmt.Errorf("setting damaged records aside: %w", err)
		}
		c.log.Warn("disk queue: damaged data set aside",
			"queue", c.name, "file", path, "offset", x.end, "bytes", x.size-x.end, "as", bad)
		if err := durable.SyncDir(c.dir); err != nil {
			return 0, 0, err
		}
	}
	return x.records, x.end, truncate(path, x.end)
}

// An extent is a run of whole records in a data file.
type extent struct {
	records   int64
	end, size int64 // of the run, of the file; equal if nothing follows the run
	badLength bool  // what follows begins with an impossible length; else it is cut short
}

// scan walks the records from offset, a record boundary, to the end of the file.
func scan(path string, offset int64, minRecord, maxRecord int32) (extent, error) {
	f, err := os.Open(path)
	if err != nil {
		return extent{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return extent{}, err
	}
	x := extent{end: offset, size: fi.Size()}
	r := bufio.NewReaderSize(io.NewSectionReader(f, offset, x.size-offset), 64<<10)
	for x.size-x.end >= 4 {
		head, err := r.Peek(4)
		if err != nil {
			return x, err
		}
		length := int32(binary.BigEndian.Uint32(head))
		if length < minRecord || length > maxRecord {
			x.badLength = true
			return x, nil
		}
		total := 4 + int64(length)
		if total > x.size-x.end {
			return x, nil
		}
		if _, err := r.Discard(4); err != nil {
			return x, err
		}
		if _, err := r.Discard(int(length)); err != nil {
			return x, err
		}
		x.records++
		x.end += total
	}
	return x, nil
}

// setAside copies a file from offset on to <path>.bad, durably but for the new
// name, and returns that name. It takes another name rather than overwrite.
func setAside(path string, offset int64) (string, error) {
	src, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer src.Close()
	if _, err := src.Seek(offset, io.SeekStart); err != nil {
		return "", err
	}
	bad := path + ".bad"
	dst, err := os.OpenFile(bad, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	for i := 1; errors.Is(err, fs.ErrExist); i++ {
		bad = fmt.Sprintf("%s.%d.bad", path, i)
		dst, err = os.OpenFile(bad, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return "", err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		return "", errors.Join(err, os.Remove(bad))
	}
	return bad, nil
}

// truncate cuts a file durably.
func truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}
