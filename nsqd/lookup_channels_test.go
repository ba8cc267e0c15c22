package nsqd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/wire"
)

// fakeLookups are nsqlookupds that need no network.
type fakeLookups struct {
	mu      sync.Mutex
	down    int // of those that are configured
	up      map[string]*fakeLookup
	settled chan struct{} // reachable waits for it, unless nil

	asking, mostAsking int // queries at a time
	queries            map[string]int
}

// fakeLookup is one that is connected.
type fakeLookup struct {
	http  lookupHTTP
	lose  context.CancelFunc
	reply func(ctx context.Context, topic string) ([]string, error)
}

func (f *fakeLookups) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return make([]string, f.down+len(f.up))
}

func (f *fakeLookups) reachable(ctx context.Context) (found []lookupHTTP) {
	f.mu.Lock()
	settled := f.settled
	f.mu.Unlock()
	if settled != nil {
		select {
		case <-settled:
		case <-ctx.Done():
		}
	}
	found, _ = f.connected()
	return found
}

func (f *fakeLookups) connected() (found []lookupHTTP, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.up {
		found = append(found, l.http)
	}
	return found, f.down == 0
}

func (f *fakeLookups) query(ctx context.Context, address, topic string) ([]string, error) {
	f.mu.Lock()
	f.asking++
	f.mostAsking = max(f.mostAsking, f.asking)
	f.queries[address]++
	reply := hangs
	if l := f.up[address]; l != nil {
		reply = l.reply
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.asking--
		f.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return reply(ctx, topic)
}

// queryTimeout is that of these tests.
const queryTimeout = 5 * time.Second

// knows is an nsqlookupd that answers after a delay.
func knows(delay time.Duration, channels ...string) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, _ string) ([]string, error) {
		select {
		case <-time.After(delay):
			return channels, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// hangs is an nsqlookupd that does not answer.
func hangs(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// fails is an nsqlookupd that answers with an error.
func fails(err error) func(context.Context, string) ([]string, error) {
	return func(context.Context, string) ([]string, error) { return nil, err }
}

// elsewhere is the set of topics of a node with nsqlookupds.
type elsewhere struct {
	*topics
	t        *testing.T
	lookups  *fakeLookups
	channels *lookupChannels
}

// testElsewhere runs a test in fake time, with so many nsqlookupds configured
// that are not connected yet.
func testElsewhere(t *testing.T, configured int, test func(e elsewhere)) {
	synctest.Test(t, func(t *testing.T) {
		env := testEnv(t, 100)
		f := &fakeLookups{down: configured, up: make(map[string]*fakeLookup), queries: make(map[string]int)}
		c := newLookupChannels(env.opts, env.log, f)
		c.query = f.query
		ts := &topics{}
		ts.init(env)
		ts.elsewhere = c
		t.Cleanup(func() {
			c.close()
			for _, topic := range ts.all() {
				if topic.exit(false) {
					ts.drop(topic)
				}
			}
		})
		test(elsewhere{ts, t, f, c})
	})
}

// connect has one of the configured nsqlookupds connected. Only a second call
// for the same one means another connection.
func (e elsewhere) connect(address string, reply func(context.Context, string) ([]string, error)) *fakeLookup {
	ctx, lose := context.WithCancel(e.t.Context())
	l := &fakeLookup{http: lookupHTTP{address, address, ctx}, reply: reply}
	l.lose = func() {
		e.lookups.mu.Lock()
		delete(e.lookups.up, address)
		e.lookups.down++
		e.lookups.mu.Unlock()
		lose()
	}
	e.lookups.mu.Lock()
	e.lookups.up[address] = l
	e.lookups.down--
	e.lookups.mu.Unlock()
	e.channels.connected()
	return l
}

// publish publishes messages from the given number on, which must take no
// time, and creates the topic.
func (e elsewhere) publish(topic string, first, n int) {
	e.t.Helper()
	start := time.Now()
	for i := range n {
		payload := wire.AppendToPayload(nil, fmt.Append(nil, first+i))
		if err := e.topics.publish([]byte(topic), payload, 1, 0); err != nil {
			e.t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 0 {
		e.t.Errorf("publishing waited for %v", took)
	}
}

// wants checks what is in the topic and in its channels, and that there are no
// others: the bodies with spaces between them.
func (e elsewhere) wants(topic string, inTopic int64, channels map[string]string) {
	e.t.Helper()
	synctest.Wait()
	tp := e.existing(topic)
	if depth, _ := tp.queue.depth(); depth != inTopic {
		e.t.Errorf("%d messages wait in the topic, want %d", depth, inTopic)
	}
	got := make(map[string]string)
	for _, ch := range tp.allChannels() {
		got[ch.name] = bodies(ch.queue)
	}
	if !maps.Equal(got, channels) {
		e.t.Errorf("channels have %v, want %v", got, channels)
	}
}

// bodies lists what is in a queue and leaves it there.
func bodies(q *queue) string {
	q.mu.Lock()
	spans := q.mem.clear()
	q.mu.Unlock()
	defer q.putBack(spans)
	var list []string
	for _, s := range spans {
		for s.count > 0 {
			m := s.pop()
			list = append(list, string(m.body()))
		}
	}
	return strings.Join(list, " ")
}

// heldFor returns when messages leave a topic, which has to have a channel.
func (e elsewhere) heldFor(topic string) time.Duration {
	e.t.Helper()
	start := time.Now()
	for time.Since(start) < time.Hour {
		synctest.Wait()
		if depth, _ := e.existing(topic).queue.depth(); depth == 0 {
			return time.Since(start)
		}
		<-time.After(10 * time.Millisecond)
	}
	e.t.Fatalf("topic %s is held for ever", topic)
	return 0
}

// openInquiries is for how many topics somebody has still to be asked.
func (e elsewhere) openInquiries() int {
	e.channels.mu.Lock()
	defer e.channels.mu.Unlock()
	return len(e.channels.open)
}

func TestNewTopicWaitsForItsChannels(t *testing.T) {
	testElsewhere(t, 1, func(e elsewhere) {
		e.connect("l", knows(3*time.Second, "a", "b", "c#ephemeral", "not valid", "", "b"))
		e.publish("t", 1, 3)
		<-time.After(2 * time.Second)
		e.publish("t", 4, 2)
		e.wants("t", 5, map[string]string{})
		if e.existing("t").isPaused() {
			t.Error("a topic that is held is shown as paused")
		}
		<-time.After(time.Second)
		e.wants("t", 0, map[string]string{"a": "1 2 3 4 5", "b": "1 2 3 4 5"})
		e.publish("t", 6, 1)
		e.wants("t", 0, map[string]string{"a": "1 2 3 4 5 6", "b": "1 2 3 4 5 6"})
		if n := e.openInquiries(); n != 0 {
			t.Errorf("%d topics are not done", n)
		}
	})
}

func TestTopicOfAConsumerWaitsForTheOtherChannels(t *testing.T) {
	testElsewhere(t, 1, func(e elsewhere) {
		e.connect("l", knows(time.Second, "a"))
		consumer := &client{env: e.env}
		ch, err := e.subscribe([]byte("t"), "mine", consumer)
		if err != nil {
			t.Fatal(err)
		}
		defer e.unsubscribe(ch, consumer)
		e.publish("t", 1, 2)
		e.wants("t", 2, map[string]string{"mine": ""})
		<-time.After(time.Second)
		e.wants("t", 0, map[string]string{"mine": "1 2", "a": "1 2"})
	})
}

func TestNewTopicGetsTheChannelsOfAllLookups(t *testing.T) {
	testElsewhere(t, 3, func(e elsewhere) {
		e.connect("l1", knows(time.Second, "a", "b"))
		e.connect("l2", knows(2*time.Second, "b", "c"))
		e.connect("l3", knows(0))
		e.publish("t", 1, 2)
		<-time.After(1500 * time.Millisecond)
		e.wants("t", 2, map[string]string{"a": "", "b": ""})
		<-time.After(time.Second)
		e.wants("t", 0, map[string]string{"a": "1 2", "b": "1 2", "c": "1 2"})
	})
}

// An answer that is none gives no channels, and is not asked for again.
func TestNewTopicDespiteBadAnswers(t *testing.T) {
	for _, err := range []error{&cluster.StatusError{Status: 404}, &cluster.AnswerError{Err: errors.New("is huge")}} {
		testElsewhere(t, 2, func(e elsewhere) {
			e.connect("good", knows(time.Second, "a"))
			e.connect("bad", fails(err))
			e.publish("t", 1, 1)
			<-time.After(time.Minute)
			e.wants("t", 0, map[string]string{"a": "1"})
			if n := e.lookups.queries["bad"]; n != 1 {
				t.Errorf("asked %d times", n)
			}
			if n := e.openInquiries(); n != 0 {
				t.Errorf("%d topics are not done", n)
			}
		})
	}
}

// An nsqlookupd that does not answer holds topics until its query has timed out
// and no topic after that, until it answers again.
func TestHungLookupHoldsTopicsOnce(t *testing.T) {
	testElsewhere(t, 2, func(e elsewhere) {
		e.connect("good", knows(0, "a"))
		hung := e.connect("hung", hangs)
		for i := range 20 { // more than are asked about at a time
			e.publish(fmt.Sprint("t", i), 1, 1)
		}
		if held := e.heldFor("t0"); held != queryTimeout {
			t.Errorf("the first topic is held for %v, want %v", held, queryTimeout)
		}
		for i := range 20 {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": "1"})
		}
		<-time.After(time.Minute)
		e.publish("later", 1, 1)
		if held := e.heldFor("later"); held != 0 {
			t.Errorf("a later topic is held for %v", held)
		}
		e.lookups.mu.Lock()
		hung.reply = knows(0, "a", "b")
		e.lookups.mu.Unlock()
		<-time.After(queryTimeout + sessionRetry)
		for i := range 20 {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": "1", "b": ""})
		}
		e.wants("later", 0, map[string]string{"a": "1", "b": ""})
		if n := e.openInquiries(); n != 0 {
			t.Errorf("%d topics are not done", n)
		}
		e.lookups.mu.Lock()
		hung.reply = knows(time.Second, "c")
		e.lookups.mu.Unlock()
		e.publish("last", 1, 1)
		if held := e.heldFor("last"); held != time.Second {
			t.Errorf("with all answering again, a topic is held for %v, want 1s", held)
		}
		e.wants("last", 0, map[string]string{"a": "1", "c": "1"})
	})
}

// An nsqlookupd that answers, but not as fast as topics are created.
func TestSlowLookupHoldsTopicsForABoundedTime(t *testing.T) {
	testElsewhere(t, 1, func(e elsewhere) {
		e.connect("slow", knows(4*time.Second, "a"))
		for i := range 200 {
			e.publish(fmt.Sprint("t", i), 1, 1)
		}
		<-time.After(longestHold + queryTimeout)
		for i := range 200 {
			if e.existing(fmt.Sprint("t", i)).isHeld() {
				t.Errorf("topic t%d is still held", i)
			}
		}
		<-time.After(time.Hour)
		for i := range 200 {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": "1"}) // as nobody else has taken it
		}
	})
}

func TestLostLookupReleasesTopics(t *testing.T) {
	testElsewhere(t, 2, func(e elsewhere) {
		e.connect("good", knows(0, "a"))
		lost := e.connect("lost", hangs)
		for i := range 20 {
			e.publish(fmt.Sprint("t", i), 1, 1)
		}
		time.AfterFunc(time.Second, lost.lose)
		if held := e.heldFor("t0"); held != time.Second {
			t.Errorf("held for %v, want 1s", held)
		}
		for i := range 20 {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": "1"})
		}
		e.publish("later", 1, 1)
		e.wants("later", 0, map[string]string{"a": "1"})
		if n := e.openInquiries(); n != 21 {
			t.Errorf("%d topics are remembered for who is not connected, want 21", n)
		}
		e.connect("lost", knows(0, "b"))
		for i := range 20 {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": "1", "b": ""})
		}
		e.wants("later", 0, map[string]string{"a": "1", "b": ""})
		if n := e.openInquiries(); n != 0 {
			t.Errorf("%d topics are not done", n)
		}
		if n := e.lookups.queries["good"]; n != 21 {
			t.Errorf("who has answered was asked %d times about 21 topics", n)
		}
	})
}

// What is remembered for nsqlookupds that are down is no more than there are
// topics.
func TestLookupThatIsDown(t *testing.T) {
	testElsewhere(t, 1, func(e elsewhere) {
		for range 100 {
			e.publish("comes.and.goes", 1, 1)
			tp := e.existing("comes.and.goes")
			if !tp.exit(false) {
				t.Fatal("already being deleted")
			}
			e.drop(tp)
		}
		e.publish("t", 1, 1)
		synctest.Wait()
		if n := e.openInquiries(); n != 1 {
			t.Errorf("%d topics are remembered, want 1", n)
		}
		if _, err := e.existing("t").channel("mine"); err != nil {
			t.Fatal(err)
		}
		e.wants("t", 0, map[string]string{"mine": "1"})
		e.connect("l", knows(0, "a", "mine"))
		synctest.Wait()
		e.publish("t", 2, 1)
		e.wants("t", 0, map[string]string{"mine": "1 2", "a": "2"})
	})
}

// What waits for a first channel goes to all that an nsqlookupd knows, even if
// nothing was held for that.
func TestLookupThatComesLateBringsAllChannelsAtOnce(t *testing.T) {
	var channels []string
	want := map[string]string{}
	for i := range 50 { // one at a time, the pump would be faster
		channels = append(channels, fmt.Sprint("c", i))
		want[channels[i]] = "1 2 3"
	}
	testElsewhere(t, 1, func(e elsewhere) {
		e.publish("t", 1, 3)
		synctest.Wait()
		if e.existing("t").isHeld() {
			t.Error("the topic is held for nobody")
		}
		e.connect("l", knows(0, channels...))
		synctest.Wait()
		e.wants("t", 0, want)
	})
}

// At a start, topics wait until it is known who can be asked.
func TestNewTopicWaitsForTheFirstConnection(t *testing.T) {
	for name, answers := range map[string]bool{"that succeeds": true, "of whose success nothing is known": false} {
		t.Run(name, func(t *testing.T) {
			testElsewhere(t, 1, func(e elsewhere) {
				e.lookups.settled = make(chan struct{})
				e.publish("t", 1, 1)
				if _, err := e.existing("t").channel("mine"); err != nil {
					t.Fatal(err)
				}
				e.wants("t", 1, map[string]string{"mine": ""})
				if answers {
					<-time.After(time.Second)
					e.connect("l", knows(time.Second, "a"))
					close(e.lookups.settled)
					<-time.After(time.Second)
					e.wants("t", 0, map[string]string{"mine": "1", "a": "1"})
				} else if held := e.heldFor("t"); held != queryTimeout {
					t.Errorf("held for %v, want %v", held, queryTimeout)
				}
			})
		})
	}
}

func TestNoLookupsNoHold(t *testing.T) {
	testElsewhere(t, 0, func(e elsewhere) {
		e.publish("t", 1, 1)
		if tp := e.existing("t"); tp.isHeld() || len(e.channels.fresh) > 0 || e.channels.looking {
			t.Error("a topic is held though no nsqlookupd is configured")
		}
	})
}

// What is done with a topic while it is held.
func TestHeldTopic(t *testing.T) {
	held := func(t *testing.T, test func(e elsewhere, tp *topic)) {
		testElsewhere(t, 1, func(e elsewhere) {
			e.connect("l", knows(time.Second, "a"))
			e.publish("t", 1, 2)
			test(e, e.existing("t"))
		})
	}
	t.Run("pause and unpause", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			tp.setPaused(true)
			tp.setPaused(false)
			e.wants("t", 2, map[string]string{})
			<-time.After(time.Second)
			e.wants("t", 0, map[string]string{"a": "1 2"})
		})
	})
	t.Run("pause", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			tp.setPaused(true)
			<-time.After(time.Second)
			e.wants("t", 2, map[string]string{"a": ""})
			tp.setPaused(false)
			e.wants("t", 0, map[string]string{"a": "1 2"})
		})
	})
	t.Run("a channel is created and deleted", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			ch, err := tp.channel("mine")
			if err != nil || !ch.exit(false) || e.dropChannel(ch) != nil {
				t.Fatal(err)
			}
			e.wants("t", 2, map[string]string{})
			<-time.After(time.Second)
			e.wants("t", 0, map[string]string{"a": "1 2"})
		})
	})
	t.Run("empty", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			if err := tp.queue.empty(); err != nil {
				t.Fatal(err)
			}
			e.publish("t", 3, 1)
			<-time.After(time.Second)
			e.wants("t", 0, map[string]string{"a": "3"})
		})
	})
	t.Run("delete and create", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			<-time.After(500 * time.Millisecond)
			start := time.Now()
			if !tp.exit(false) {
				t.Fatal("it is being deleted already")
			}
			if err := e.drop(tp); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if took := time.Since(start); took > 0 || e.lookups.asking > 0 {
				t.Errorf("took %v, and then %d queries go on", took, e.lookups.asking)
			}
			e.publish("t", 3, 1)
			<-time.After(750 * time.Millisecond) // the first query would be done
			e.wants("t", 1, map[string]string{})
			<-time.After(250 * time.Millisecond)
			e.wants("t", 0, map[string]string{"a": "3"})
		})
	})
	t.Run("exit", func(t *testing.T) {
		held(t, func(e elsewhere, tp *topic) {
			if _, err := tp.channel("mine"); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			e.channels.close()
			if took := time.Since(start); took > 0 {
				t.Errorf("took %v", took)
			}
			e.publish("t", 3, 1)
			e.publish("new", 1, 1)
			<-time.After(time.Minute)
			e.wants("t", 3, map[string]string{"mine": ""})
			e.wants("new", 1, map[string]string{})
		})
	})
}

// Ten thousand topics at once are few connections, and each has all channels.
func TestManyNewTopics(t *testing.T) {
	testElsewhere(t, 2, func(e elsewhere) {
		e.connect("l1", knows(time.Millisecond, "a"))
		e.connect("l2", knows(2*time.Millisecond, "b"))
		const topics = 10000
		for i := range topics {
			e.publish(fmt.Sprint("t", i), i, 1)
		}
		<-time.After(time.Minute)
		for i := range topics {
			e.wants(fmt.Sprint("t", i), 0, map[string]string{"a": fmt.Sprint(i), "b": fmt.Sprint(i)})
		}
		if most := e.lookups.mostAsking; most > 2*sessionWorkers {
			t.Errorf("%d queries at a time, want %d for each", most, sessionWorkers)
		}
		if n := e.openInquiries(); n != 0 {
			t.Errorf("%d topics are not done", n)
		}
	})
}

// Topics that are created, deleted and paused while nsqlookupds come and go:
// for the race detector, and in the end nothing is held or remembered.
func TestNewTopicsWhileLookupsComeAndGo(t *testing.T) {
	testElsewhere(t, 2, func(e elsewhere) {
		e.connect("good", knows(time.Millisecond, "a"))
		var running sync.WaitGroup
		running.Go(func() {
			for range 50 {
				l := e.connect("flaps", knows(3*time.Millisecond, "b"))
				<-time.After(5 * time.Millisecond)
				l.lose()
				<-time.After(2 * time.Millisecond)
			}
			e.connect("flaps", knows(time.Millisecond, "b"))
		})
		for i := range 8 {
			running.Go(func() {
				for n := range 100 {
					name := fmt.Sprint("t", i, ".", n%3)
					e.topics.publish([]byte(name), wire.AppendToPayload(nil, []byte("x")), 1, 0)
					tp := e.existing(name)
					tp.setPaused(n%2 == 0)
					<-time.After(time.Duration(n%5) * time.Millisecond)
					tp.setPaused(false)
					if n < 90 && tp.exit(false) {
						e.drop(tp)
					}
				}
			})
		}
		running.Wait()
		<-time.After(time.Minute)
		synctest.Wait()
		for _, tp := range e.all() {
			if depth, _ := tp.queue.depth(); depth > 0 || tp.isHeld() || len(tp.allChannels()) != 2 {
				t.Errorf("topic %s has %d messages and %d channels, held: %v", tp.name, depth, len(tp.allChannels()), tp.isHeld())
			}
		}
		if n := e.openInquiries(); n != 0 || len(e.all()) != 24 {
			t.Errorf("%d of %d topics are not done", n, len(e.all()))
		}
	})
}

// What the first publish to a topic costs its publisher, without nsqlookupds and
// with one that is asked over HTTP; and how long it takes until each topic has
// its channels.
func BenchmarkNewTopic(b *testing.B) {
	lookupd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Nsq-Content-Type", "nsq; version=1.0")
		io.WriteString(w, `{"channels":["archive"]}`)
	}))
	defer lookupd.Close()
	address := strings.TrimPrefix(lookupd.URL, "http://")
	for _, configured := range []int{0, 1} {
		b.Run(fmt.Sprintf("nsqlookupds=%d", configured), func(b *testing.B) {
			e := testEnv(b, 100)
			f := &fakeLookups{up: make(map[string]*fakeLookup)}
			if configured > 0 {
				f.up[address] = &fakeLookup{http: lookupHTTP{address, address, b.Context()}}
			}
			var ts topics
			ts.init(e)
			ts.elsewhere = newLookupChannels(e.opts, e.log, f)
			defer ts.elsewhere.close()
			payload := wire.AppendToPayload(nil, []byte("x"))
			start, created := time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				if err := ts.publish(fmt.Append(nil, "topic-", created), payload, 1, 0); err != nil {
					b.Fatal(err)
				}
				created++
			}
			for _, tp := range ts.all() {
				for tp.isHeld() {
					<-time.After(time.Millisecond)
				}
			}
			b.ReportMetric(float64(time.Since(start))/float64(created), "until-told-ns/op")
		})
	}
}

func (t *topic) isHeld() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holds > 0
}
