package nsqd

import (
	"errors"
	"fmt"
)

// Exit stops what creates work before what work depends on; a step that fails
// never skips the rest. It returns when everything is stopped, and may be
// called more than once: all calls return the first one's result.
func (n *NSQD) Exit() error {
	n.exit.Do(func() {
		n.life.Lock()
		close(n.exiting)
		n.life.Unlock()
		n.log.Info("NSQ: stopping")
		n.env.stopping.Store(true)
		n.exitErr = errors.Join(
			n.tcp.close(),       // 1. no new clients
			n.http.close(),      //    no new HTTP requests, those that run have ended
			n.tcp.stop(),        // 2. every IOLoop has returned: nothing moves any more
			n.endLoops(),        // 3. queueScanLoop, metadataLoop
			n.metadata.write(),  // 4. the topics and channels to come back with
			n.flush(),           // 5. memory to disk, fsync
			n.dataLock.Unlock(), // 6. the next nsqd may start
		)
		if n.exitErr != nil {
			n.log.Error("NSQ: not everything stopped cleanly", "error", n.exitErr)
		}
		n.log.Info("NSQ: bye")
		close(n.exited)
	})
	<-n.exited
	return n.exitErr
}

// endLoops stops what Main started and waits for it.
func (n *NSQD) endLoops() error {
	n.stopLoops()
	n.running.Wait()
	return nil
}

// flush writes what topics and channels hold in memory to disk.
func (n *NSQD) flush() error {
	n.log.Info("NSQ: closing topics")
	var errs []error
	for _, t := range n.topics.close() {
		if err := t.flush(); err != nil {
			errs = append(errs, fmt.Errorf("flush: %w", err))
		}
	}
	return errors.Join(errs...)
}
