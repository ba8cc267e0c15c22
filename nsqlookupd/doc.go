// Package nsqlookupd is the directory of a cluster: every nsqd tells it which
// topics and channels it has, and consumers ask it which nsqd have a topic. It
// knows only what it was told since it started; nothing is written to disk.
//
// # The life of a registration
//
// An nsqd connects, says "  V1" and IDENTIFY. IOLoop (protocol_v1.go), the only
// user of the connection, finds the commands in its buffer; commands.go checks
// them and changes the database (database.go), which is the registry
// (registry.go) behind one mutex and those who wait for changes of a topic
// (watch.go). Each command gets one response; those to commands that came
// together are written together. Every error is fatal: the client is taken out
// of the registry, told why, and the connection closes. When a connection is at
// its end for any reason, all that its nsqd had registered is gone; topics and
// channels that are not ephemeral stay.
//
// Who asks over HTTP (http_lookup.go) gets what a snapshot of the registry shows
// (registry_answers.go): it is taken in a moment and read without a lock, so
// that a large answer, or one that is read slowly, holds up nobody. GET /watch
// waits until the producers of a topic change and then answers as /lookup does.
// What is changed over HTTP (http_topics.go) goes to the database, too.
//
// An nsqd that is silent for too long, or has a tombstone, is not shown, but all
// that it registered is kept: registry_snapshot.go decides with the time of the
// request. What removes very much, as the end of a connection with a million
// registrations, does so in steps of a millisecond (registry_remove.go), so that
// others see it happen gradually.
//
// # Locks
//
//	watch.mu      the answer that all who wait for one topic share
//	database.mu   the registry and the latest snapshot; a change tells the
//	              watches of its topic inside, by atomics only
//
// They are taken in this order. Neither is held while an answer is encoded or
// written; all that is walked under database.mu is the producers of a topic that
// gets a tombstone, and a step of what is removed. A
// PING takes no lock unless the nsqd had been thought inactive.
//
// # Goroutines, and who stops them
//
//	goroutine                      started by          ends when
//	tcpserver.Server.Serve         Main                Exit closes the listener
//	  its handlers, with IOLoop    Serve, per client   the connection is closed: by the peer, an error, a
//	                                                   deadline, or Exit
//	httpServer.serve, requests     Main                Exit closes listener and server, and waits for
//	                                                   requests; those that wait for a change are answered
//
// A topic that somebody waits for has a timer for when time alone changes its
// producers; the last one to go stops it.
//
// Exit waits for all of them, in the order of its steps; Main returns when Exit
// is done. A panic in a connection's goroutine ends that connection and is
// counted.
//
// # What a client cannot do
//
// It cannot hold a connection for nothing: the magic has 10 s, a command with
// its body 30 s from its first byte on, a response 10 s to be taken, and who has
// not identified may be silent for a minute. An nsqd that has may be silent for
// ever: that its host is gone is found by the keep-alive of TCP, and that it
// hangs by the pings that do not come, which takes it out of the answers but
// leaves it registered.
//
// It cannot take memory: a command line has up to 4 KiB, the body of IDENTIFY up
// to 16 KiB, for which memory is taken as it arrives, and each text in it 1 KiB.
// The registry bounds what can be registered; a stalled connection costs less
// than 32 KiB.
//
// It cannot take the last descriptor (package netlimit): nsqds are assured of
// half of the connections, HTTP of up to 16, and requests that wait for a change
// may be a quarter.
//
// It cannot hold up a stop, which waits for no peer but those that are being
// sent an answer over HTTP, for half a second.
package nsqlookupd
