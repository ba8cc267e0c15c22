// Package seglog keeps records in an append-only log of segment files, one
// directory a log. It knows frames and files, and nothing of what is in them.
//
//	<id 8 hex>-<first sequence number 16 hex>-<salt 8 hex>.log
//
// Ids grow and are never used twice. A segment is only ever appended to, and
// only by the Log that created it: an Open begins a new one with its first Append.
// It ends with a seal, so that the next Open need not read it; only a segment
// without one, which a crash leaves, is read.
//
// # What is promised
//
// An Append is kept whole or, with an error, not at all. When it returns, its records
// are handed to the operating system; with Sync they are on stable storage. Frames
// hold whole messages, at most 32 KiB or one, and have checksums: what is damaged
// costs no more than its frame, is told of once, and is never given out. Only where a crash
// left no seal is it the whole append, as a hole there may be one that was never acknowledged.
//
// A write that fails, as on a full disk, is taken back, and the next one takes its place. After
// a sync that failed nothing more is acknowledged in that file: what was under way is
// refused, and the next Append begins a segment. Either way appending resumes by itself.
//
// # How it is written
//
// Who appends queues; the first becomes leader of a group, takes what is queued, and has the write
// turn until it is written. One group is under way at a time (see maxUnderway for why); with
// more, each would have a file of its own. Groups finish in the order in which they were
// written: they are shown to readers, passed to OnCommit, and acknowledged.
//
// Log.mu is the one lock of a log and is never held over disk or a callback; below it is no other.
// The lock of a segment's handle is held while its file is opened, closed or removed.
package seglog
