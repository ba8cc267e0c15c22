// Package store keeps topics on disk: messages in logs, one per topic, and in
// an index what can be found out again from the logs: which messages each
// channel finished, and when deferred ones are due. It knows nothing of the
// network, nor of who publishes and consumes.
//
// # What lies where
//
//	format                     the version of all this
//	index/                     a Pebble database, see index_keys.go
//	index.seal                 how far the index got before segments were removed
//	index.rebuild              it is there while the index is not to be trusted
//	index.damaged-<n>/         an index that was set aside
//	reserve                    it takes room, see reserve.go
//	topics/<id>-<name>/        a topic: meta.json says which channels exist, and
//	    log/                   has what was published, and what was deferred since
//	    kept/                  has what is left of segments of log that are removed
//
// # The life of a message
//
// Append gives a batch to the log, which calls Topic.committed once it is kept.
// That adds it to the topic's tail, in memory, and, unless the topic is held,
// releases it: channels may read up to Topic.released. There is no copy for
// each channel: a channel is a cursor, and a position that says what is finished.
// Next reads what the tail has from there, else from the log. Finish marks.
//
// A batch with Due is, when it is released, entered in each channel's index of
// deferred messages and finished in its position. Defer appends the message
// to the log again, as a Moved record, and then does the same. Due gives out what
// is due, from a window of the next ones that is filled from the index, and reads
// the bodies where the entries say. Such a message is taken until it is finished.
//
// Notes write positions, and changes of entries, into the index, for each channel
// as of one moment. After a crash, Moved records behind the place that a
// topic's note says are entered again; what was finished after the note comes again.
//
// Segments that all channels are through with are removed. The few deferred
// messages in one are moved to the kept log before, as are stragglers: messages that
// were given out, and are not finished when the channel is two segments further.
//
// # What is durable when
//
// Appended, deferred and adopted messages: as the topic's durability says, when
// the call returns. Topics and channels that are made or removed, and what is
// emptied: on stable storage, when the call returns. What is finished, and attempts:
// within NoteEvery handed to the operating system, with Fsync on stable storage; that
// also after Close, and before a segment is removed because of it.
//
// If the index is damaged, or older than what was removed because of it, it is set
// aside and made anew from the logs: nothing is lost, but what was finished and is
// still in the logs comes again. Each channel's note has the number and the sum of
// its entries, so that an index that lost some of them is found out. A damaged meta.json is
// made anew from the index; where both are, all of a topic goes to the channels that come first.
//
// When the disk is full, a file that keeps room for that is given up (reserve.go), for what makes
// room. While it is full even so, the database waits (patient.go), as it cannot go on
// after a failed write; notes are refused meanwhile, and written later. A store that is opened
// without the room that the database wants opens it for reading only, until there is room. One
// that is rebuilt stays in memory until then. Where the disk fails, notes are refused, too.
//
// # Goroutines and locks
//
// One goroutine, which is started with the first change, notes, trims and has
// topics that rest let go of memory and files; Close ends it. The database has its own.
//
// Locks, in the order in which they are taken:
//
//	Topic.trimming                who removes segments
//	Topic.releasing               who reads what was held
//	Store.admin, Topic.admin      who exists: the writers of directories and meta.json
//	Channel.reading               who reads for Next
//	index.mu                      commits, and reads that must not see half of one
//	index.open                    who reads, and who opens the database again for writing
//	Topic.mu                      tail, released, channels
//	Channel.mu                    position and deferred messages
//	Store.mu, and those of the logs
//
// From Topic.mu on, none is held over disk. Callbacks are called without locks but
// Topic.releasing, and must not call the store.
package store
