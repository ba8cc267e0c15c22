package compress

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// The framing format of snappy: a start, then chunks of a type, a length in
// three bytes, a checksum of the data, and the data.
const (
	snappyStart        = "\xff\x06\x00\x00sNaPpY"
	snappyCompressed   = 0x00
	snappyUncompressed = 0x01
	snappyHeaderLen    = 8
	snappyPiece        = 64 << 10 // the most data that a chunk may hold
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendSnappy appends a chunk that holds p.
func appendSnappy(dst, p []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, snappyHeaderLen+max(s2.MaxEncodedLen(len(p)), len(p)))
	dst = dst[:start+snappyHeaderLen]
	data := s2.EncodeSnappy(dst[len(dst):cap(dst)], p)
	kind := uint32(snappyCompressed)
	if len(data) >= len(p)-len(p)/8 { // not worth the reader's time
		kind, data = snappyUncompressed, p
	}
	sum := crc32.Checksum(p, castagnoli)
	binary.LittleEndian.PutUint32(dst[start:], kind|uint32(len(data)+4)<<8)
	binary.LittleEndian.PutUint32(dst[start+4:], (sum>>15|sum<<17)+0xa282ead8)
	return append(dst, data...)
}
