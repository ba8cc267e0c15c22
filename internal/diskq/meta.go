package diskq

import (
	"cmp"
	"errors"
	"fmt"
)

// A position is the offset of a record boundary in a numbered data file.
type position struct {
	file, offset int64
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.file, o.file), cmp.Compare(p.offset, o.offset))
}

// meta is the content of a meta file.
type meta struct {
	depth       int64 // records between read and write; other software may have left nonsense here
	read, write position
}

const metaFormat = "%d\n%d,%d\n%d,%d\n"

func (m meta) encode() []byte {
	return fmt.Appendf(nil, metaFormat, m.depth, m.read.file, m.read.offset, m.write.file, m.write.offset)
}

var errMeta = errors.New("unparsable meta file")

// parseMeta is strict: a number that lost its last digit would be a wrong
// position, which is worse than none. It fails with errMeta.
func parseMeta(b []byte) (meta, error) {
	var m meta
	_, err := fmt.Sscanf(string(b), metaFormat, &m.depth, &m.read.file, &m.read.offset, &m.write.file, &m.write.offset)
	valid := min(m.read.file, m.read.offset, m.write.file, m.write.offset) >= 0 && m.read.compare(m.write) <= 0
	if err != nil || !valid || string(m.encode()) != string(b) {
		return meta{}, fmt.Errorf("%w: %.80q", errMeta, b)
	}
	return m, nil
}
