package nsqadmin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// maxBody is more than any body of the API needs.
const maxBody = 64 << 10

var errBodyTooBig = httpapi.Error{Status: http.StatusRequestEntityTooLarge, Code: "BODY_TOO_BIG"}

// decode reads the JSON in a body, whatever its type is said to be. The error is
// what the client is told.
func decode(r *http.Request, into any) error {
	body := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	err := json.NewDecoder(body).Decode(into)
	switch {
	case body.N <= 0:
		return errBodyTooBig
	case err != nil:
		return badRequest(err.Error())
	}
	return nil
}

// apiAct does an action for who asks for it.
func (s *httpServer) apiAct(r *http.Request, a action) (any, error) {
	o := s.n.do(r.Context(), s.actorOf(r), a)
	if o.Err != nil {
		return nil, o.Err
	}
	return message{o.warning()}, nil
}

// warning is what went wrong with some of the daemons, and who has what was
// deleted in spite of it.
func (o outcome) warning() string {
	var remained []error
	if len(o.Remained) > 0 {
		remained = []error{errors.New(o.Action.what() + " is there again: " + strings.Join(o.Remained, ", "))}
	}
	return warning(o.errors(), remained)
}

// what is what an action is done to.
func (a action) what() string {
	if a.Channel != "" {
		return "channel " + a.Topic + "/" + a.Channel
	}
	return "topic " + a.Topic
}

func (s *httpServer) apiCreate(r *http.Request) (any, error) {
	var body struct{ Topic, Channel, Durability string }
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	a := action{Name: createTopic, Topic: body.Topic, Durability: body.Durability}
	if body.Channel != "" {
		a.Name, a.Channel = createChannel, body.Channel
	}
	return s.apiAct(r, a)
}

// The words for what can be done to a topic and a channel, in a body.
var (
	topicVerbs   = map[string]string{"pause": pauseTopic, "unpause": unpauseTopic, "empty": emptyTopic, "change_durability": changeTopic}
	channelVerbs = map[string]string{"pause": pauseChannel, "unpause": unpauseChannel, "empty": emptyChannel}
)

func (s *httpServer) apiTopicAction(r *http.Request) (any, error) {
	return s.actOnVerb(r, topicVerbs)
}

func (s *httpServer) apiChannelAction(r *http.Request) (any, error) {
	return s.actOnVerb(r, channelVerbs)
}

// actOnVerb does what the body says to what the path says.
func (s *httpServer) actOnVerb(r *http.Request, verbs map[string]string) (any, error) {
	var body struct{ Action, Durability string }
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return s.apiAct(r, action{Name: verbs[body.Action], Topic: pathVariable(r, "topic"), Channel: pathVariable(r, "channel"), Durability: body.Durability})
}

func (s *httpServer) apiDeleteTopic(r *http.Request) (any, error) {
	return s.apiAct(r, action{Name: deleteTopic, Topic: pathVariable(r, "topic")})
}

func (s *httpServer) apiDeleteChannel(r *http.Request) (any, error) {
	return s.apiAct(r, action{Name: deleteChannel, Topic: pathVariable(r, "topic"), Channel: pathVariable(r, "channel")})
}

func (s *httpServer) apiTombstone(r *http.Request) (any, error) {
	var body struct{ Topic string }
	err := decode(r, &body)
	switch {
	case errors.Is(err, errBodyTooBig):
		return nil, err
	case err != nil:
		return nil, badRequest("INVALID_BODY")
	}
	return s.apiAct(r, action{Name: tombstoneTopic, Topic: body.Topic, Node: pathVariable(r, "node")})
}
