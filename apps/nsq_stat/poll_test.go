package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// daemon serves answers by path and returns its address.
func daemon(t *testing.T, answers map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("topic") != "t" {
			http.Error(w, "no topic t", http.StatusBadRequest)
			return
		}
		text, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"message":"TOPIC_NOT_FOUND"}`
		}
		_, _ = io.WriteString(w, text) // whoever does not get it says so
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// nsqdWith serves the statistics of these topics.
func nsqdWith(t *testing.T, topics string) string {
	t.Helper()
	return daemon(t, map[string]string{"/stats": `{"version":"1.3.0","topics":` + topics + `}`})
}

// listing serves a lookup that lists nsqds.
func listing(t *testing.T, nsqds ...string) string {
	t.Helper()
	var producers []string
	for _, addr := range nsqds {
		host, port, _ := strings.Cut(addr, ":")
		producers = append(producers, fmt.Sprintf(`{"broadcast_address":%q,"http_port":%s}`, host, port))
	}
	return daemon(t, map[string]string{"/lookup": `{"channels":[],"producers":[` + strings.Join(producers, ",") + `]}`})
}

func TestPoll(t *testing.T) {
	const (
		c7      = `{"channel_name":"c","message_count":7,"depth":2,"client_count":1}`
		other   = `{"channel_name":"other","message_count":1000,"depth":1000}`
		unknown = `null` // or []
		without = `[{"topic_name":"t","channels":[` + other + `]}]`
	)
	full := nsqdWith(t, `[{"topic_name":"t","channels":[`+c7+`]}]`)
	all := nsqdWith(t, `[{"topic_name":"s","channels":[`+other+`]},{"topic_name":"t","channels":[`+other+`,`+c7+`]}]`) // as of old
	old := daemon(t, map[string]string{"/stats": `{"status_code":200,"status_txt":"OK","data":{"topics":[{"topic_name":"t","channels":[` + c7 + `]}]}}`})
	noTopic, noChannel := nsqdWith(t, unknown), nsqdWith(t, without)
	nothing, nowhere := daemon(t, nil), nsqtest.ClosedPort(t)
	broken := daemon(t, map[string]string{"/stats": "<html>", "/lookup": "<html>"})
	none := `none has topic t`

	for name, c := range map[string]struct {
		nsqds, lookupds []string
		want            string // the sums, or the error
	}{
		"one nsqd":                             {[]string{full}, nil, "1 7 2 1"},
		"several":                              {[]string{full, all, old}, nil, "3 21 6 3"},
		"one that has no such topic":           {[]string{noTopic, full}, nil, "1 7 2 1"},
		"one that has no such channel":         {[]string{full, noChannel}, nil, "1 7 2 1"},
		"no such topic":                        {[]string{noTopic, noTopic}, nil, "ERROR: failed to get nsqd stats - failed to query any nsqd: " + none},
		"no such channel":                      {[]string{noTopic, noChannel}, nil, `ERROR: failed to find channel\(c\) in stats metadata for topic\(t\)`},
		"an nsqd that is not there":            {[]string{full, nowhere}, nil, "ERROR: failed to get topic producers - " + nowhere + ": dial tcp .*"},
		"two of them":                          {[]string{nowhere, full, broken}, nil, "ERROR: failed to get topic producers - " + nowhere + ": dial tcp .*; " + broken + ": answer is not as expected: .*"},
		"an nsqd that answers 404":             {[]string{nothing}, nil, `ERROR: failed to get topic producers - ` + nothing + `: answered with status 404 "TOPIC_NOT_FOUND"`},
		"found":                                {nil, []string{listing(t, full, all)}, "2 14 4 2"},
		"found twice":                          {nil, []string{listing(t, full, all), listing(t, all)}, "2 14 4 2"},
		"known to one nsqlookupd":              {nil, []string{nothing, listing(t, full)}, "1 7 2 1"},
		"found where it is no more":            {nil, []string{listing(t, full, noTopic)}, "1 7 2 1"},
		"found only where it is no more":       {nil, []string{listing(t, noTopic)}, `ERROR: failed to find channel\(c\) in stats metadata for topic\(t\)`},
		"known to none":                        {nil, []string{nothing}, "ERROR: failed to get nsqd stats - failed to query any nsqd: " + none},
		"known, and nowhere":                   {nil, []string{listing(t)}, "ERROR: failed to get nsqd stats - failed to query any nsqd: " + none},
		"an nsqlookupd that is not there":      {nil, []string{listing(t, full), nowhere}, "ERROR: failed to get topic producers - " + nowhere + ": dial tcp .*"},
		"an nsqlookupd that is something else": {nil, []string{broken}, "ERROR: failed to get topic producers - " + broken + ": answer is not as expected: .*"},
		"a listed nsqd that is not there":      {nil, []string{listing(t, full, nowhere)}, "ERROR: failed to get nsqd stats - " + nowhere + ": dial tcp .*"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-topic=t", "-channel=c"}
			for _, addr := range c.nsqds {
				args = append(args, "-nsqd-http-address="+addr)
			}
			for _, addr := range c.lookupds {
				args = append(args, "-lookupd-http-address="+addr)
			}
			p := newPoller(parsed(t, args...))
			defer p.client.Close()
			s, err := p.poll(t.Context())
			got := fmt.Sprint(s.nsqds, s.Messages, s.Depth, s.Clients)
			if err != nil {
				got = err.Error()
			}
			if !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
