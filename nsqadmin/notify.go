package nsqadmin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"
)

// maxNotifications is how many wait for an endpoint that is slow, or down.
const maxNotifications = 1000

// A notification tells an endpoint of an action.
type notification struct {
	Action     string `json:"action"`
	Topic      string `json:"topic"`
	Channel    string `json:"channel,omitempty"`
	Node       string `json:"node,omitempty"`
	Durability string `json:"durability,omitempty"` // that was chosen
	Timestamp  int64  `json:"timestamp"`            // seconds since the Unix epoch
	User       string `json:"user,omitempty"`
	RemoteIP   string `json:"remote_ip"`
	UserAgent  string `json:"user_agent"`
	URL        string `json:"url"`
	Via        string `json:"via"` // this machine
}

// A notifier sends notifications one at a time and in order, while everything
// else goes on. One that cannot be delivered is in the log.
type notifier struct {
	endpoint string // "" for none
	client   http.Client
	log      *slog.Logger
	via      string
	queue    chan notification
}

func newNotifier(o *Options, transport *http.Transport, log *slog.Logger) *notifier {
	via, err := os.Hostname()
	if err != nil {
		log.Warn("NOTIFY: the name of this machine is not known", "error", err)
	}
	return &notifier{
		endpoint: o.NotificationHTTPEndpoint,
		client:   http.Client{Timeout: o.HTTPClientRequestTimeout, Transport: transport},
		log:      log,
		via:      via,
		queue:    make(chan notification, maxNotifications),
	}
}

// tell queues what is to be told of an action. It never blocks. What only had
// to do with messages is told of also when it failed, anything else if it was
// done.
func (n *notifier) tell(by actor, o outcome) {
	a := o.Action
	if n.endpoint == "" || a.check() != nil {
		return
	}
	if _, simple := simpleActions[a.Name]; o.Err != nil && !simple {
		return
	}
	if a.Name == createChannel {
		n.add(by, action{Name: createTopic, Topic: a.Topic, Durability: a.Durability})
	}
	n.add(by, a)
}

func (n *notifier) add(by actor, a action) {
	what := notification{
		Action:     a.Name,
		Topic:      a.Topic,
		Channel:    a.Channel,
		Node:       a.Node,
		Durability: a.Durability,
		Timestamp:  time.Now().Unix(),
		User:       by.User,
		RemoteIP:   by.RemoteIP,
		UserAgent:  by.UserAgent,
		URL:        by.URL,
		Via:        n.via,
	}
	select {
	case n.queue <- what:
	default:
		n.lost(what, fmt.Errorf("%d others wait already", maxNotifications))
	}
}

// loop sends what is queued, until the context ends.
func (n *notifier) loop(ctx context.Context) error {
	for {
		select {
		case what := <-n.queue:
			if err := n.send(ctx, what); err != nil {
				n.lost(what, err)
			}
		case <-ctx.Done():
			n.giveUp()
			return nil
		}
	}
}

// giveUp logs what is still queued when the program ends.
func (n *notifier) giveUp() {
	for {
		select {
		case what := <-n.queue:
			n.lost(what, context.Canceled)
		default:
			return
		}
	}
}

// send makes one request. Whatever the endpoint answers, it was told.
func (n *notifier) send(ctx context.Context, what notification) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) // for the connection to be used again
	if resp.StatusCode >= http.StatusBadRequest {
		n.log.Warn("NOTIFY: the endpoint refuses a notification", "status", resp.StatusCode, "action", what.Action, "topic", what.Topic)
	}
	return nil
}

// lost logs a notification that nobody will get.
func (n *notifier) lost(what notification, err error) {
	n.log.Error("NOTIFY: not delivered", "action", what.Action, "topic", what.Topic, "channel", what.Channel, "node", what.Node, "error", err)
}
