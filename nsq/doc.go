// Package nsq is a client library for nsqd: a Producer publishes messages, a
// Consumer receives those of a channel and gives them to handlers. A Conn is for
// programs that send the commands of the protocol themselves.
//
// # Publishing
//
// A Producer belongs to one nsqd. It connects when it is first used. When a
// connection is lost, what was under way fails with ErrNotConnected, and the caller
// decides whether to publish it again; the connection is made again in the
// background, with pauses that grow from a tenth of a second to ten, and at most a
// tenth of a second after a call asks for it. All methods may be called from any
// number of goroutines: commands that are queued while a write is under way share
// the next one. PublishAsync and its relatives hand nsqd's answer to a channel, in
// the order of publishing.
//
// A MultiProducer has a Producer for each of several nsqds, which are given or found
// by nsqlookupds. It shares messages out between them, and publishes to another what
// one of them could not take. Publisher is the interface that both have.
//
// # Consuming
//
// A Consumer is given handlers, then addresses. Every message is finished when
// its handler returns nil and requeued when it returns an error; a handler that
// wants to answer itself calls Message.DisableAutoResponse. At most MaxInFlight
// messages are delivered and unanswered at a time, shared out between the
// connections. One on which nothing arrives for LowRdyIdleTimeout leaves all but 1 of
// its share to others, and gets it back with the next message. With more connections
// than MaxInFlight, they take turns.
//
// Whose turn is over, or whose share is lowered, is told at once, but what it has
// in flight counts until it is answered: nobody else is asked for messages in its
// place before that, or for LowRdyTimeout, so that a handler that never answers does
// not stop the others. With slow handlers, turns are as long as these take; who has
// waited longest is next. Only what nsqd has sent before it reads that its turn is
// over may come in addition, and others are asked for less then.
//
// A BatchHandler is given many messages at a time, and one answer for all of them.
//
// A requeued message is taken as a sign that what its handler works with is in
// trouble, unless RequeueWithoutBackoff was called: the consumer backs off. For a
// while it asks for no messages, then one of the connections for a single one, and
// another connection only if that is not answered LowRdyTimeout after its turn. If that
// message fails, too, the next pause is longer, up to MaxBackoffDuration; with every
// one that succeeds it is shorter, until messages are shared out as before. The
// BackoffStrategy says how long. New connections, changes of MaxInFlight and Stop
// go on as usual. What is answered during a pause does not change it.
//
// Handlers never hold up a connection: heartbeats are answered while every
// handler is busy. A message that waits for a handler until nsqd gives up on it
// is dropped, as nsqd delivers it again. That counts as an attempt, and the last
// of MaxAttempts is given to a handler however late, so that no message is given
// up for having waited here; when too many of those wait, no more are asked for.
// A message may therefore be handled more than once: handlers must allow for that.
//
// A connection that is lost is made again, first after a tenth of a second, then
// at growing intervals up to LookupdPollInterval.
//
// # Discovery
//
// Instead of nsqds, a Consumer can be given nsqlookupds, which know where a topic
// is; both may be combined. It connects to every nsqd that any of them lists and
// the DiscoveryFilter leaves, known by broadcast_address:tcp_port, each once.
//
//   - An nsqlookupd that offers to watch a topic tells of a change as it happens.
//     Any other is polled every LookupdPollInterval. It is also asked as soon as a
//     connection to an nsqd ends, and after failures at growing intervals, from a
//     quarter of a second to ten, or to LookupdPollInterval.
//   - All addresses of a name are asked, as each may be another nsqlookupd. The
//     name is resolved again every LookupdPollInterval, but not before 1 second, and
//     after 30 seconds at the latest.
//   - A listed nsqd is tried until it can be reached or is not listed any more. One
//     that is connected stays so even when it is not listed: an nsqlookupd knows
//     nothing after a restart. When its connection is lost then, it is given up, and
//     taken up again when it is listed again. While no nsqlookupd can be asked,
//     none is given up. One that ConnectToNSQD was called for never is.
//   - That a topic is not known is no error: it is found as soon as it is there.
//
// # Contexts, errors, and what can be seen
//
// Every method that waits has a variant with a context, whose name ends in Context,
// but for Read and Write of a Conn, whose names are those of package io. When the
// context of a call ends, the call returns at once with an error in which errors.Is finds
// ctx.Err() and its cause; what was sent by then stays sent, and disturbs no other
// call.
//
// All errors can be told apart with errors.Is and errors.As: ErrNotConnected and the
// other variables, ErrProtocol and its ErrorCode for what nsqd refuses, ErrIdentify
// and what it wraps for an nsqd with which no connection could be agreed on,
// OptionError for a Config.
//
// Log lines of level Info and above go to stderr; SetLogger sends them elsewhere, and
// SetSlogger makes them records of log/slog. Metrics are the counters and gauges of a
// Producer, a MultiProducer or a Consumer; MetricsHandler shows them to Prometheus.
//
// # TLS and compression
//
// Config.TlsV1 asks nsqd for TLS, Config.Snappy or Config.Deflate for compression,
// which then goes inside TLS. The secret and messages are sent only when everything is
// agreed on. TLS is never given up silently: an nsqd that does not offer it is not
// connected to. One that does not offer the compression is talked to without.
//
// # Goroutines
//
// Who starts a goroutine waits for it.
//
//   - A connection has two. The reader is the Producer's router, the Consumer's loop
//     for that nsqd, or that of a Conn; it starts the writer and waits for it. The
//     writer takes all commands that are queued with one write. When these were
//     several of late, it lets other goroutines run before it takes them, as who is
//     about to queue one more does so then.
//   - A Producer has one more for each attempt to connect, from when a call asks for
//     it or the connection is lost; and one for each doneChan that has no room for an
//     answer. Stop waits for all of them.
//   - A MultiProducer has those of its Producers, and for each nsqd up to three: one
//     takes the answers to asynchronous calls, one sees to the first connection, one
//     publishes to others what this nsqd could not take. An nsqd that is not listed
//     any more has one that drains it. Stop waits for all of them.
//   - A Consumer has one that gives connections their turns, ends pauses of back-off
//     and reports what was dropped; a handler has as many as it was added with. Those
//     of a BatchHandler collect their batches one after the other, and handle them
//     side by side. Stop does not wait; StopChan is closed when all have ended, or 30
//     seconds later, and only then a handler that does not return may be left.
//   - Every nsqlookupd has its own, so that one that hangs delays no other; a name has
//     one more, which starts and stops those of its addresses. What they hear is acted
//     on by one goroutine, the only one that calls the DiscoveryFilter.
//   - A Conn has a third, which tells the delegate of the answers to messages and then
//     sends them. OnClose is the last thing that its goroutines do.
//
// # Locks
//
// A lock is taken while another is held only in this order:
//
//	Consumer           → messageQueue → nsqdConn
//	                   → discovery
//	Producer           → nsqdConn
//	MultiProducer      → discovery
//	Conn: reading → mu → nsqdConn
//
// Those of a member of a MultiProducer, of results that wait to be received and of
// where to log to are taken alone. None is held over the network, but for that of a
// Conn with which its reader and Read take turns, nor while code of the program runs:
// a handler, a delegate, a filter, a strategy or a logger may call any method that
// does not wait for it.
package nsq
