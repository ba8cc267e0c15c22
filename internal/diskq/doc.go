// Package diskq is the disk queue that a topic's or channel's memory overflows
// into: a first-in-first-out queue of records on disk. Its files are those of
// classic software, byte for byte, in both directions:
//
//	<name>.diskqueue.000000.dat             records, each an int32 length (big endian) and its bytes
//	<name>.diskqueue.meta.dat               depth, read and write position, as text
//	<name>.diskqueue.meta.dat.<n>.tmp       a meta file being written
//	<name>.diskqueue.000000.dat.<n>.bad     a copy of damaged bytes, from offset n; never touched again
//
// A Store is all queues of one data path. A queue that is not used holds no
// goroutine, no timer and no open file; one goroutine of the store makes what
// was written durable and looks after queues that fail.
//
// # What is promised
//
// A Put is a batch: it is in the queue whole, or with an error not at all. When
// it returns, the records have been handed to the operating system; they are on
// stable storage within the bounds of SyncEvery and SyncTimeout, data always
// before the meta file that counts it. Full disks, I/O errors and a lack of
// descriptors are reasons to refuse, never damage: nothing is changed, skipped or
// renamed for them, and the queue goes on when they are gone.
// A Put leaves some of the disk free (Options.KeepFree), so that what is in memory
// when the daemon stops has a place, and a data file that was read to its end
// gives its room back.
//
// # Damage
//
// A data file has no checksums. What it has is a shape: a length, a header that
// the user of the package can judge (Options.Plausible), and another record, or
// the end, just behind. Where that does not hold the reader searches for the next
// place where it does, keeps a copy of what lies between, counts it and says so.
// What the shape does not show goes unseen: changed bytes of a body, and a length
// that by chance leads to where another record begins.
//
// Records are judged as they are read, not when the queue is opened: the check
// would have to read the whole backlog, and a start with 10 GB of it would take
// a minute from a common disk for a fault that next to never is there. Opening
// reads the meta file, makes sure that both of its positions are record
// boundaries, and walks what lies behind the write position, which a crash
// leaves. Only a meta file that is missing or contradicts the data has the whole
// queue counted.
package diskq
