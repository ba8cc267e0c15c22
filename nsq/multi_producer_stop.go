package nsq

import (
	"context"
	"sync"
	"time"
)

// Stop waits up to a second for answers to what was published, which may still go
// to another nsqd, and closes the connections. What was not answered then ends
// with ErrNotConnected, and calls made after Stop with ErrStopped. It returns when
// everything has ended, and may be called again.
func (p *MultiProducer) Stop() {
	p.startStopping()
	timeout := time.AfterFunc(drainTimeout, p.cutNow)
	defer timeout.Stop()
	<-p.ended
}

// StopContext is Stop that waits for answers, and for transactions to be received,
// until ctx ends. It then closes the connections and returns an error at once,
// while the rest ends as it does with Stop. Stop may be called to wait for that.
func (p *MultiProducer) StopContext(ctx context.Context) error {
	p.startStopping()
	select {
	case <-p.disconnected:
	case <-ctx.Done():
		p.cutNow()
		return interrupted(ctx, "stopping without all answers of nsqds")
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return interrupted(ctx, "stopping before all transactions are received")
	}
}

// startStopping lets no call in any more and ends those that wait, but for those
// that wait for answers.
func (p *MultiProducer) startStopping() {
	p.stop.Do(func() {
		p.open.stopping.Store(true)
		p.stopMembers()
		p.cancel()
		p.results.release()
		go p.finishStopping() // whoever calls Stop waits for it
	})
}

// stopMembers makes members be the same from now on.
func (p *MultiProducer) stopMembers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.recheck != nil {
		p.recheck.Stop()
	}
}

func (p *MultiProducer) finishStopping() {
	defer close(p.ended)
	p.discovery.loops.Wait()
	p.open.wait(p.cut)
	p.cutNow() // what fails from now on is not published to others
	var members sync.WaitGroup
	for _, m := range *p.members.Load() {
		members.Go(func() { p.end(m) })
	}
	members.Wait()
	p.open.wait(context.Background()) // nothing is left that they could wait for
	p.loops.Wait()                    // and with them the members that were leaving
	close(p.disconnected)
	p.results.close()
	p.log(eventStopped)
}
