package nsqd

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

var (
	errTopicNotFound   = httpapi.Error{Status: http.StatusNotFound, Code: "TOPIC_NOT_FOUND"}
	errChannelNotFound = httpapi.Error{Status: http.StatusNotFound, Code: "CHANNEL_NOT_FOUND"}
)

// topicParam returns the topic's name, which may be no valid one.
func topicParam(r *http.Request) (q httpapi.Query, name string, err error) {
	if q, err = httpapi.ParseQuery(r); err != nil {
		return q, "", err
	}
	name, ok := q.Lookup("topic")
	if !ok {
		return q, "", badRequest("MISSING_ARG_TOPIC")
	}
	return q, name, nil
}

// newTopicParam returns the topic's name where an invalid one is an error of its
// own: for what creates topics, and /topic/empty.
func newTopicParam(r *http.Request) (q httpapi.Query, name string, err error) {
	q, name, err = topicParam(r)
	if err == nil && !wire.ValidName(name) {
		err = badRequest("INVALID_TOPIC")
	}
	return q, name, err
}

// channelParams returns the names of a topic and of a channel.
func channelParams(r *http.Request) (topic, channel string, err error) {
	q, topic, err := topicParam(r)
	if err != nil {
		return "", "", err
	}
	channel, ok := q.Lookup("channel")
	switch {
	case !wire.ValidName(topic):
		return "", "", badRequest("INVALID_ARG_TOPIC")
	case !ok:
		return "", "", badRequest("MISSING_ARG_CHANNEL")
	case !wire.ValidName(channel):
		return "", "", badRequest("INVALID_ARG_CHANNEL")
	}
	return topic, channel, nil
}

// change calls do, which changes a topic that exists or its channels. Nobody puts another in its
// place meanwhile.
func (s *httpServer) change(topic string, do func(*topic) error) error {
	t := s.n.topics.enter(topic)
	if t == nil {
		return errTopicNotFound
	}
	defer t.requests.leave()
	return do(t)
}

// save waits until a change is permanent, before it is answered. Of ephemeral
// things nothing is kept.
func (s *httpServer) save(ephemeral bool) error {
	if ephemeral {
		return nil
	}
	if err := s.n.metadata.sync(s.n.ctx); err != nil {
		return notSaved(err)
	}
	return nil
}

// saveCreated is save for a topic that was created, or one that got a channel. A log
// that has it keeps it: then nsqd.dat is to have it, too, but may get it later.
func (s *httpServer) saveCreated(t *topic, ephemeral bool) error {
	err := s.save(ephemeral)
	if t.log != nil && !errors.Is(err, httpapi.Exiting) {
		return nil
	}
	return err
}

// saveDeletion is save for a deletion: on a full disk with the room of the store's reserve.
func (s *httpServer) saveDeletion(ephemeral bool) error {
	return s.n.env.durable.withReserve(func() error { return s.save(ephemeral) })
}

// notSaved says that a change is in force, and that a crash may undo it for now. It is
// for those that cannot be taken back.
func notSaved(err error) error {
	e, ok := errors.AsType[httpapi.Error](diskError(fmt.Errorf("the change is in force but not saved, will try again: %w", err)))
	if ok && !errors.Is(err, errExiting) {
		e.Code = "NOT_SAVED"
	}
	return e
}

func (s *httpServer) createTopic(r *http.Request) (any, error) {
	q, name, err := newTopicParam(r)
	if err != nil {
		return nil, err
	}
	d, chosen, err := durabilityParam(r, q, name)
	if err != nil {
		return nil, err
	}
	var t *topic
	if chosen {
		t, err = s.n.topicOf(name, d)
	} else {
		t, err = s.n.topics.topic([]byte(name))
	}
	if errors.Is(err, errNotEmpty) {
		return nil, httpapi.Error{Status: http.StatusConflict, Code: "TOPIC_NOT_EMPTY"}
	}
	if err != nil {
		return nil, diskError(err)
	}
	return nil, s.saveCreated(t, t.ephemeral)
}

// durabilityParam returns the durability that is chosen for a topic, if one is. Unlike
// others this parameter may be in a form, too: a topic that loses what it was to keep would be
// found out too late.
func durabilityParam(r *http.Request, q httpapi.Query, topic string) (d Durability, chosen bool, err error) {
	word, chosen := q.Lookup("durability")
	if !chosen {
		word, chosen, err = formValue(r, "durability")
	}
	if !chosen {
		return d, false, err
	}
	if err := d.Set(word); err != nil || word == "" || d != Memory && wire.IsEphemeral(topic) {
		return d, true, badRequest("INVALID_DURABILITY")
	}
	return d, true, nil
}

// maxForm is how long a form may be, in bytes.
const maxForm = 4096

// formValue returns the first value of a parameter in the body, if that is a form, and
// whether it is there. A body that cannot be read has none; one that is too long is an error.
func formValue(r *http.Request, name string) (value string, ok bool, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if _, long := errors.AsType[*http.MaxBytesError](r.ParseForm()); long {
		return "", false, tooLarge("BODY_TOO_BIG")
	}
	if values := r.PostForm[name]; len(values) > 0 {
		return values[0], true, nil
	}
	return "", false, nil
}

// onTopic returns a handler for what is done with a topic that exists; param
// says how its name is given.
func (s *httpServer) onTopic(param func(*http.Request) (httpapi.Query, string, error), do func(*topic) error) httpapi.Handler {
	return func(r *http.Request) (any, error) {
		_, name, err := param(r)
		if err != nil {
			return nil, err
		}
		return nil, s.change(name, do)
	}
}

// deleteTopic returns when the topic is gone, whoever deletes it. Files of it that cannot be
// removed are so later.
func (s *httpServer) deleteTopic(t *topic) error {
	var err error
	if t.exit(false) {
		err = s.n.topics.drop(t)
	} else {
		<-t.gone
	}
	return deleted(err, s.saveDeletion(t.ephemeral))
}

// deleted is the answer to a deletion, with why files could not be removed, or this not be saved.
func deleted(filesLeft, unsaved error) error {
	if filesLeft != nil {
		filesLeft = notSaved(filesLeft)
	}
	return errors.Join(filesLeft, unsaved)
}

// emptyTopic drops the messages that no channel has got yet.
func (s *httpServer) emptyTopic(t *topic) error {
	err := t.empty()
	if errors.Is(err, diskq.ErrClosed) || errors.Is(err, errExiting) {
		return errTopicNotFound // it is being deleted
	}
	return emptyError(err, t)
}

// emptyError says why something of a topic could not be emptied, or only for as long as
// there is no crash.
func emptyError(err error, t *topic) error {
	switch {
	case err == nil || t.log == nil:
		return err
	case errors.Is(err, store.ErrNotNoted):
		return notSaved(err)
	}
	return diskError(err)
}

func (s *httpServer) pauseTopic(t *topic) error   { return s.setTopicPaused(t, true) }
func (s *httpServer) unpauseTopic(t *topic) error { return s.setTopicPaused(t, false) }

func (s *httpServer) setTopicPaused(t *topic, paused bool) error {
	if t.ephemeral {
		t.setPaused(paused)
		return nil
	}
	return s.agree(proposePaused(&t.pause, paused, t.changed), t.obeyPause)
}

// agree puts a change in force once it is permanent. With an error it does not happen.
func (s *httpServer) agree(p *proposal, force func()) error {
	if err := s.n.metadata.agree(s.n.ctx, p); err != nil {
		return diskError(err)
	}
	force()
	return nil
}

func (s *httpServer) createChannel(r *http.Request) (any, error) {
	topicName, name, err := channelParams(r)
	if err != nil {
		return nil, err
	}
	return nil, s.change(topicName, func(t *topic) error {
		ch, err := t.channel(name)
		if errors.Is(err, errExiting) {
			return errTopicNotFound // it is being deleted
		}
		if err != nil {
			return diskError(err)
		}
		return s.saveCreated(t, !ch.isKept())
	})
}

// onChannel returns a handler for what is done with a channel that exists.
func (s *httpServer) onChannel(do func(*channel) error) httpapi.Handler {
	return func(r *http.Request) (any, error) {
		topicName, name, err := channelParams(r)
		if err != nil {
			return nil, err
		}
		return nil, s.change(topicName, func(t *topic) error {
			ch := t.existingChannel(name)
			if ch == nil {
				return errChannelNotFound
			}
			return do(ch)
		})
	}
}

// deleteChannel returns when the channel is gone, whoever deletes it. Where a log keeps it
// and cannot forget it, it stays as it is.
func (s *httpServer) deleteChannel(ch *channel) error {
	err := ch.forgetKept()
	if err != nil {
		return diskError(err)
	}
	if ch.exit(false) {
		err = s.n.topics.dropChannel(ch)
	} else {
		<-ch.gone
	}
	return deleted(err, s.saveDeletion(!ch.isKept()))
}

func (s *httpServer) emptyChannel(ch *channel) error {
	err := ch.empty()
	if errors.Is(err, diskq.ErrClosed) || errors.Is(err, errExiting) {
		return errChannelNotFound // it is being deleted
	}
	return emptyError(err, ch.topic)
}

func (s *httpServer) pauseChannel(ch *channel) error   { return s.setChannelPaused(ch, true) }
func (s *httpServer) unpauseChannel(ch *channel) error { return s.setChannelPaused(ch, false) }

func (s *httpServer) setChannelPaused(ch *channel, paused bool) error {
	if !ch.isKept() {
		ch.setPaused(paused)
		return nil
	}
	return s.agree(proposePaused(&ch.pause, paused, ch.changed), ch.obeyPause)
}
