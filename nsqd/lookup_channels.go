package nsqd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// lookupChannels creates the channels of a new topic that the nsqlookupds know
// from elsewhere. Until they have told them the topic is held: what is published
// waits in it, so that each of those channels gets everything. Publishers never
// wait.
//
// Each nsqlookupd that is connected has a session (lookup_channels_session.go),
// which asks. A topic waits for it no longer than it is connected and answers in
// time: one that hangs is found by the registration of that same topic, or else
// by the query's time-out, and then holds no other topic until it answers again.
// Who could not be asked, or did not answer, is asked when it does; what it tells
// then is created, but holds nothing any more.
//
// It is safe for concurrent use. A nil *lookupChannels holds no topic.
type lookupChannels struct {
	log     *slog.Logger
	lookups reachableLookups
	query   channelQuery
	timeout time.Duration // of a query, and of waiting for who is being connected
	client  *cluster.Client

	ctx     context.Context // ends with close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // what follows, with the fields of sessions and inquiries
	closed   bool
	fresh    []*topic                      // that no session has got yet
	look     bool                          // somebody may have been connected
	looking  bool                          // handOut runs
	open     map[*topic]*inquiry           // those that an nsqlookupd has not answered
	sessions map[lookupHTTP]*lookupSession // with those that are connected

	alone bool // no nsqlookupd was connected when one was needed; used by handOut
}

// reachableLookups are what lookupChannels needs of lookups.
type reachableLookups interface {
	all() []string
	reachable(ctx context.Context) []lookupHTTP
	connected() (found []lookupHTTP, complete bool)
}

// A channelQuery returns the channels of a topic that the nsqlookupd with its
// HTTP API at address knows.
type channelQuery func(ctx context.Context, address, topic string) ([]string, error)

// An inquiry is what is asked about one topic.
type inquiry struct {
	topic    *topic
	since    time.Time
	waits    int      // queries that hold the topic
	pending  int      // all that are not done
	answered []string // addresses of those who answered
}

// longestHold is how long a topic waits for an nsqlookupd that answers in time
// but has more to answer than it can.
const longestHold = 30 * time.Second

// newLookupChannels returns what asks l. It has to be closed.
func newLookupChannels(o *Options, log *slog.Logger, l reachableLookups) *lookupChannels {
	c := &lookupChannels{
		log:      log,
		lookups:  l,
		timeout:  o.HTTPClientRequestTimeout,
		client:   newLookupClient(o, (&net.Dialer{Timeout: o.HTTPClientConnectTimeout}).DialContext),
		open:     make(map[*topic]*inquiry),
		sessions: make(map[lookupHTTP]*lookupSession),
	}
	c.query = c.client.Channels
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

func newLookupClient(o *Options, dial cluster.Dial) *cluster.Client {
	return cluster.NewClient(cluster.Config{
		Dial:           dial,
		RequestTimeout: o.HTTPClientRequestTimeout,
		MaxAnswer:      o.MaxBodySize,
		ConnsPerDaemon: sessionWorkers,
	})
}

// close ends all queries and returns when none runs any more. Topics that are
// held stay it.
func (l *lookupChannels) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.running.Wait()
	l.client.Close()
}

// ask holds t until the nsqlookupds have told its channels, if any is
// configured. It does not wait for that; nobody else may have seen t yet.
func (l *lookupChannels) ask(t *topic) {
	if l == nil || len(l.lookups.all()) == 0 {
		return
	}
	t.hold()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = append(l.fresh, t)
	l.handOutLocked()
}

// connected tells that an nsqlookupd may have become reachable. It does not
// block.
func (l *lookupChannels) connected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look = true
	l.handOutLocked()
}

// forget drops what is known of a topic whose deletion has begun.
func (l *lookupChannels) forget(t *topic) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, t)
}

func (l *lookupChannels) handOutLocked() {
	if !l.looking && !l.closed {
		l.looking = true
		l.running.Go(l.handOut)
	}
}

// handOut gives fresh topics to the sessions, and open ones to new sessions. It
// runs while there is something to do.
func (l *lookupChannels) handOut() {
	for {
		fresh, ok := l.takeFresh() // first: who is connected after that is not missed
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, l.timeout)
		found := l.lookups.reachable(ctx)
		cancel()
		l.noteAlone(found, fresh)
		release(l.handOutTo(found, fresh))
	}
}

// takeFresh returns false where there is nothing to do: then handOut must end.
func (l *lookupChannels) takeFresh() (fresh []*topic, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.look && len(l.fresh) == 0 {
		l.looking = false
		return nil, false
	}
	fresh, l.fresh, l.look = l.fresh, nil, false
	return fresh, true
}

// handOutTo opens sessions with those found and returns the topics that need
// not wait for anybody.
func (l *lookupChannels) handOutTo(found []lookupHTTP, fresh []*topic) (released []*topic) {
	connected, complete := l.lookups.connected()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	for _, h := range found {
		if l.sessions[h] == nil && h.ctx.Err() == nil {
			l.openSessionLocked(h).pushOpenLocked()
		}
	}
	for _, t := range fresh {
		if !t.isExiting() && !l.inquireLocked(t) {
			released = append(released, t)
		}
	}
	if complete {
		for _, in := range l.open {
			l.settleLocked(in, connected)
		}
	}
	return released
}

// inquireLocked has a topic asked about and reports whether it waits for that.
func (l *lookupChannels) inquireLocked(t *topic) (waits bool) {
	in := &inquiry{topic: t, since: time.Now()}
	l.open[t] = in
	for _, s := range l.sessions {
		if !s.late {
			s.pushLocked(in, true)
		}
	}
	return in.waits > 0
}

// noteAlone logs when there begins to be nobody to ask, whatever the number of
// topics that are created then. Only handOut calls it.
func (l *lookupChannels) noteAlone(found []lookupHTTP, fresh []*topic) {
	alone := len(found) == 0 && (l.alone || len(fresh) > 0)
	if alone && !l.alone {
		l.log.Error("no available nsqlookupd to query for channels to pre-create for topic " + fresh[0].name)
	}
	l.alone = alone
}

// settleLocked drops an inquiry that everybody has answered: those who are
// connected, if that is everybody.
func (l *lookupChannels) settleLocked(in *inquiry, connected []lookupHTTP) {
	if in.pending > 0 {
		return
	}
	for _, h := range connected {
		if l.sessions[h] == nil || !slices.Contains(in.answered, h.address) {
			return
		}
	}
	delete(l.open, in.topic)
}

// create creates those of the channels that outlive their consumers. The topic
// is held meanwhile: what has waited in it for a first channel goes to all.
func (l *lookupChannels) create(t *topic, channels []string) {
	t.hold()
	defer t.release()
	for _, name := range channels {
		if !wire.ValidName(name) || wire.IsEphemeral(name) {
			continue
		}
		_, err := t.enterChannel(name)
		if errors.Is(err, errExiting) {
			return
		}
		if err != nil {
			l.log.Warn(fmt.Sprintf("TOPIC(%s): a channel that an nsqlookupd knows is not created", t.name), "topic", logging.Said(t.name), "channel", name, "error", err)
		}
	}
}

// release ends the hold of these topics.
func release(topics []*topic) {
	for _, t := range topics {
		t.release()
	}
}

// isAnswer reports whether a query that failed so would fail again: the
// nsqlookupd has answered, if not as it should.
func isAnswer(err error) bool {
	if e, ok := errors.AsType[*cluster.StatusError](err); ok {
		return e.Status < http.StatusInternalServerError
	}
	_, ok := errors.AsType[*cluster.AnswerError](err)
	return err == nil || ok
}
