package diskq

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Head returns the header of the record that Read would return next. It reads it
// from a file that it opens itself, and takes no lock that is held over the disk,
// so neither Put nor Read waits for it. It reports false where there is no record,
// where it is damaged, and where others read on meanwhile.
func (q *Queue) Head() (header []byte, ok bool, err error) {
	q.mu.Lock()
	at, end := q.read, q.write
	q.mu.Unlock()
	if q.depth.Load() == 0 || at == end {
		return nil, false, nil
	}
	head := make([]byte, sizeLen+q.store.opts.HeaderLen)
	n, err := q.readAt(head, at)
	if n == 0 && err == io.EOF && at.file < end.file { // Read has yet to see that the file has ended
		_, err = q.readAt(head, position{file: at.file + 1})
	}
	if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	header = head[sizeLen:]
	length := int64(binary.BigEndian.Uint32(head))
	return header, length >= q.store.shape.header && q.store.opts.Plausible(header), nil
}

// readAt fills b from a position. The error is io.EOF where there is less.
func (q *Queue) readAt(b []byte, at position) (n int, err error) {
	f, err := q.store.open(q.files.dataPath(at.file), os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer q.store.close(f)
	return f.ReadAt(b, at.offset)
}

// Sizes returns how many bytes the files of each queue take, also of what was set
// aside as damaged, by the names of the queues. It reads the directory and asks for
// the size of every file.
func (s *Store) Sizes() (map[string]int64, error) {
	names, err := s.disk.list(s.opts.Dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64)
	for _, fileName := range names {
		i := strings.LastIndex(fileName, infix)
		if i < 0 {
			continue
		}
		size, err := s.disk.size(filepath.Join(s.opts.Dir, fileName))
		if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		sizes[fileName[:i]] += size
	}
	return sizes, nil
}
