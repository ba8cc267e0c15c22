package nsq

// event is something that producers and consumers log. With a *slog.Logger it is
// a record with a constant message and, under its keys, the values that the call
// of log has; otherwise a line with the text, which has a verb for each of them.
type event struct {
	level   LogLevel
	text    string
	message string // where text has verbs
	keys    []string
}

// at returns the event with another level.
func (e event) at(level LogLevel) event {
	e.level = level
	return e
}

// Events of producers and consumers. Of attempts to connect that fail one after the
// other, the first is an error and the others are logged at Debug.
var (
	eventConnected      = event{level: LogLevelInfo, text: "connected to nsqd"}
	eventConnectFailed  = event{LogLevelError, "error connecting to nsqd - %s", "error connecting to nsqd", []string{"error"}}
	eventConnectionLost = event{LogLevelError, "connection lost - %s", "connection lost", []string{"error"}}
	eventStopped        = event{level: LogLevelInfo, text: "stopped"}
	eventAuthAccepted   = event{LogLevelInfo, "auth accepted, identity: %q %s permissions: %d", "auth accepted", []string{"identity", "identity_url", "permissions"}}
)

// Events of connections of consumers.
var (
	eventConnectionClosed = event{level: LogLevelInfo, text: "connection closed"}
	eventReconnectFailed  = event{LogLevelError, "error reconnecting to nsqd - %s", "error reconnecting to nsqd", []string{"error"}}
	eventNotListed        = event{level: LogLevelInfo, text: "no nsqlookupd lists it any more, giving up"}
	eventProtocolError    = event{LogLevelError, "protocol error - %s", "protocol error", []string{"error"}}
	eventMaxRDYTruncates  = event{LogLevelWarning, "max RDY count %d < consumer max in flight %d, truncation possible", "max RDY count is less than consumer max in flight", []string{"max_rdy", "max_in_flight"}}
	eventHeld             = event{LogLevelWarning, "%d messages wait for their last attempt, taking no more until handlers catch up", "messages wait for their last attempt, taking no more until handlers catch up", []string{"messages"}}
	eventResumed          = event{level: LogLevelWarning, text: "backoff timeout expired, sending RDY 1"}
)

// Events of connections that programs use by themselves.
var (
	eventUnanswered = event{LogLevelWarning, "connection ended with %d messages unanswered, nsqd sends them again", "connection ended with messages unanswered, nsqd sends them again", []string{"messages"}}
)

// Events of consumers.
var (
	eventHandlerFailed = event{LogLevelError, "Handler returned error (%s) for msg %s", "handler returned error", []string{"error", "message_id"}}
	eventBatchFailed   = event{LogLevelError, "Handler returned error (%s) for a batch of %d messages", "handler returned error for a batch", []string{"error", "messages"}}
	eventGivenUp       = event{LogLevelWarning, "msg %s attempted %d times, giving up", "giving up message", []string{"message_id", "attempts"}}
	eventDropped       = event{LogLevelWarning, "dropped %d messages that waited longer than their time-out or lost their connection, nsqd sends them again", "dropped messages that waited longer than their time-out or lost their connection, nsqd sends them again", []string{"messages"}}
	eventBackingOff    = event{LogLevelWarning, "backing off for %s (backoff level %d), setting all to RDY 0", "backing off", []string{"pause", "backoff_level"}}
	eventBackoffExited = event{LogLevelWarning, "exiting backoff, returning all to RDY %d", "exiting backoff", []string{"rdy"}}
	eventResumedLater  = event{level: LogLevelWarning, text: "backoff timeout expired, sending RDY 1 as soon as that is possible"}
	eventStopping      = event{level: LogLevelInfo, text: "stopping"}
	eventAbandoned     = event{level: LogLevelWarning, text: "stopped without waiting any longer for handlers"}
)

// Events of discovery. Failures are logged at lower levels, too, when they are no
// news.
var (
	eventLookupFailed    = event{LogLevelError, "error querying nsqlookupd (%s) - %s", "error querying nsqlookupd", []string{"nsqlookupd", "error"}}
	eventResolveFailed   = event{LogLevelError, "error resolving nsqlookupd (%s) - %s", "error resolving nsqlookupd", []string{"nsqlookupd", "error"}}
	eventWatchFailed     = event{LogLevelDebug, "error watching nsqlookupd (%s) - %s", "error watching nsqlookupd", []string{"nsqlookupd", "error"}}
	eventLookupRecovered = event{LogLevelInfo, "nsqlookupd (%s) answers again", "nsqlookupd answers again", []string{"nsqlookupd"}}
	eventTopicNotKnown   = event{LogLevelInfo, "nsqlookupd (%s) does not know the topic yet", "nsqlookupd does not know the topic yet", []string{"nsqlookupd"}}
)
