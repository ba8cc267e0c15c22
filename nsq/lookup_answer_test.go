package nsq

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestReadLookupAnswer(t *testing.T) {
	const one = `{"channels":["c"],"producers":[{"remote_address":"10.0.0.1:1","hostname":"h","broadcast_address":"n1","tcp_port":4150,"http_port":4151}]}`
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	v1 := header("X-NSQ-Content-Type", "nsq; version=1.0")
	tagged := header("X-NSQ-Content-Type", "nsq; version=1.0", "ETag", `W/"1"`)
	n1 := &lookupAnswer{known: true, addrs: []string{"n1:4150"}}
	none := &lookupAnswer{known: true, addrs: []string{}}
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   any // an answer, or the text of the error
	}{
		{"one producer", 200, v1, one, n1},
		{"with a tag", 200, tagged, one, &lookupAnswer{known: true, addrs: []string{"n1:4150"}, tag: `W/"1"`}},
		{"in an envelope", 200, nil, `{"status_code":200,"status_txt":"OK","data":` + one + `}`, n1},
		{"in an envelope without a code", 200, nil, `{"data":` + one + `}`, n1},
		{"neither header nor envelope", 200, nil, one, n1},
		{"no producers", 200, v1, `{"channels":[],"producers":[]}`, none},
		{"null producers", 200, v1, `{"producers":null}`, none},
		{"null data", 200, nil, `{"status_code":200,"data":null}`, none},
		{"no data", 200, nil, `{"status_code":200}`, none},
		{"an empty body", 200, v1, "", none},
		{"an empty body without a header", 200, nil, "", none},
		{"IPv6, sorted, each once", 200, v1, `{"producers":[
			{"broadcast_address":"n","tcp_port":2},{"broadcast_address":"::1","tcp_port":1},
			{"broadcast_address":"[::2]","tcp_port":1},{"broadcast_address":"n","tcp_port":2}]}`,
			&lookupAnswer{known: true, addrs: []string{"[::1]:1", "[::2]:1", "n:2"}}},
		{"producers without an address", 200, v1, `{"producers":[{"tcp_port":1},{"broadcast_address":"n"},{"broadcast_address":"n","tcp_port":65536},{"broadcast_address":"n","tcp_port":-1}]}`, none},
		{"an unknown topic", 404, tagged, `{"message":"TOPIC_NOT_FOUND"}`, &lookupAnswer{tag: `W/"1"`}},
		{"an unknown topic in an envelope", 404, nil, `{"status_code":404,"status_txt":"TOPIC_NOT_FOUND","data":null}`, &lookupAnswer{}},
		{"an unknown path", 404, v1, `{"message":"NOT_FOUND"}`, `got response 404 Not Found "{\"message\":\"NOT_FOUND\"}"`},
		{"a failure in an envelope", 200, nil, `{"status_code":500,"status_txt":"INVALID_ARG_TOPIC","data":null}`,
			`cannot read the answer "{\"status_code\":500,\"status_txt\":\"INVALID_ARG_TOPIC\",\"data\":null}": got response 500 INVALID_ARG_TOPIC`},
		{"a failure", 500, v1, strings.Repeat("x", 1000), `got response 500 Internal Server Error "` + strings.Repeat("x", 200) + `"`},
		{"redirected nowhere", 302, nil, "", `got response 302 Found ""`},
		{"not modified", 304, nil, "", "not modified"},
		{"a web page", 200, nil, "<html>", `cannot read the answer "<html>": invalid character '<' looking for beginning of value`},
		{"half an answer", 200, v1, one[:20], `cannot read the answer "{\"channels\":[\"c\"],\"p": unexpected end of JSON input`},
		{"beyond all measure", 200, v1, strings.Repeat(" ", maxLookupAnswer+1), "got an answer of more than 16777216 bytes"},
	} {
		if tt.header == nil {
			tt.header = header()
		}
		resp := &http.Response{
			Status:     fmt.Sprint(tt.status, " ", http.StatusText(tt.status)),
			StatusCode: tt.status,
			Header:     tt.header,
			Body:       io.NopCloser(strings.NewReader(tt.body)),
		}
		got, err := readLookupAnswer(resp)
		if err != nil {
			if err.Error() != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		} else if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func FuzzReadLookupAnswer(f *testing.F) {
	f.Add(200, true, []byte(`{"producers":[{"broadcast_address":"n","tcp_port":2}]}`))
	f.Add(200, false, []byte(`{"status_code":200,"data":{"producers":[]}}`))
	f.Add(404, true, []byte(`{"message":"TOPIC_NOT_FOUND"}`))
	f.Fuzz(func(t *testing.T, status int, v1 bool, body []byte) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body)))}
		if v1 {
			resp.Header.Set("X-NSQ-Content-Type", "nsq; version=1.0")
		}
		if a, err := readLookupAnswer(resp); (a == nil) == (err == nil) {
			t.Errorf("got %v and %v", a, err)
		}
	})
}
