package nsqd_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// pipelined are commands of all kinds that publish, and how many answers they have.
func pipelined(topic string, n int) (commands []byte, answers int) {
	for i := range n {
		commands = fmt.Appendf(commands, "PUB %s\n\x00\x00\x00\x04p%03d", topic, i)
		commands = fmt.Appendf(commands, "MPUB %s\n\x00\x00\x00\x14\x00\x00\x00\x02\x00\x00\x00\x04m%03d\x00\x00\x00\x04n%03d", topic, i, i)
		commands = fmt.Appendf(commands, "DPUB %s 0\n\x00\x00\x00\x04d%03d", topic, i)
	}
	return commands, 3 * n
}

func startFsync(t *testing.T) *nsqtest.NSQD {
	opts := nsqtest.Options(t)
	opts.Durability = nsqd.Fsync
	return nsqtest.Start(t, opts)
}

func TestPipelinedPublishesAreAnsweredInOrder(t *testing.T) {
	nsqtest.Parallel(t)
	n := startFsync(t)
	p := dialRaw(t, n)
	const each = 300 // more than are under way at a time
	var all []byte
	answers := 0
	for _, topic := range []string{"a", "b"} {
		commands, more := pipelined(topic, each)
		all, answers = append(all, commands...), answers+more
	}
	all = append(all, "FIN 0123456789abcdef\n"...)
	p.send(all)
	for range answers {
		p.want(ok)
	}
	p.wantError("E_INVALID cannot FIN in current state")
	for _, topic := range []string{"a", "b"} {
		wantPublished(t, n, topic, 4*each)
	}
}

func wantPublished(t *testing.T, n *nsqtest.NSQD, topic string, want int) {
	t.Helper()
	c := dialRaw(t, n)
	c.consume(topic, "c", 2500)
	seen := map[string]bool{}
	for len(seen) < want {
		m := c.message()
		if seen[string(m.Body)] {
			t.Fatalf("message %s came twice", m.Body)
		}
		seen[string(m.Body)] = true
		c.fin(m)
	}
}

// The end of what a client sends does not keep it from being answered, whether the
// client closes its side, ends in the middle of a command, or sends an error.
func TestPipelinedPublishesBeforeTheEndAreAnswered(t *testing.T) {
	nsqtest.Parallel(t)
	for name, end := range map[string]string{
		"end": "", "half a command": "MPUB t\n\x00\x00\x10\x00half", "error": "PUB t!\n", "unknown": "WHAT\n",
	} {
		t.Run(name, func(t *testing.T) {
			n := startFsync(t)
			p := dialRaw(t, n)
			commands, answers := pipelined("t", 5)
			p.send(append(bytes.Clone(commands), end...))
			if end == "" || name == "half a command" {
				p.conn.(interface{ CloseWrite() error }).CloseWrite()
			}
			for range answers {
				p.want(ok)
			}
		})
	}
}

// Who deletes a topic and who publishes to it, pipelined, do not wait for each other.
func TestPipelinedPublishesToATopicThatIsDeleted(t *testing.T) {
	nsqtest.Parallel(t)
	n := startFsync(t)
	a := newAPI(t, n)
	p := dialRaw(t, n)
	commands, answers := pipelined("t", 50)
	for range 20 {
		p.pub("t", "first")
		p.send(commands)
		a.post("/topic/delete?topic=t")
		for range answers {
			p.want(ok)
		}
	}
}
