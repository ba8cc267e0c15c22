package nsq

import (
	"context"
	"net/http"
	"time"
)

// firstConnects is how long ConnectToNSQLookupd waits for connections to the
// nsqds it found.
const firstConnects = time.Second

// ConnectToNSQLookupd asks the nsqlookupd at addr, host:port or a URL, for the
// nsqds that have the topic, and connects to them; see the package's description
// of discovery. The path of the URL is /lookup unless it has one.
//
// The first call returns once nsqlookupd has answered and the nsqds it lists
// were tried, for a second at most, or once it failed, which is logged and no
// error: it is asked again. Further calls do not wait, and do nothing for an
// address that is in use.
func (r *Consumer) ConnectToNSQLookupd(addr string) error {
	return r.ConnectToNSQLookupds([]string{addr})
}

// ConnectToNSQLookupdContext is ConnectToNSQLookupd, except that it waits no longer
// than ctx. The nsqlookupd stays in use even if ctx ended meanwhile: the error says
// only that it is not known yet what it answers.
func (r *Consumer) ConnectToNSQLookupdContext(ctx context.Context, addr string) error {
	return r.ConnectToNSQLookupdsContext(ctx, []string{addr})
}

// ConnectToNSQLookupds is ConnectToNSQLookupd for several addresses. None is used
// if one of them cannot be read. It waits for the first of them to answer, or for
// all to fail.
func (r *Consumer) ConnectToNSQLookupds(addresses []string) error {
	return r.ConnectToNSQLookupdsContext(context.Background(), addresses)
}

// ConnectToNSQLookupdsContext is to ConnectToNSQLookupds what
// ConnectToNSQLookupdContext is to ConnectToNSQLookupd. Nothing is done if ctx has
// ended before.
func (r *Consumer) ConnectToNSQLookupdsContext(ctx context.Context, addresses []string) error {
	if ctx.Err() != nil {
		return interrupted(ctx, awaitingLookupd)
	}
	parsed, err := r.discovery.parse(addresses)
	if err != nil || len(parsed) == 0 {
		return err
	}
	first, err := r.addLookupds(parsed)
	if err != nil || len(first) == 0 {
		return err
	}
	if err := r.discovery.awaitAnswer(ctx, first); err != nil {
		return err
	}
	if r.ctx.Err() != nil {
		return ErrConsumerStopped
	}
	timeout := time.NewTimer(firstConnects)
	defer timeout.Stop()
	for _, n := range r.discovered() {
		select {
		case <-n.tried:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return interrupted(ctx, "waiting for connections to nsqds")
		case <-r.ctx.Done():
			return ErrConsumerStopped
		}
	}
	return nil
}

// addLookupds begins to ask those of the given addresses that are new. It returns
// them if they are the first.
func (r *Consumer) addLookupds(addresses []*lookupAddress) (first []*lookupd, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.beginLocked(); err != nil {
		return nil, err
	}
	return r.discovery.add(addresses), nil
}

// discovered returns the nsqds that are known from nsqlookupds alone.
func (r *Consumer) discovered() (all []*nsqd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nsqds {
		if !n.given {
			all = append(all, n)
		}
	}
	return all
}

// DisconnectFromNSQLookupd stops asking the nsqlookupd at addr. Connections to
// nsqds stay. The error is ErrNotConnected for an address that is not in use; the
// last one cannot be removed.
func (r *Consumer) DisconnectFromNSQLookupd(addr string) error {
	return r.discovery.remove(addr)
}

// SetLookupdHttpClient makes nsqlookupds that are added from now on be asked with
// a client of the program's own, which is not closed. A name with several
// addresses is then one nsqlookupd, found the client's way; a client with a
// Timeout below two seconds cannot watch for changes. nil means the consumer's
// own client.
//
//nolint:revive // the name programs know
func (r *Consumer) SetLookupdHttpClient(httpclient *http.Client) {
	r.discovery.setClient(httpclient)
}

// SetBehaviorDelegate takes a DiscoveryFilter. It panics for any other value.
func (r *Consumer) SetBehaviorDelegate(cb any) { r.discovery.setDelegate(cb) }

// appeared connects without waiting any longer to nsqds that are there again.
func (r *Consumer) appeared(addrs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range addrs {
		if n := r.nsqds[addr]; n != nil && !n.connected {
			wake(n.retry)
		}
	}
}

// follow connects to nsqds that are newly listed, and gives up those that no
// nsqlookupd lists and that are not connected.
func (r *Consumer) follow(addrs []string) {
	for _, n := range r.followListed(addrs) {
		n.log(eventNotListed)
	}
}

// followListed returns the nsqds it gave up.
func (r *Consumer) followListed(addrs []string) (gone []*nsqd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	listed := map[string]bool{}
	for _, addr := range addrs {
		listed[addr] = true
		if r.nsqds[addr] == nil && !r.avoided[addr] {
			n := r.newNSQDLocked(addr)
			go r.discoverNSQD(n)
		}
	}
	for _, n := range r.nsqds {
		if !n.given && !n.connected && !listed[n.addr] {
			gone = append(gone, n)
			delete(r.nsqds, n.addr)
			n.cancel()
		}
	}
	return gone
}
