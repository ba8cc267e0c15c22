package nsq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// publication is what a transaction asks of nsqd.
type publication struct {
	verb   verb
	topic  string
	body   []byte        // not for mpub
	bodies [][]byte      // for mpub
	delay  time.Duration // for dpub
}

type verb uint8

const (
	pub verb = iota
	mpub
	dpub
	verbs // how many there are
)

func (v verb) String() string { return [...]string{"pub", "mpub", "dpub"}[v] }

func (p *publication) appendTo(b []byte) []byte {
	switch p.verb {
	case mpub:
		return wire.AppendMPub(b, p.topic, p.bodies)
	case dpub:
		return wire.AppendDPub(b, p.topic, p.delay, p.body)
	}
	return wire.AppendPub(b, p.topic, p.body)
}

// check refuses what no command can say. The rest is for nsqd to judge.
func (p *publication) check() error {
	if strings.ContainsAny(p.topic, " \r\n") {
		// nsqd would take the rest for a parameter it does not know or for other
		// commands, and what is before for the topic.
		return ErrInvalidTopicName
	}
	if p.bytes()+int64(4+4*len(p.bodies)) > math.MaxInt32 {
		// The size would be cut, and what follows taken for commands.
		return ErrProtocol{fmt.Sprintf("%s %s message too big %d > %d", CodeBadMessage, strings.ToUpper(p.verb.String()), p.bytes(), math.MaxInt32)}
	}
	return nil
}

// bytes returns the size of all bodies.
func (p *publication) bytes() int64 {
	n := int64(len(p.body))
	for _, body := range p.bodies {
		n += int64(len(body))
	}
	return n
}

// waiters holds transactions of calls that wait, with room for the answer in
// their doneChan.
var waiters = sync.Pool{New: func() any { return newWaiter() }}

func newWaiter() *ProducerTransaction {
	return &ProducerTransaction{doneChan: make(chan *ProducerTransaction, 1)}
}

func (p *Producer) call(ctx context.Context, pb publication) error {
	t := waiters.Get().(*ProducerTransaction)
	if err := p.submit(ctx, pb, t); err != nil {
		waiters.Put(t)
		return err
	}
	if !t.await(ctx) {
		// t stays in its place among those that wait for nsqd's answers: it
		// takes the answer to this call, and that to no other.
		return interrupted(ctx, "waiting for the answer of "+p.addr+", which may have taken what was published")
	}
	err := t.Error
	t.Error = nil
	waiters.Put(t)
	return err
}

// await returns true when the transaction has ended, and false if ctx ended
// first.
func (t *ProducerTransaction) await(ctx context.Context) bool {
	ended := ctx.Done()
	if ended == nil {
		<-t.doneChan
		return true
	}
	select {
	case <-t.doneChan:
		return true
	case <-ended:
	}
	select {
	case <-t.doneChan: // both at once: better to know
		return true
	default:
		return false
	}
}

func (p *Producer) submitAsync(ctx context.Context, pb publication, doneChan chan *ProducerTransaction, args []any) error {
	if err := p.results.awaitRoom(ctx, doneChan); err != nil {
		return err
	}
	return p.submit(ctx, pb, &ProducerTransaction{Args: args, doneChan: doneChan})
}

// submit queues a publication on the current connection, or on a new one. If it
// fails, the transaction is not used, and nothing was sent.
func (p *Producer) submit(ctx context.Context, pb publication, t *ProducerTransaction) error {
	if err := pb.check(); err != nil {
		return err
	}
	begin := p.begin
	if p.member {
		begin = p.beginConnected
	}
	c, err := begin(ctx)
	if err != nil {
		return err
	}
	c.queued = pb.appendTo(c.queued)
	c.push(pb.pending(t))
	c.commit()
	return nil
}

// begin returns the connection with its queue of commands locked, for one to be
// appended before commit. It waits while there is no connection, and while the
// queue has no room.
func (p *Producer) begin(ctx context.Context) (*producerConn, error) {
	for ctx.Err() == nil {
		c, err := p.connection(ctx)
		if err != nil {
			return nil, err
		}
		err = c.beginWhenRoom(ctx)
		if err == nil {
			return c, nil
		}
		if err != ErrClosing { //nolint:errorlint // a context may end with any cause
			return nil, err
		}
		p.forget(c) // nothing of this call was sent: connect anew
	}
	return nil, interrupted(ctx, "not sent to "+p.addr)
}

// errUnsent says that there is no connection, and that nothing was sent.
var errUnsent = errors.New("not connected any more")

// beginConnected is begin that fails with errUnsent where that would wait for a
// connection.
func (p *Producer) beginConnected(ctx context.Context) (*producerConn, error) {
	c := p.conn.Load()
	if c == nil {
		return nil, errUnsent
	}
	err := c.beginWhenRoom(ctx)
	if err == ErrClosing { //nolint:errorlint // a context may end with any cause
		p.forget(c)
		return nil, errUnsent
	}
	return c, err
}
