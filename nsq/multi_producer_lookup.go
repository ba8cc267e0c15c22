package nsq

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// ConnectToNSQLookupd asks the nsqlookupd at addr, host:port or a URL, for all
// nsqds it knows, and publishes to them as well: at once, again every
// LookupdPollInterval, and when a connection is lost. Several nsqlookupds are all
// asked. The path of the URL is /nodes unless it has one.
//
// An nsqd that none of them lists any more is published to until it has not been
// listed for LookupdPollInterval, as an nsqlookupd knows nothing after a restart, or
// until it cannot be reached. What it was sent is still waited for. While no
// nsqlookupd answers, nothing changes. An nsqd that NewMultiProducer was given is
// published to whether it is listed or not.
//
// The first call returns once nsqlookupd has answered, or has failed, which is
// logged and no error: it is asked again. Further calls do not wait, and do nothing
// for an address that is in use.
func (p *MultiProducer) ConnectToNSQLookupd(addr string) error {
	return p.ConnectToNSQLookupds([]string{addr})
}

// ConnectToNSQLookupdContext is ConnectToNSQLookupd, whose waiting ends with ctx.
// The nsqlookupd is asked all the same.
func (p *MultiProducer) ConnectToNSQLookupdContext(ctx context.Context, addr string) error {
	return p.ConnectToNSQLookupdsContext(ctx, []string{addr})
}

// ConnectToNSQLookupds is ConnectToNSQLookupd for several addresses. None is used
// if one of them cannot be read. It waits for the first of them to answer, or for
// all to fail.
func (p *MultiProducer) ConnectToNSQLookupds(addresses []string) error {
	return p.ConnectToNSQLookupdsContext(context.Background(), addresses)
}

// ConnectToNSQLookupdsContext is ConnectToNSQLookupds, whose waiting ends with ctx.
// The nsqlookupds are asked all the same, unless ctx has ended before.
func (p *MultiProducer) ConnectToNSQLookupdsContext(ctx context.Context, addresses []string) error {
	if ctx.Err() != nil {
		return interrupted(ctx, awaitingLookupd)
	}
	parsed, err := p.discovery.parse(addresses)
	if err != nil || len(parsed) == 0 {
		return err
	}
	first, err := p.addLookupds(parsed)
	if err != nil || len(first) == 0 {
		return err
	}
	if err := p.discovery.awaitAnswer(ctx, first); err != nil {
		return err
	}
	if p.ctx.Err() != nil {
		return ErrStopped
	}
	return nil
}

func (p *MultiProducer) addLookupds(addresses []*lookupAddress) (first []*lookupd, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, ErrStopped
	}
	return p.discovery.add(addresses), nil
}

// DisconnectFromNSQLookupd stops asking the nsqlookupd at addr. The error is
// ErrNotConnected for an address that is not in use; the last one cannot be removed.
func (p *MultiProducer) DisconnectFromNSQLookupd(addr string) error {
	return p.discovery.remove(addr)
}

// SetLookupdHttpClient does what Consumer.SetLookupdHttpClient does.
//
//nolint:revive // the name programs know
func (p *MultiProducer) SetLookupdHttpClient(httpclient *http.Client) {
	p.discovery.setClient(httpclient)
}

// SetBehaviorDelegate takes a DiscoveryFilter. It panics for any other value.
func (p *MultiProducer) SetBehaviorDelegate(cb any) { p.discovery.setDelegate(cb) }

// appeared connects without waiting any longer to nsqds that are there again.
func (p *MultiProducer) appeared(addrs []string) {
	for _, m := range *p.members.Load() {
		if _, connected := m.producer.load(); !connected && slices.Contains(addrs, m.addr) {
			p.connect(m)
		}
	}
}

// follow makes those nsqds members that are listed, and drains those that are not
// any more.
func (p *MultiProducer) follow(addrs []string) {
	added, gone := p.replaceMembers(addrs, time.Now())
	for _, m := range added {
		p.connect(m)
	}
	for _, m := range gone {
		m.producer.log(eventNotListed)
		p.loops.Go(func() { p.drain(m) })
	}
}

func (p *MultiProducer) replaceMembers(addrs []string, now time.Time) (added, gone []*member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, nil
	}
	var members []*member
	recheck := false
	for _, m := range *p.members.Load() {
		switch {
		case m.given:
		case slices.Contains(addrs, m.addr):
			m.unlisted = time.Time{}
		case p.toleratedLocked(m, now):
			recheck = true
		default:
			gone = append(gone, m)
			continue
		}
		members = append(members, m)
	}
	for _, addr := range addrs {
		if findMember(members, addr) == nil {
			m := p.newMember(addr)
			added = append(added, m)
			members = append(members, m)
		}
	}
	p.leaving = append(p.leaving, gone...)
	p.members.Store(&members)
	p.announceLocked()
	if recheck {
		p.recheckLocked()
	}
	return added, gone
}

// toleratedLocked reports whether m is published to although it is not listed.
func (p *MultiProducer) toleratedLocked(m *member, now time.Time) bool {
	if m.unlisted.IsZero() {
		m.unlisted = now
	}
	_, connected := m.producer.load()
	return connected && now.Sub(m.unlisted) < p.config.LookupdPollInterval
}

// recheckLocked makes discovery look again when members may have been unlisted for
// too long.
func (p *MultiProducer) recheckLocked() {
	if p.recheck == nil {
		p.recheck = time.AfterFunc(p.config.LookupdPollInterval, p.discovery.notify)
		return
	}
	p.recheck.Reset(p.config.LookupdPollInterval)
}

// drain stops a member when nsqd has answered what it was sent, or cannot any more.
func (p *MultiProducer) drain(m *member) {
	m.cancel()
	p.end(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = slices.DeleteFunc(p.leaving, func(other *member) bool { return other == m })
}

// end stops a member when it has answered everything, or when nothing is drained
// any more.
func (p *MultiProducer) end(m *member) {
	_ = m.producer.StopContext(p.cut) // what is cut off is told to those who published it
	m.producer.Stop()                 // waits for that
	close(m.ended)
}
