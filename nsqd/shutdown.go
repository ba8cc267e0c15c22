package nsqd

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Exit stops what creates work before what work depends on; a step that fails
// never skips the rest. It returns when everything is stopped, and may be
// called more than once: all calls return the first one's result.
func (n *NSQD) Exit() error { return n.life.Exit() }

// stop is what Exit does, once.
func (n *NSQD) stop() error {
	n.env.stopping.Store(true)
	n.drain.close()
	return errors.Join(
		n.closeQueries(),         // 0. nobody waits for an auth server or nsqlookupd
		n.lookups.close(),        //    and no consumer finds this node any more
		n.tcp.close(),            // 1. no new clients
		n.http.close(),           //    no new HTTP requests, those that run have ended
		n.awaitAnswers(),         //    no answer of a consumer that is on its way
		n.tcp.stop(),             // 2. every IOLoop has returned: nothing moves any more
		n.endLoops(),             // 3. queueScanLoop, metadataLoop, clearLoop, lookupLoop, statsdLoop
		n.metadata.writeAtLast(), // 4. the topics and channels to come back with
		n.flush(),                // 5. memory to disk, fsync
		n.env.stale.clearAll(),   //    what could not be deleted before
		n.closeDurable(),         //    positions in logs
		n.closeDisk(),            //    whose queues are closed
		n.dataLock.Unlock(),      // 6. the next nsqd may start
	)
}

// closeQueries ends all queries of auth servers, on whose answers commands wait,
// and those of nsqlookupds, on whose answers topics wait: their messages stay in
// them.
func (n *NSQD) closeQueries() error {
	n.channels.close()
	if n.env.auth != nil {
		n.env.auth.Close()
	}
	return nil
}

// answerTime is how long a stop waits for the answers of consumers to what they
// have in flight: for those on their way, and of handlers that are quick. What
// is not answered by then comes again after the restart.
const answerTime = 500 * time.Millisecond

// awaitAnswers returns when nothing is in flight any more, or answerTime is over.
// Consumers are sent nothing new by now.
func (n *NSQD) awaitAnswers() error {
	end := time.NewTimer(answerTime)
	defer end.Stop()
	for _, c := range n.clients.all() {
		empty := c.inflight.whenEmpty()
		if empty == nil {
			continue
		}
		select {
		case <-empty:
		case <-end.C:
			return nil
		}
	}
	return nil
}

// endLoops stops what Main started and waits for it.
func (n *NSQD) endLoops() error {
	n.stopLoops()
	n.life.Wait()
	return nil
}

func (n *NSQD) closeDurable() error { return n.env.durable.close() }

func (n *NSQD) closeDisk() error {
	n.env.closeDisk()
	return nil
}

// flushWorkers is how many topics are flushed at a time: mostly they wait for
// the disk to confirm.
const flushWorkers = 16

// StopSteps counts what Exit writes to disk, and how often a drain before it has
// looked at what is left: while it grows, a stop that takes long gets on.
func (n *NSQD) StopSteps() int64 { return n.env.flushed.Load() + n.drain.looks.Load() }

// flush writes what topics and channels hold in memory to disk.
func (n *NSQD) flush() error {
	if n.env.disk != nil {
		n.env.disk.UseKept() // it was kept for this
	}
	n.log.Info("NSQ: closing topics")
	topics := n.topics.close()
	errs := make([]error, len(topics))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(flushWorkers, len(topics)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(topics)); i = next.Add(1) - 1 {
				if err := topics[i].flush(); err != nil {
					errs[i] = fmt.Errorf("flush: %w", err)
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}
