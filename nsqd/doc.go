// Package nsqd is the broker: it takes messages from producers, keeps them,
// and gives each to one consumer of every channel of its topic until that
// consumer says that it is done.
//
// # The life of a message
//
// A producer sends PUB. IOLoop (protocol_v2.go), the only reader of the
// connection, finds the command in its buffer; gatherPub (cmd_publish.go)
// checks name and size and collects the bodies of all PUBs to this topic that
// have arrived. Before the next read, commit hands them to topics.publish
// (topics.go), which finds or makes the topic; topic.publish (topic.go) makes
// them one batch (batch.go): ids, a time, the payload, never changed again. The
// batch goes into the topic's queue (queue.go): into memory (memory_chan.go)
// or, where that is full, onto disk (spill.go), from where it comes back in
// batches, too (unspill.go). The producer gets an OK for each. MPUB, DPUB and HTTP
// join at topics.publish; of HTTP, publishing alone does not go through net/http's
// server (package httpapi).
//
// The topic's messagePump (topic_pump.go) takes spans of batches and puts all of a
// round into each channel (channel.go), which are one write where it goes to disk.
// A span is a cursor and a count, so in memory this costs a few words per channel
// whatever the size. Deferred messages wait in
// the channel's deferred heap (deferred.go) until they are due.
//
// A consumer's messagePump (message_pump.go) takes from the channel's queue
// as much as RDY allows, enters it in the consumer's in-flight table
// (inflight.go), and writes all frames at once. FIN and REQ (cmd_finish.go)
// come in on IOLoop and take the message out of the table; so does a time-out,
// and the end of the connection: the message then goes to the end of the
// channel's queue, or among the deferred.
//
// Exit (shutdown.go) writes what is in memory to the disk queues, and deferred
// messages with their times to files beside them (deferred_file.go).
//
// Topics and channels, and which are paused, are in nsqd.dat (metadata.go): who
// creates, deletes or pauses one is answered when it is written. A pause that cannot be
// written does not happen (saved_flag.go). The next start
// loads it, and what has files but is not named there (metadata_load.go).
//
// # Durable topics
//
// With --durability=disk or fsync, or where /topic/create has chosen it for one topic
// (durability_change.go), a topic has a log in place of its queue: package store,
// which is opened with the first of them (durable_store.go). topic.publish then
// appends the batches to the log (durable_topic.go), and the producer gets its OK when
// they are kept, by the operating system or on stable storage. Publishers that come
// at once share an fsync, and so do the publishes that a connection sends on without
// waiting for answers (pipeline.go). There is no pump: each channel reads on from the log for
// itself, when a consumer takes from its queue (kept_queue.go), and mostly gets the very
// batches that were appended, which the log still has in memory (kept_batch.go). A topic
// that is paused, held or without channel holds its log (topic.follow).
//
// What a channel has read is in its memory or in flight, and unfinished in the log,
// until FIN: the finished ones of one read are told to the log together
// (client.tellFinished). A message that timed out or is requeued at once waits in
// memory, after a crash it comes again with its attempts, which the log asks for
// (channel.eachAttempted). One that is requeued with a delay is given back to
// the log with its time (durable_channel.go), and so is, from the beginning, one that
// is deferred by DPUB; only what is due is taken into memory, somewhat at a time. So
// a stop writes nothing but positions, and a drain waits for none of it.
//
// Ephemeral channels of a durable topic have a memory queue as always, which the log
// feeds (topic.feed). An ephemeral topic is in memory.
//
// The store says which durable topics there are, and their channels; nsqd.dat has
// them, too, and says which are paused. A publish that makes its topic is kept before
// anybody else sees the topic: one that is refused leaves none (topics.publishTo). What a topic has in classic files when it
// is durable for the first time is taken over into its log (durable_load.go).
//
// # Around the messages
//
// With auth servers (package auth), AUTH gets a connection an answer that says
// what it may do, until its ttl ends (cmd_auth.go). SUB, PUB, MPUB and DPUB are
// checked against it before any body is read, and have it renewed; a
// subscription has its own goroutine for that. HTTP publishing is checked in
// http_auth.go. A query waits for the network in the goroutine of who needs it
// and holds no lock; Exit cuts all of them off first.
//
// With nsqlookupds, each topic and channel that appears or goes is noted for every
// one that is connected (lookup.go), under the lock that makes the change, so
// that notes have the order of changes. lookupLoop runs a goroutine for each
// configured name, which finds the addresses that the name leads to
// (lookup_names.go), and one for each address, the peer, which connects again
// and again (lookup_peer.go). A connection begins with IDENTIFY, in which the node
// says where clients reach it (broadcast_address.go), and everything there is;
// from then on a note wakes it, and it tells how things are by then
// (lookup_conn.go, lookup_registrations.go). Who is not connected has no notes, and
// nobody ever waits for who is. With the connection the node vanishes from the
// nsqlookupd: that is how Exit tells it.
//
// With nsqlookupds, a topic that is new is held (topic.hold): its messages wait in
// it, as if it were paused, until the nsqlookupds have told which channels it has
// on other nodes, and those are created (lookup_channels.go). Publishers do not
// wait for that. Who hangs or is down cannot hold topics for long; what it knows
// is asked for when it is back.
//
// IDENTIFY may put layers onto a connection (layers.go): TLS, then snappy or
// deflate. Everything then goes through them, in both directions. Whoever writes
// to a connection holds its token (client.lockWrites) and leaves nothing behind
// in a layer.
//
// HTTP is served before the data path is loaded, and while a stop is prepared:
// /health/ready says whether messages should be published here, and why not
// (health_ready.go). A drain (drain.go) is asked for by POST /drain, SIGUSR1 or, with
// --drain-on-term, SIGTERM. The node is not ready any more, nsqlookupds are told of
// none of its topics, and topics.publish refuses (env.phase); consumers get what
// they can get (drain_left.go), until there is no more, or the time is over.
//
// # Goroutines, and who stops them
//
//	goroutine                      started by          ends when
//	tcpserver.Server.Serve         Main                Exit closes the listener
//	  its greet                    Serve, per client   the magic has come and started the handler, or has not
//	  its handlers, with IOLoop    greet               the connection is closed: by the peer, a fatal
//	                                                   error, a deadline, a deletion, or Exit
//	  aside                        IOLoop, messagePump it has done what was asked of it; who started it waits
//	  protocolV2.messagePump       IOLoop              its client is closed; IOLoop waits for it
//	  subscription.recheckLoop     SUB, with auth servers; ends with its client's context, or when they
//	                               refuse the client: then IOLoop, which waits for it, tells that
//	httpServer.serve, serveTLS,    New                 Exit closes listeners and server, and waits for
//	  connections                                      requests; profiles that are being taken are cut
//	queueScan.queueScanLoop        Main                Exit ends its context
//	  its workers                  queueScanLoop       it returns
//	metadata.metadataLoop          Main                Exit ends its context
//	staleFiles.clearLoop           Main                Exit ends its context
//	certs.Store.Watch              Main                Exit ends its context
//	statsdPusher.statsdLoop        Main                Exit ends its context
//	diskReserve.watch              Main                Exit ends its context
//	drain.watch                    POST /drain, a signal; ends when nsqd is drained, the drain is asked for
//	                                                   anew or cancelled, or Exit begins, which waits for it
//	lookups.lookupLoop             Main                Exit, which cuts all connections before anything else
//	  lookupName.run               lookupLoop, for each configured address; ends when that is removed, or with it
//	  lookupPeer.run               lookupName.run, for each address a name leads to; ends when the name leads
//	                                                   elsewhere and the connection is lost, or with it
//	  lookupConn.readReplies       lookupConn.serve    the connection is lost; serve waits for it
//	lookupChannels.handOut         a new topic, or a connection to an nsqlookupd; ends when everybody has
//	                                                   been given what to ask about
//	  lookupSession.run            handOut, for each nsqlookupd that is connected; ends with that connection
//	  lookupSession.work           what there is to ask, up to 4 for each; ends when there is no more. Exit
//	                                                   ends all three, and waits, before it does anything else
//	topic.messagePump              topics.create, not of a durable one; the topic's deletion or flush ends
//	                                                   its context and waits for it
//	store.Store's goroutines       the first durable topic; Exit closes the store, after topics and channels
//	diskq.Store's sync loop        New                 Exit closes the store, after its queues
//
// Exit waits for all of them, in the order of shutdown.go; Main returns when
// Exit is done. A panic in a connection's goroutine ends that connection and is
// counted.
//
// A connection that waits costs little: both of its goroutines wait on the
// smallest of stacks. A stack that has grown shrinks only as far as the garbage
// collector finds it nearly empty, so what is rare and needs a deep one, IDENTIFY,
// SUB, the setting of a deadline, is done aside, by a goroutine that ends.
//
// # What a client cannot do
//
// It cannot hold a connection for nothing: the magic has 10 s, a command's line
// and body two heartbeats, or two of the longest where heartbeats are off; a
// write has little more than one. Over HTTP a header has 10 s, each read of a
// body 30 s and all of it 10 minutes, an idle connection 60 s.
//
// It cannot take memory by announcing sizes: read buffers (read_buffer.go)
// and bodies (package wire) grow with what has arrived, so a connection that
// stalls costs less than 32 KiB with its goroutines; 80 KiB where it has
// negotiated deflate, which needs a window and tables. Of each text in IDENTIFY
// 256 bytes are kept.
//
// It cannot take the last descriptor (package netlimit): of the limit of open
// files an eighth, at least 64, is not for connections. Clients are assured of
// half of the others, HTTP of up to 16; who comes when none is free waits in
// the kernel.
//
// It cannot hold up a stop, which waits for no peer but those with a running
// HTTP request, for a second, and consumers with messages in flight, for half
// a second.
//
// # Locks, in the order in which they may be taken
//
//	gate.mu        of a topic's requests, and of who makes channels: no other is put in its place meanwhile
//	topicLog.flow  that a durable topic's log follows whether it is paused, held or without channel
//	gate.mu        of a topic's log: it is not deleted while it is used
//	drain.mu       the drain that was asked for, and that phase and nsqlookupds follow it
//	topics.mu      the set of topics
//	topic.mu       its channels, and whether it is paused or being deleted
//	channel.mu     its consumers, and whether it is being deleted
//	gate.mu        of a channel's log
//	inflight.mu    one consumer's messages in flight: index and deadlines together
//	deferred.mu    one channel's deferred messages
//	queue.mu       one queue's memory, and whether it is paused or closed
//	nearestFirst.mu  which consumers wait, where near ones come first
//	heartbeat.mu   when one connection is sent the next heartbeat
//	queueScan.mu   the next deadline of each table and heap, and the next heartbeat of each connection
//	lookups.mu     addresses, names, peers and connections of nsqlookupds, and what each has to be told, or not
//
// Each guards what its declaration names. None is held over disk or network, but for
// the first three, the gate of a channel's log and durableStore.mu, which is taken alone and by
// who creates the first durable topic: a gate keeps nobody waiting but who deletes,
// the others nobody but who changes the same topic. A gate is held while the store calls
// back, for queue.mu, deferred.mu and queueScan.mu; when the store asks for attempts,
// it holds nothing.
// None of the last seven is held while another of them is taken, but for
// nearestFirst.mu with queue.mu.
// staleFiles.mu may be taken with topics.mu or topic.mu held, lookupChannels.mu
// with topics.mu. The TCP server's, clients.mu, client.mu, metadata.mu,
// lookupConn.mu, refusals.mu, metricsPage.mu and that of a latency.Window are taken
// alone; that of a histogram.Histogram is also taken with topics.mu or
// topic.mu held. metadata.writing serializes writers of nsqd.dat, staleFiles.removing the
// removal of what failed deletions left, both with the disk working; nothing else
// waits for them, but who changes a topic's durability for the first.
//
// A disk queue has locks of its own (diskq.Queue), some over the
// disk: its methods are called with none of the listed ones held, but for Depth, which
// takes none. health.mu is taken with them held.
package nsqd
