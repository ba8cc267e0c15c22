// Package diskspace tells how much room is left for files.
package diskspace

import (
	"errors"
	"math"
)

// ErrUnknown is returned by Free on systems that this package cannot ask.
var ErrUnknown = errors.New("the free space of a disk is unknown on this system")

// Free returns how many bytes can still be written to the file system of a
// directory by a program without privileges, and its size.
func Free(dir string) (free, total int64, err error) { return statfs(dir) }

// IsFull reports whether an error says that there is no room left: on the disk,
// or of what its owner may use.
func IsFull(err error) bool {
	for _, full := range fullErrors {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// bytes returns so many blocks in bytes, as far as an int64 can hold them.
func bytes(blocks, size uint64) int64 {
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size)
}
