package nsq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

const (
	// watchTime is how long nsqlookupd is asked to wait for a change, and
	// watchGrace how much later its answer may be.
	watchTime  = 25 * time.Second
	watchGrace = 5 * time.Second

	lookupIdleTime    = 30 * time.Second // of a connection
	maxLookupHeader   = 64 << 10
	lookupContentType = "application/vnd.nsq; version=1.0"
)

// lookupSource is one nsqlookupd.
type lookupSource struct {
	lookupd  *lookupd
	name     string // for the log
	ctx      context.Context
	cancel   context.CancelFunc
	client   *http.Client
	schedule lookupSchedule

	// Guarded by discovery.mu.
	state     sourceState
	last      *lookupAnswer      // nil before the first
	interrupt context.CancelFunc // makes it ask at once; nil before it waits for the first time
}

type sourceState int

const (
	unasked sourceState = iota
	answering
	failing
)

func (d *discovery) newSource(l *lookupd, ip netip.Addr) *lookupSource {
	s := &lookupSource{lookupd: l, name: l.name, client: l.client}
	if ip.IsValid() {
		s.name += " at " + ip.String()
	}
	s.ctx, s.cancel = context.WithCancel(l.ctx)
	if s.client == nil {
		s.client = newLookupClient(l.lookupAddress, ip, d.config)
	}
	interval := d.config.LookupdPollInterval
	s.schedule = lookupSchedule{
		interval: interval,
		jitter:   time.Duration(rand.Float64() * d.config.LookupdPollJitter * float64(interval)),
		canWatch: l.watch != "" && s.watchTime() >= time.Second,
	}
	return s
}

// newLookupClient returns a client that finds the host of a at ip, if that is
// valid. The URL and what follows from it, Host and the name in a certificate,
// stay as they are.
func newLookupClient(a *lookupAddress, ip netip.Addr, cfg *Config) *http.Client {
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if ip.IsValid() && a.is(addr) {
				addr = a.at(ip)
			}
			return dialer.DialContext(ctx, network, addr)
		},
		IdleConnTimeout:        lookupIdleTime,
		MaxResponseHeaderBytes: maxLookupHeader,
	}}
}

// followSource asks one nsqlookupd until nobody wants that any more.
func (d *discovery) followSource(s *lookupSource) {
	defer s.cancel()
	if s.lookupd.client == nil {
		defer s.client.CloseIdleConnections()
	}
	tag, watch := "", false
	for sleep(s.ctx, s.schedule.begin(time.Now())) {
		wait, stop := d.interruptible(s)
		var answer *lookupAnswer
		var outcome lookupOutcome
		if watch {
			answer, outcome = d.watch(wait, s, tag)
		} else {
			answer, outcome = d.ask(s)
		}
		if answer != nil {
			tag = answer.tag
		}
		watch = false
		if wait.Err() == nil {
			var pause time.Duration
			pause, watch = s.schedule.next(time.Now(), outcome, tag != "")
			if !sleep(wait, pause) {
				watch = false
			}
		}
		stop()
	}
}

// interruptible returns a context that ends when s is to ask at once.
func (d *discovery) interruptible(s *lookupSource) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	s.interrupt = cancel
	return ctx, cancel
}

// ask asks for the producers of the topic.
func (d *discovery) ask(s *lookupSource) (*lookupAnswer, lookupOutcome) {
	ctx, cancel := d.lookupTimeout(s.ctx)
	defer cancel()
	answer, err := d.get(ctx, s, s.lookupd.lookup, "")
	if err != nil {
		d.sourceFailed(s, err)
		return nil, askFailed
	}
	d.sourceAnswered(s, answer)
	return answer, askAnswered
}

// watch waits for a change of what tag stands for, or until wait ends.
func (d *discovery) watch(wait context.Context, s *lookupSource, tag string) (*lookupAnswer, lookupOutcome) {
	long := s.watchTime()
	ctx, cancel := context.WithTimeout(wait, long+watchGrace)
	defer cancel()
	start := time.Now()
	answer, err := d.get(ctx, s, fmt.Sprintf("%s&timeout=%dms", s.lookupd.watch, long.Milliseconds()), tag)
	waited := time.Since(start) >= long/2
	switch {
	case errors.Is(err, errNotModified) && waited:
		return nil, watchTold
	case err == nil && answer.tag == "":
		err = errors.New("the answer has no tag")
	case err == nil && answer.tag == tag && !waited:
		err = errors.New("nothing has changed")
	}
	if err != nil {
		if wait.Err() == nil {
			d.log(eventWatchFailed, s.name, err)
		}
		return nil, watchRefused
	}
	d.sourceAnswered(s, answer)
	return answer, watchTold
}

// watchTime is how long a watch may take: less than the program's client would
// wait.
func (s *lookupSource) watchTime() time.Duration {
	if s.client.Timeout > 0 {
		return min(watchTime, s.client.Timeout/2)
	}
	return watchTime
}

// get makes a request. With a tag, it asks for what is different from that.
func (d *discovery) get(ctx context.Context, s *lookupSource, address, tag string) (*lookupAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", lookupContentType)
	if d.config.AuthSecret != "" && d.config.LookupdAuthorization {
		req.Header.Set("Authorization", "Bearer "+d.config.AuthSecret)
	}
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := s.client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // the log names the address already, and need not show its query
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readLookupAnswer(resp)
}

func (d *discovery) lookupTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.config.LookupdPollTimeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d.config.LookupdPollTimeout)
}

// sourceAnswered takes in what an nsqlookupd knows.
func (d *discovery) sourceAnswered(s *lookupSource, answer *lookupAnswer) {
	d.mu.Lock()
	before, last := s.state, cmp.Or(s.last, &lookupAnswer{known: true})
	s.state, s.last = answering, answer
	d.mu.Unlock()
	added := slices.DeleteFunc(slices.Clone(answer.addrs), func(addr string) bool {
		_, found := slices.BinarySearch(last.addrs, addr)
		return found
	})
	if len(added) > 0 {
		d.user.appeared(added)
	}
	d.notify()
	if before == failing {
		d.log(eventLookupRecovered, s.name)
	}
	if last.known && !answer.known {
		d.log(eventTopicNotKnown, s.name)
	}
}

// sourceFailed notes that an nsqlookupd cannot be asked. Only the first time in
// a row is worth more than a debug line, and less of one where the name has
// another address that answers: localhost often has one nobody listens at.
func (d *discovery) sourceFailed(s *lookupSource, err error) {
	if s.ctx.Err() != nil {
		return
	}
	level := LogLevelError
	d.mu.Lock()
	for _, other := range s.lookupd.sources {
		if other.state == answering && other != s {
			level = LogLevelInfo
		}
	}
	if s.state == failing {
		level = LogLevelDebug
	}
	s.state = failing
	d.mu.Unlock()
	wake(s.lookupd.failed)
	d.log(eventLookupFailed.at(level), s.name, err)
	d.notify() // after the log: this may make ConnectToNSQLookupd return
}
