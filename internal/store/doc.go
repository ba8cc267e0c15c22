// Package store keeps topics on disk: messages in logs, one per topic, and in
// an index what can be found out again from the logs: which messages each
// channel finished, and when deferred ones are due.
package store
