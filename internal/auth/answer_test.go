package auth

import (
	"testing"
	"time"
)

func TestAnswerAllows(t *testing.T) {
	const all = `{"ttl":1,"authorizations":[{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}`
	one := func(topic, channels, permissions string) string {
		return `{"ttl":1,"authorizations":[{"topic":"` + topic + `","channels":[` + channels + `],"permissions":[` + permissions + `]}]}`
	}
	for name, tc := range map[string]struct {
		answer         string
		topic, channel string
		subscribe      bool
		publish        bool // to topic
	}{
		"everything":                 {all, "t", "c", true, true},
		"nothing":                    {`{"ttl":1}`, "t", "c", false, false},
		"an empty list":              {`{"ttl":1,"authorizations":[]}`, "t", "c", false, false},
		"only subscribe":             {one(".*", `".*"`, `"subscribe"`), "t", "c", true, false},
		"only publish":               {one(".*", `".*"`, `"publish"`), "t", "c", false, true},
		"no permission":              {one(".*", `".*"`, ``), "t", "c", false, false},
		"no channel":                 {one(".*", ``, `"subscribe","publish"`), "t", "c", false, false},
		"a pattern matches anywhere": {one("foo", `"bar"`, `"subscribe","publish"`), "xfoox", "xbarx", true, false},
		"an anchored pattern":        {one("^foo$", `"^$"`, `"subscribe","publish"`), "xfoox", "c", false, false},
		"another topic":              {one("foo", `".*"`, `"subscribe","publish"`), "fo", "c", false, false},
		"another channel":            {one(".*", `"foo"`, `"subscribe","publish"`), "t", "c", false, false},
		"publishing needs a channel that matches empty": {one(".*", `"foo"`, `"subscribe","publish"`), "t", "foo", true, false},
		"one of several channels":                       {one(".*", `"a","c"`, `"subscribe"`), "t", "c", true, false},
		"one of several entries": {
			`{"ttl":1,"authorizations":[{"topic":"a","channels":["^c$"],"permissions":["subscribe"]},{"topic":"b","channels":["^$"],"permissions":["publish"]}]}`,
			"a", "c", true, false,
		},
		"permissions of different entries do not add up": {
			`{"ttl":1,"authorizations":[{"topic":"a","channels":["x"],"permissions":["subscribe"]},{"topic":"a","channels":["c"],"permissions":["publish"]}]}`,
			"a", "c", false, false,
		},
	} {
		a, err := parseAnswer([]byte(tc.answer))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := a.Allows(Subscribe, []byte(tc.topic), []byte(tc.channel)); got != tc.subscribe {
			t.Errorf("%s: subscribe is %v", name, got)
		}
		if got := a.Allows(Publish, []byte(tc.topic), nil); got != tc.publish {
			t.Errorf("%s: publish is %v", name, got)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	a, err := parseAnswer([]byte(`{"ttl":3600,"identity":"bob","identity_url":"http://bob","unknown":1,
		"authorizations":[{"topic":"","channels":[],"permissions":[]},{"topic":"x","channels":null}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.TTL != time.Hour || a.Identity != "bob" || a.IdentityURL != "http://bob" || a.Len() != 2 {
		t.Errorf("got %+v", a)
	}
	if a, err := parseAnswer([]byte(`{"ttl":9223372036854775807}`)); err != nil || a.TTL != maxTTL {
		t.Errorf("the largest ttl: %+v, %v", a, err)
	}
}

func TestBadAnswers(t *testing.T) {
	for body, want := range map[string]string{
		``:                              "answer is not a JSON object",
		`[]`:                            "answer is not a JSON object",
		`{"ttl":1} x`:                   "answer is not a JSON object",
		`{"ttl":"1"}`:                   "answer has the wrong type for ttl",
		`{"ttl":1.5}`:                   "answer has the wrong type for ttl",
		`{"ttl":9223372036854775808}`:   "answer has the wrong type for ttl",
		`{"ttl":1,"identity":5}`:        "answer has the wrong type for identity",
		`{"ttl":1,"authorizations":{}}`: "answer has the wrong type for authorizations",
		`{}`:                            "answer has a ttl that is not positive",
		`{"ttl":0}`:                     "answer has a ttl that is not positive",
		`{"ttl":-1}`:                    "answer has a ttl that is not positive",
		`{"ttl":1,"authorizations":[{"topic":"("}]}`:                               "authorization 0 of the answer has a bad topic pattern: missing closing )",
		`{"ttl":1,"authorizations":[{"channels":["a","*"]}]}`:                      "authorization 0 of the answer has a bad channel pattern: missing argument to repetition operator",
		`{"ttl":1,"authorizations":[{"permissions":["publish","admin"]}]}`:         "authorization 0 of the answer has a permission that is neither subscribe nor publish",
		`{"ttl":1,"authorizations":[{"permissions":["Publish"]}]}`:                 "authorization 0 of the answer has a permission that is neither subscribe nor publish",
		`{"ttl":1,"authorizations":[{"permissions":["publish"]},{"topic":"a**"}]}`: "authorization 1 of the answer has a bad topic pattern: invalid nested repetition operator",
	} {
		if _, err := parseAnswer([]byte(body)); err == nil || reason(err) != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	a, err := parseAnswer([]byte(`{"ttl":1,"authorizations":[{"topic":"^orders\\.","channels":["^$","^billing$"],"permissions":["subscribe","publish"]}]}`))
	if err != nil {
		b.Fatal(err)
	}
	topic, channel := []byte("orders.europe"), []byte("billing")
	b.ReportAllocs()
	for b.Loop() {
		if !a.Allows(Subscribe, topic, channel) {
			b.Fatal("not allowed")
		}
	}
}
