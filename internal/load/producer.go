package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/seed893f581e/nsq/internal/wire"
)

// numbersPerProducer is how far the numbers of two producers are apart.
const numbersPerProducer = 1 << 40

// A Producer sends a batch again and again over one connection, with a number of
// batches at most that are not yet answered.
type Producer struct {
	Sent      Tally        // what was sent; of the goroutine that runs Run
	Confirmed atomic.Int64 // messages that were answered with OK

	batch   *Batch
	window  int // answers that may be outstanding
	next    uint64
	write   func([]byte) error
	answers func() (int, error)
}

// NewProducer returns a producer that sends the batch over a connection that
// nobody else reads. At most window batches are unanswered at a time. Producers
// of different index send messages of different numbers.
func NewProducer(c *Conn, batch *Batch, window, index int) *Producer {
	return &Producer{
		batch:   batch,
		window:  window * batch.Answers,
		next:    uint64(index) * numbersPerProducer,
		write:   c.Write,
		answers: func() (int, error) { return c.frames(nil) },
	}
}

// NewHTTPProducer is NewProducer for a bare connection to the HTTP port, with one
// request at a time.
func NewHTTPProducer(c io.ReadWriter, batch *Batch, index int) *Producer {
	br := bufio.NewReader(c)
	return &Producer{
		batch:   batch,
		window:  1,
		next:    uint64(index) * numbersPerProducer,
		write:   func(b []byte) error { _, err := c.Write(b); return err },
		answers: func() (int, error) { return 1, readHTTPAnswer(br) },
	}
}

// Len returns the number of messages of a batch.
func (p *Producer) Len() int { return p.batch.Len() }

// Run sends batches for as long as more says so, and returns when the last is
// answered. more may block.
func (p *Producer) Run(more func() bool) error {
	outstanding := 0
	for {
		for outstanding+p.batch.Answers <= p.window && more() {
			p.batch.Number(p.next, &p.Sent)
			p.next += uint64(p.batch.Len())
			outstanding += p.batch.Answers
			if err := p.write(p.batch.Bytes()); err != nil {
				return fmt.Errorf("publishing: %w", err)
			}
		}
		if outstanding == 0 {
			return nil
		}
		n, err := p.answers()
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		outstanding -= n
		p.Confirmed.Add(int64(n * p.batch.Len() / p.batch.Answers))
	}
}

var (
	httpOK     = []byte("HTTP/1.1 200 ")
	httpLength = []byte("Content-Length: 2")
)

// readHTTPAnswer reads the answer to a publish, which is OK with status 200.
func readHTTPAnswer(br *bufio.Reader) error {
	status, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, httpOK) {
		return fmt.Errorf("the answer is %q", bytes.TrimSpace(status))
	}
	known := false
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		known = known || bytes.Equal(line, httpLength)
	}
	if !known {
		return errors.New("the answer to a publish has a body that is not OK, or none")
	}
	var body [2]byte
	if _, err := io.ReadFull(br, body[:]); err != nil {
		return err
	}
	if string(body[:]) != wire.OK {
		return fmt.Errorf("the answer to a publish is %q", body)
	}
	return nil
}
