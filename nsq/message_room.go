package nsq

import "unsafe"

const (
	messageSize = unsafe.Sizeof(Message{})

	// mallocHeader is what the runtime adds to an object with pointers of more
	// than 512 bytes, and on a 32-bit machine to one of more than 128.
	mallocHeader = 8
	on32Bit      = 1 - unsafe.Sizeof(uintptr(0))/8

	// besidesRoom is what else is in an object with room for a body, and
	// besidesLarge in one of more than 512 bytes.
	besidesRoom  = messageSize + on32Bit*mallocHeader
	besidesLarge = messageSize + mallocHeader

	// maxRoom is the largest body that is in one object with its message.
	maxRoom = int(2048 - besidesLarge)
)

// newMessage returns a message with a body of n bytes, at most maxRoom, to be
// filled. Both are in one object of a size that the runtime has a class for, so
// that hardly more memory is taken than is needed. There is no room to append
// to a body: that makes a copy.
func newMessage(n int) *Message {
	switch size := uintptr(n); {
	case n == 0:
		return &Message{Body: []byte{}}
	case size <= 128-besidesRoom:
		return messageWith(n, func(room *[128 - besidesRoom]byte) []byte { return room[:] })
	case size <= 160-besidesRoom:
		return messageWith(n, func(room *[160 - besidesRoom]byte) []byte { return room[:] })
	case size <= 192-besidesRoom:
		return messageWith(n, func(room *[192 - besidesRoom]byte) []byte { return room[:] })
	case size <= 224-besidesRoom:
		return messageWith(n, func(room *[224 - besidesRoom]byte) []byte { return room[:] })
	case size <= 256-besidesRoom:
		return messageWith(n, func(room *[256 - besidesRoom]byte) []byte { return room[:] })
	case size <= 288-besidesRoom:
		return messageWith(n, func(room *[288 - besidesRoom]byte) []byte { return room[:] })
	case size <= 320-besidesRoom:
		return messageWith(n, func(room *[320 - besidesRoom]byte) []byte { return room[:] })
	case size <= 352-besidesRoom:
		return messageWith(n, func(room *[352 - besidesRoom]byte) []byte { return room[:] })
	case size <= 384-besidesRoom:
		return messageWith(n, func(room *[384 - besidesRoom]byte) []byte { return room[:] })
	case size <= 416-besidesRoom:
		return messageWith(n, func(room *[416 - besidesRoom]byte) []byte { return room[:] })
	case size <= 448-besidesRoom:
		return messageWith(n, func(room *[448 - besidesRoom]byte) []byte { return room[:] })
	case size <= 480-besidesRoom:
		return messageWith(n, func(room *[480 - besidesRoom]byte) []byte { return room[:] })
	case size <= 512-besidesRoom:
		return messageWith(n, func(room *[512 - besidesRoom]byte) []byte { return room[:] })
	case size <= 576-besidesLarge:
		return messageWith(n, func(room *[576 - besidesLarge]byte) []byte { return room[:] })
	case size <= 640-besidesLarge:
		return messageWith(n, func(room *[640 - besidesLarge]byte) []byte { return room[:] })
	case size <= 704-besidesLarge:
		return messageWith(n, func(room *[704 - besidesLarge]byte) []byte { return room[:] })
	case size <= 768-besidesLarge:
		return messageWith(n, func(room *[768 - besidesLarge]byte) []byte { return room[:] })
	case size <= 896-besidesLarge:
		return messageWith(n, func(room *[896 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1024-besidesLarge:
		return messageWith(n, func(room *[1024 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1152-besidesLarge:
		return messageWith(n, func(room *[1152 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1280-besidesLarge:
		return messageWith(n, func(room *[1280 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1408-besidesLarge:
		return messageWith(n, func(room *[1408 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1536-besidesLarge:
		return messageWith(n, func(room *[1536 - besidesLarge]byte) []byte { return room[:] })
	case size <= 1792-besidesLarge:
		return messageWith(n, func(room *[1792 - besidesLarge]byte) []byte { return room[:] })
	case size <= 2048-besidesLarge:
		return messageWith(n, func(room *[2048 - besidesLarge]byte) []byte { return room[:] })
	}
	panic("no room in a message")
}

// messageWith returns a message with a body of n bytes, which are in the array
// next to it; slice slices that.
func messageWith[Room any](n int, slice func(*Room) []byte) *Message {
	m := new(struct {
		Message
		room Room
	})
	m.Body = slice(&m.room)[:n:n]
	return &m.Message
}
