// Package seglog keeps records in an append-only log of segment files, one
// directory a log. It knows frames and files, and nothing of what is in them.
//
//	<id 8 hex>-<first sequence number 16 hex>-<salt 8 hex>.log
//
// Ids grow and are never used twice. A segment is only ever appended to, and
// only by the Log that created it: an Open begins a new one with its first Append.
package seglog
