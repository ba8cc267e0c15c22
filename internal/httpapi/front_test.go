package httpapi

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// ways are those in which a POST route is served.
var ways = map[string]func(s *Server, path string, h Handler){
	"net/http": func(s *Server, path string, h Handler) { s.V1("POST", path, h) },
	"a front":  (*Server).V1Direct,
}

// addEcho adds routes that differ in what becomes of the body, by one way.
func addEcho(s *Server, add func(*Server, string, Handler)) {
	add(s, "/echo", func(r *http.Request) (any, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, Error{Status: 500, Code: "CUT"}
		}
		q, err := ParseQuery(r)
		if err != nil {
			return nil, err
		}
		value, _ := q.Lookup("q")
		return fmt.Sprint(value, "|", r.Header.Get("Authorization"), "|", r.Host, "|", r.RemoteAddr, "|", string(body)), nil
	})
	add(s, "/ignore", func(*http.Request) (any, error) { return nil, nil })
	add(s, "/half", func(r *http.Request) (any, error) {
		_, err := io.ReadFull(r.Body, make([]byte, 2))
		return []int{1}, err
	})
	add(s, "/refuse", func(*http.Request) (any, error) {
		return nil, Error{Status: 401, Code: "WHO", Challenge: "Bearer"}
	})
	add(s, "/panic", func(*http.Request) (any, error) { panic("oh dear") })
	add(s, "/abort", func(*http.Request) (any, error) { panic(http.ErrAbortHandler) })
	s.V1("GET", "/other", func(*http.Request) (any, error) { return "other", nil })
}

// post is a request of the ordinary form.
func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
}

// conversations are what a client sends, in pieces. After the last it sends no
// more, but reads on.
var conversations = map[string][]string{
	"one":                               {post("/echo?q=v", "hello")},
	"one, and its end":                  {post("/echo?q=v", "hello"), ""},
	"several":                           {post("/echo", "a"), post("/refuse", "b"), post("/echo?%zz", "c"), post("/ignore", "d"), post("/half", "efgh")},
	"several at once":                   {post("/echo", "a") + post("/half", "bcdef") + post("/panic", "g") + post("/ignore", "h") + post("/echo", "i")},
	"many at once":                      {strings.Repeat(post("/echo?q=v", strings.Repeat("x", 100)), 100)},
	"in pieces":                         strings.SplitAfter(post("/echo?q=v", "a\nb\nc")+post("/echo", "\n\n"), "\n"),
	"byte by byte":                      strings.Split(post("/echo?q=v", "hello")+post("/echo", "x")+"GET /other HTTP/1.1\r\nHost: h\r\n\r\n", ""),
	"a large body":                      {post("/echo", strings.Repeat("x", 200_000)), post("/echo", "y")},
	"a body that is not read":           {post("/ignore", strings.Repeat("x", 200_000)), post("/echo", "y")},
	"a large body that is not read":     {post("/ignore", strings.Repeat("x", 300_000)), post("/echo", "y")},
	"a large body behind a small one":   {post("/echo", "y") + post("/half", strings.Repeat("x", 300_000)), post("/echo", "y")},
	"half a body":                       {strings.TrimSuffix(post("/echo", "hello"), "lo")},
	"half a body that is not read":      {strings.TrimSuffix(post("/ignore", "hello"), "lo")},
	"half a body, read half":            {strings.TrimSuffix(post("/half", "hello"), "lo")},
	"half a head":                       {strings.TrimSuffix(post("/echo", ""), "\n")},
	"nothing":                           {},
	"an abort":                          {post("/echo", "a") + post("/abort", "b") + post("/echo", "c")},
	"an abort, then nothing":            {post("/abort", "b")},
	"another path":                      {post("/echo", "a"), post("/nothing", "b"), post("/echo", "c")},
	"another spelling":                  {post("/echo", "a"), post("/ECHO/", "b"), post("/echo", "c")},
	"another method":                    {post("/echo", "a"), "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", "PUT " + post("/echo", "x")[5:]},
	"another at once":                   {post("/echo", "a") + "GET /other HTTP/1.1\r\nHost: h\r\n\r\n" + post("/echo", "b")},
	"another before":                    {"GET /other HTTP/1.1\r\nHost: h\r\n\r\n" + post("/echo", "a"), post("/echo", "b")},
	"an older version":                  {strings.Replace(post("/echo", "a"), "1.1", "1.0", 1)},
	"an older version that stays":       {strings.Replace(strings.Replace(post("/echo", "a"), "1.1", "1.0", 1), "Host", "Connection: keep-alive\r\nHost", 1), post("/echo", "a")},
	"a newer version":                   {strings.Replace(post("/echo", "a"), "1.1", "2.0", 1)},
	"the last":                          {strings.Replace(post("/echo", "a"), "Host", "Connection: close\r\nHost", 1) + post("/echo", "b")},
	"one to keep alive":                 {strings.Replace(post("/echo", "a"), "Host", "Connection: keep-alive\r\nHost", 1) + post("/echo", "b")},
	"chunks":                            {post("/echo", "a") + "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + post("/echo", "b")},
	"chunks and a length":               {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + post("/echo", "b")},
	"two lengths":                       {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 3\r\n\r\nabcd" + post("/echo", "b")},
	"one length twice":                  {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" + post("/echo", "b")},
	"a strange length":                  {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nabcd"},
	"a long length":                     {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0004\r\n\r\nabcd" + post("/echo", "b")},
	"no length":                         {"POST /echo HTTP/1.1\r\nHost: h\r\n\r\n" + post("/echo", "b")},
	"no body":                           {post("/echo", "") + post("/echo", "b")},
	"no host":                           {"POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\na"},
	"an empty host":                     {"POST /echo HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\n\r\na"},
	"two hosts":                         {"POST /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\n\r\na"},
	"a strange host":                    {"POST /echo HTTP/1.1\r\nHost: a b\r\nContent-Length: 1\r\n\r\na"},
	"a whole URL":                       {post("http://elsewhere/echo", "a")},
	"a secret":                          {strings.Replace(post("/echo", "a"), "Host", "AUTHORIZATION: \tBearer x\t\r\nHost", 1)},
	"many fields":                       {strings.Replace(post("/echo", "a"), "Host", strings.Repeat("X-Field: value\r\n", 100)+"Host", 1), post("/echo", "b")},
	"a head that is too long":           {strings.Replace(post("/echo", "a"), "Host", strings.Repeat("X-Field: value\r\n", 3000)+"Host", 1)},
	"a long head behind another":        {post("/echo", "a") + strings.Replace(post("/echo", "b"), "Host", "X-Field: "+strings.Repeat("x", 5000)+"\r\nHost", 1) + post("/echo", "c")},
	"a field that is none":              {strings.Replace(post("/echo", "a"), "Host", "what is that\r\nHost", 1)},
	"a field that is none, and no more": {"POST /echo HTTP/1.1\r\nwhat is that\r\nHo"},
	"a line that is none":               {"  V2SUB a b\n"},
	"a line that is none, later":        {post("/echo", "a"), "  V2SUB a b\n"},
	"a folded field":                    {strings.Replace(post("/echo", "a"), "Host", "X: a\r\n b\r\nHost", 1)},
	"bare line ends":                    {strings.ReplaceAll(post("/echo?q=v", "a"), "\r", "") + post("/echo", "b")},
	"line ends behind a body":           {post("/echo", "a") + "\r\n" + post("/echo", "b"), "\r\n\r\n", post("/echo", "c")},
	"too many line ends behind a body":  {post("/echo", "a") + "\r\n\r\n\r\n" + post("/echo", "b")},
	"line ends before all":              {"\r\n" + post("/echo", "b")},
	"100 Continue":                      {strings.Replace(post("/echo", ""), "Content-Length: 0", "Expect: 100-continue\r\nContent-Length: 1", 1), "a", post("/echo", "b")},
	"an upgrade":                        {strings.Replace(post("/echo", "a"), "Host", "Connection: Upgrade\r\nUpgrade: h2c\r\nHost", 1), post("/echo", "b")},
}

var date = regexp.MustCompile(`\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// converse returns all that a server answers, to the byte except for dates.
func converse(t *testing.T, address string, pieces []string) string {
	conn := dialTCP(t, address)
	defer conn.Close()
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(conn, piece); err != nil {
				return // it was refused half-way
			}
		}
		conn.(*net.TCPConn).CloseWrite()
	})
	answers, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	text := strings.ReplaceAll(string(answers), conn.LocalAddr().String(), "PEER")
	return date.ReplaceAllString(text, "\r\nDate: GMT\r\n")
}

// A front answers whatever net/http's server answers.
func TestFrontAnswersAsNetHTTP(t *testing.T) {
	addresses := make(map[string]string)
	for way, add := range ways {
		s := NewServer(Config{Log: slog.New(slog.DiscardHandler)})
		addEcho(s, add)
		addresses[way] = serve(t, s)
	}
	for name, pieces := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := converse(t, addresses["net/http"], pieces)
			if got := converse(t, addresses["a front"], pieces); got != want {
				t.Errorf("a front answered\n%.2000q\nnet/http\n%.2000q", got, want)
			}
			if strings.Contains(want, "Date: ") && !strings.Contains(want, "Date: GMT") {
				t.Errorf("a date is not as expected: %q", want)
			}
		})
	}
}

// The comparison would be worth nothing if a front handed everything over.
func TestFrontServesWhatIsOrdinary(t *testing.T) {
	byFront := make(chan bool, 2)
	s := NewServer(Config{Log: slog.New(slog.DiscardHandler), BasePath: "/base"})
	s.V1Direct("/", func(r *http.Request) (any, error) {
		byFront <- r.Context().Value(http.ServerContextKey) == nil
		return nil, nil
	})
	address := serve(t, s)
	for name, c := range map[string]struct {
		want    bool
		request string
	}{
		"an ordinary one":    {true, post("/base", "a")},
		"with a query":       {true, post("/base?topic=t", "a")},
		"a large one":        {true, post("/base", strings.Repeat("x", 100_000))},
		"one with no body":   {false, post("/base", "")},
		"one of net/http's":  {false, strings.Replace(post("/base", "a"), "1.1", "1.0", 1)},
		"a very large one":   {false, post("/base", strings.Repeat("x", maxDirectBody))},
		"with a large field": {false, strings.Replace(post("/base", "a"), "Host", "X: "+strings.Repeat("x", frontBuffer)+"\r\nHost", 1)},
	} {
		for _, before := range []string{"", post("/base", "a")} {
			answers := converse(t, address, []string{before + c.request})
			if before != "" && !<-byFront {
				t.Errorf("%s: the one before was handed over", name)
			}
			if got := <-byFront; got != c.want || strings.Count(answers, "200 OK") != 1+len(before)/len(post("/base", "a")) {
				t.Errorf("%s: served by the front: %v; %q", name, got, answers)
			}
		}
	}
}
