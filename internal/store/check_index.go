package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/bits"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// A write-ahead log of the index consists of blocks, and these of chunks: a checksum of what follows
// but for the length, the length of what follows the head, a kind, and the number of the log, as its
// file may have been another one's. A clean end has a chunk without checksum, of the next number.
const (
	walBlock    = 32 << 10
	walHead     = 4 + 2 + 1 + 4
	walFull     = 5 // a whole record
	walLastKind = 8 // the end of a record that is in several chunks
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkIndexLogs tells of damage in the write-ahead logs of an index: what the database cannot read of
// the last one it takes for the end that a kill left, without a word. Damage with nothing
// behind it looks the same here.
func checkIndexLogs(fsys vfs.FS, dir string, damage func(seglog.Damage)) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) { // which Open finds
		return nil
	}
	for _, name := range names {
		number, _, ok := wal.ParseLogFilename(name)
		if !ok {
			continue
		}
		path := fsys.PathJoin(dir, name)
		data, err := readFile(fsys, path)
		if err != nil {
			return err
		}
		eachWALHole(data, uint32(number), func(from, to int) {
			damage(seglog.Damage{File: path, Offset: int64(from), Bytes: int64(to - from)})
		})
	}
	return err
}

// eachWALHole calls f with the places between chunks of a log that are none.
func eachWALHole(data []byte, number uint32, f func(from, to int)) {
	for at := 0; ; {
		at = skipWALChunks(data, at, number)
		next := at + 1
		for next < len(data) && walChunk(data, next, number) == 0 {
			next++
		}
		if next >= len(data) {
			return
		}
		f(at, next)
		at = next
	}
}

// skipWALChunks returns where the first chunk is not valid, from one that is to be.
func skipWALChunks(data []byte, at int, number uint32) int {
	for at < len(data) {
		if left := walBlock - at%walBlock; left < walHead {
			at += left
			continue
		}
		n := walChunk(data, at, number)
		if n == 0 {
			break
		}
		at += n
	}
	return at
}

// walChunk returns the length of the chunk at an offset, 0 if there is no valid one.
func walChunk(data []byte, at int, number uint32) int {
	b := data[at:min(len(data), at-at%walBlock+walBlock)]
	if len(b) < walHead || b[6] < walFull || b[6] > walLastKind {
		return 0
	}
	sum, n, of := binary.LittleEndian.Uint32(b), walHead+int(binary.LittleEndian.Uint16(b[4:])), binary.LittleEndian.Uint32(b[7:])
	switch {
	case of == number+1 && sum == 0 && n == walHead && b[6] == walFull: // the end
		return n
	case of != number || n > len(b) || sum != bits.RotateLeft32(crc32.Checksum(b[6:n], castagnoli), 17)+0xa282ead8:
		return 0
	}
	return n
}
