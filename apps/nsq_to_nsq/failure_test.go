package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// persistent are options with which a message comes again soon, and as often as
// need be.
var persistent = []string{"-topic=t", "-consumer-opt=default_requeue_delay,10ms", "-consumer-opt=max_backoff_duration,0s", "-consumer-opt=max_attempts,0"}

const inFlight = 200 // by default

// notPublished is what nsq_to_nsq says of a message that a destination did not take.
const notPublished = " ERROR: failed to publish message "

// underWay waits until messages arrive at a broker. They may all be there then: a
// test publishes more when it has done what it does in the middle.
func underWay(t *testing.T, d *nsqtest.NSQD) {
	t.Helper()
	nsqtest.Eventually(t, "messages arrive", func() bool { return topicDepth(t, d.HTTPURL(), "t") > 100 })
}

func TestDestinationRestart(t *testing.T) {
	from, to := nsqtest.Start(t, large(t)), nsqtest.Start(t, fixed(t, large(t)))
	bodies := numbers(10_000)
	tooltest.Publish(t, from, "t", bodies[:5000]...)
	p := forwarding(t, from, []tooltest.Broker{to}, persistent...)
	underWay(t, to)
	to.Stop()
	tooltest.Publish(t, from, "t", bodies[5000:]...)
	nsqtest.Eventually(t, "a publish fails", func() bool { return strings.Contains(p.Errors.String(), notPublished) })
	to = to.Restart()
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
	complete(t, take(t, to, to.HTTPURL(), "t"), bodies, inFlight)
}

func TestSourceRestart(t *testing.T) {
	from, to := nsqtest.Start(t, fixed(t, large(t))), nsqtest.Start(t, large(t))
	bodies := numbers(10_000)
	tooltest.Publish(t, from, "t", bodies[:5000]...)
	forwarding(t, from, []tooltest.Broker{to}, persistent...)
	underWay(t, to)
	from = from.Restart()
	tooltest.Publish(t, from, "t", bodies[5000:]...)
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
	complete(t, take(t, to, to.HTTPURL(), "t"), bodies, inFlight)
}

// What one destination did not confirm goes to another at once.
func TestDestinationGoesAway(t *testing.T) {
	for _, mode := range []string{"hostpool", "round-robin", "epsilon-greedy"} {
		t.Run(mode, func(t *testing.T) {
			from, a, b := nsqtest.Start(t, large(t)), nsqtest.Start(t, large(t)), nsqtest.Start(t, large(t))
			bodies := numbers(5_000)
			tooltest.Publish(t, from, "t", bodies[:2500]...)
			p := forwarding(t, from, []tooltest.Broker{a, b}, "-topic=t", "-mode="+mode)
			underWay(t, a)
			a.Stop()
			tooltest.Publish(t, from, "t", bodies[2500:]...)
			eventuallyEmpty(t, from, "t", "nsq_to_nsq")
			if s, _ := channelStats(t, from.HTTPURL(), "t", "nsq_to_nsq"); s.Requeues+s.Timeouts > 0 {
				t.Errorf("%+v of the source, want nothing requeued, stderr:\n%s", s, p.Errors.String())
			}
			a = a.Restart()
			all := slices.Concat(take(t, a, a.HTTPURL(), "t"), take(t, b, b.HTTPURL(), "t"))
			slices.Sort(all)
			complete(t, all, bodies, inFlight)
		})
	}
}

// A destination that was not there at first is found when it is, and in the mode
// all nothing is finished before.
func TestDestinationComesLater(t *testing.T) {
	from, a := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	b := nsqtest.Start(t, fixed(t, nsqtest.Options(t)))
	b.Stop()
	tooltest.Publish(t, from, "t", "one")
	p := forwarding(t, from, []tooltest.Broker{a, b}, append(persistent, "-mode=all")...)
	nsqtest.Eventually(t, "three attempts", func() bool { return strings.Count(p.Errors.String(), notPublished) >= 3 })
	if s, _ := channelStats(t, from.HTTPURL(), "t", "nsq_to_nsq"); s.Finished > 0 {
		t.Errorf("the source has %+v, want nothing finished", s)
	}
	b = b.Restart()
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
	for _, d := range []*nsqtest.NSQD{a, b} {
		complete(t, take(t, d, d.HTTPURL(), "t"), []string{"one"}, 1000)
	}
}

// A message that a destination refuses comes again later. Those around it do not,
// although nsqd ends the connection.
func TestRefusedMessage(t *testing.T) {
	opts := large(t)
	opts.MaxMsgSize = 1000
	from, to := nsqtest.Start(t, large(t)), nsqtest.Start(t, opts)
	bodies := numbers(2000)
	tooLarge := strings.Repeat("x", 1001)
	tooltest.Publish(t, from, "t", slices.Concat(bodies[:1000], []string{tooLarge}, bodies[1000:])...)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-consumer-opt=max_backoff_duration,0s")
	var s stats
	nsqtest.Eventually(t, "one message is left", func() bool {
		s, _ = channelStats(t, from.HTTPURL(), "t", "nsq_to_nsq")
		return s.Depth+s.InFlight == 0 && s.Deferred == 1
	})
	if s.Requeues != 1 {
		t.Errorf("%d messages were requeued, want 1, stderr:\n%s", s.Requeues, p.Errors.String())
	}
	complete(t, take(t, to, to.HTTPURL(), "t"), bodies, inFlight)
	if want := " to nsqd " + to.TCPAddr() + " - E_BAD_MESSAGE "; !strings.Contains(p.Errors.String(), want) {
		t.Errorf("stderr does not say %q:\n%s", want, p.Errors.String())
	}
}
