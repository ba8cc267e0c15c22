//go:build unix

package clustertest

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// An nsqlookupd that hangs holds up no publisher, not even the first of a new
// topic, and no other nsqlookupd. When it goes on, or is replaced, it learns
// within seconds what there is.
func TestLookupdThatHangs(t *testing.T) {
	for name, after := range map[string]func(hung *process){
		"and goes on": func(hung *process) { hung.Signal(syscall.SIGCONT) },
		"and is replaced": func(hung *process) {
			hung.kill()
			hung.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := processes{}
			hung, well := c.lookupd(t).(*process), c.lookupd(t)
			both := []node{hung, well}
			n := c.nsqd(t, both...).(*process)
			publish(t, n, "before", "hello")
			everywhere(t, both, "before", at(nil, n))

			const topics = 50
			hung.Signal(syscall.SIGSTOP)
			publishFirst(t, n, well, "unnoticed", topics)
			daemontest.WaitFor(t, n.Process, regexp.QuoteMeta("LOOKUPD("+hung.tcp()+")")+`: connection lost`)
			publishFirst(t, n, well, "noticed", topics)

			after(hung)
			begin := time.Now()
			for i := range topics {
				everywhere(t, both, fmt.Sprint("unnoticed", i), at(nil, n))
				everywhere(t, both, fmt.Sprint("noticed", i), at(nil, n))
			}
			everywhere(t, both, "before", at(nil, n))
			within(t, "the nsqlookupd that hung knows everything after", begin, 5*time.Second)
		})
	}
}

// publishFirst publishes the first message of so many topics, which must take
// no time, and neither must it take until the nsqlookupd that is well knows them.
func publishFirst(t *testing.T, n, well node, prefix string, topics int) {
	t.Helper()
	begin := time.Now()
	var longest time.Duration
	for i := range topics {
		one := time.Now()
		publish(t, n, fmt.Sprint(prefix, i), "hello")
		longest = max(longest, time.Since(one))
	}
	t.Logf("%s: the slowest first publish to a topic took %s", prefix, longest.Round(time.Microsecond))
	if longest > 3*time.Second {
		t.Errorf("%s: the slowest first publish to a topic took %s", prefix, longest)
	}
	for i := range topics {
		everywhere(t, []node{well}, fmt.Sprint(prefix, i), at(nil, n))
	}
	within(t, prefix+": the other nsqlookupd knows all topics after", begin, 4*time.Second)
}

// A broker that is killed disappears from every nsqlookupd at once; its topics
// stay known.
func TestKilledBrokerDisappears(t *testing.T) {
	t.Parallel()
	c := processes{}
	lookupds := []node{c.lookupd(t), c.lookupd(t)}
	a, b := c.nsqd(t, lookupds...).(*process), c.nsqd(t, lookupds...)
	publish(t, a, "t", "hello")
	publish(t, b, "t", "hello")
	post(t, a.http()+"/channel/create?topic=t&channel=c%23ephemeral", "")
	everywhere(t, lookupds, "t", at([]string{"c#ephemeral"}, a, b))

	a.kill()
	begin := time.Now()
	everywhere(t, lookupds, "t", at(nil, b))
	within(t, "a broker that was killed is gone after", begin, 5*time.Second)
	a.start()
	begin = time.Now()
	publish(t, a, "t", "again")
	everywhere(t, lookupds, "t", at(nil, a, b))
	within(t, "and is there again after", begin, 5*time.Second)
}

// A broker that hangs without a word is not offered any more once it has been
// silent for long; one word of it, and it is back.
func TestBrokerThatHangsIsNotOffered(t *testing.T) {
	t.Parallel()
	c := processes{}
	l := newProcess(t, "nsqlookupd", "--inactive-producer-timeout=17s") // a little more than a broker is silent
	n := c.nsqd(t, l).(*process)
	publish(t, n, "t", "hello")
	everywhere(t, []node{l}, "t", at(nil, n))

	n.Signal(syscall.SIGSTOP)
	gone := time.Now()
	nsqtest.EventuallyWithin(t, time.Minute, "the broker is not offered", func() bool { return known(l, "t") == at(nil) })
	within(t, "a broker that hangs is hidden after", gone, 30*time.Second)
	n.Signal(syscall.SIGCONT)
	nsqtest.EventuallyWithin(t, time.Minute, "the broker is offered again", func() bool { return known(l, "t") == at(nil, n) })
}
