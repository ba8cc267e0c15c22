package nsq_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// worker is a ConnDelegate that handles messages as they come and keeps the rest.
type worker struct {
	handle    func(*nsq.Conn, *nsq.Message)
	responses chan string
	closed    chan struct{}

	mu     sync.Mutex
	counts map[string]int
}

func newWorker(handle func(*nsq.Conn, *nsq.Message)) *worker {
	return &worker{handle: handle, responses: make(chan string, 100), closed: make(chan struct{}), counts: map[string]int{}}
}

func (w *worker) count(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[event]++
}

func (w *worker) OnResponse(_ *nsq.Conn, data []byte)           { w.responses <- string(data) }
func (w *worker) OnError(_ *nsq.Conn, data []byte)              { w.responses <- string(data) }
func (w *worker) OnMessage(c *nsq.Conn, m *nsq.Message)         { w.handle(c, m) }
func (w *worker) OnMessageFinished(_ *nsq.Conn, _ *nsq.Message) { w.count("finished") }
func (w *worker) OnMessageRequeued(_ *nsq.Conn, m *nsq.Message) { w.count("requeued") }
func (w *worker) OnBackoff(*nsq.Conn)                           { w.count("backoff") }
func (w *worker) OnContinue(*nsq.Conn)                          { w.count("continue") }
func (w *worker) OnResume(*nsq.Conn)                            { w.count("resume") }
func (w *worker) OnIOError(_ *nsq.Conn, err error)              { w.responses <- err.Error() }
func (w *worker) OnHeartbeat(*nsq.Conn)                         { w.count("heartbeat") }
func (w *worker) OnClose(*nsq.Conn)                             { close(w.closed) }

// A program that has nothing but Conn publishes and consumes, whatever is put
// around the bytes.
func TestConnWithNSQD(t *testing.T) {
	nsqtest.Parallel(t)
	d := startTLS(t, certstest.NewCA(t), nil)
	for name, change := range map[string]func(*nsq.Config){
		"plain":   func(*nsq.Config) {},
		"snappy":  func(c *nsq.Config) { c.Snappy = true },
		"deflate": func(c *nsq.Config) { c.Deflate = true },
		"tls": func(c *nsq.Config) {
			c.TlsV1 = true
			must(t, c.Set("tls_insecure_skip_verify", true))
			c.Snappy = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := nsq.NewConfig()
			cfg.HeartbeatInterval = time.Second
			change(cfg)
			const messages = 100
			done := make(chan string, messages)
			w := newWorker(func(_ *nsq.Conn, m *nsq.Message) {
				if m.Attempts == 1 {
					m.RequeueWithoutBackoff(0)
					return
				}
				m.Touch()
				m.Finish()
				done <- string(m.Body)
			})
			c := nsq.NewConn(d.TCPAddr(), cfg, w)
			c.SetLogger(testLog{t}, nsq.LogLevelInfo, "")
			resp, err := c.Connect()
			must(t, err)
			if resp.TLSv1 != cfg.TlsV1 || resp.Snappy != cfg.Snappy || resp.Deflate != cfg.Deflate || resp.MaxRdyCount != c.MaxRDY() {
				t.Errorf("IDENTIFY was answered with %+v", resp)
			}
			topic := "conn_" + name
			for i := range messages {
				must(t, c.WriteCommand(nsq.Publish(topic, fmt.Append(nil, i))))
			}
			must(t, c.WriteCommand(nsq.Subscribe(topic, "ch")))
			for range messages + 1 {
				if got := nsqtest.Receive(t, "a response", w.responses); got != "OK" {
					t.Fatalf("response %s", got)
				}
			}
			c.SetRDY(10)
			must(t, c.WriteCommand(nsq.Ready(10)))
			seen := map[string]bool{}
			for range messages {
				seen[nsqtest.Receive(t, "a message", done)] = true
			}
			if len(seen) != messages {
				t.Errorf("%d different messages, want %d", len(seen), messages)
			}
			nsqtest.Eventually(t, "a heartbeat", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.counts["heartbeat"] > 0 && w.counts["resume"] == messages
			})
			must(t, c.WriteCommand(nsq.StartClose()))
			if got := nsqtest.Receive(t, "CLOSE_WAIT", w.responses); got != "CLOSE_WAIT" {
				t.Errorf("response %s", got)
			}
			must(t, c.Close())
			nsqtest.Receive(t, "OnClose", w.closed)
			for event, want := range map[string]int{"finished": messages, "resume": messages, "requeued": messages, "continue": messages, "backoff": 0} {
				if w.counts[event] != want {
					t.Errorf("%s %d times, want %d", event, w.counts[event], want)
				}
			}
		})
	}
}

// What nsqd does not accept arrives as an error, and then the end.
func TestConnRefused(t *testing.T) {
	d := nsqtest.Start(t, nil)
	w := newWorker(nil)
	c := nsq.NewConn(d.TCPAddr(), nsq.NewConfig(), w)
	_, err := c.Connect()
	must(t, err)
	must(t, c.WriteCommand(nsq.Publish("bad$", []byte("x"))))
	for _, want := range []string{`E_BAD_TOPIC PUB topic name "bad$" is not valid`, "EOF"} {
		if got := nsqtest.Receive(t, want, w.responses); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	nsqtest.Receive(t, "OnClose", w.closed)
}
