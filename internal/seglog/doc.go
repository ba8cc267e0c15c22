// Package seglog keeps records in an append-only log of segment files, one
// directory a log. It knows frames and files, and nothing of what is in them.
//
//	<id 8 hex>-<first sequence number 16 hex>-<salt 8 hex>.log
//
// A fourth part, of 16 hex, is there where numbers before the first were left out, as those of
// a failed sync: the number from which on none was acknowledged.
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
// left no seal is it the whole append, as a hole there may be one that was never acknowledged;
// and what was synced last, at once, ends with its first hole. The header of a group, whatever is
// left of the rest, shows that all before it was acknowledged. Only of what is behind the last such
// header a log cannot tell damage from a torn write: who notes End elsewhere can.
//
// A write that fails, as on a full disk, is taken back, and the next one takes its place. After
// a sync that failed nothing more is acknowledged in that file: what was under way is
// refused, and the next Append begins a segment. Either way appending resumes by itself.
//
// # How it is written
//
// Who appends queues. The first in the queue has the turn when it is free: it takes what is
// queued as a group, writes and syncs it, shows it to readers, passes it to OnCommit, and
// acknowledges it. One group is under way at a time. With Sync a group waits a little for those who
// were there lately, and one who publishes can have several appends under way: see gather and Start.
//
// Log.mu is the one lock of a log and is never held over disk or a callback; below it is no other.
// The lock of a segment's handle is held while its file is opened, closed or removed.
package seglog
