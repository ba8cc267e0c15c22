package nsqadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// graphite is where the numbers of more than an hour are, if anywhere.
type graphite struct {
	names    statsdNames
	base     string   // its URL, without a slash at the end; "" for none
	parsed   *url.URL // the same
	proxy    bool
	basePath string        // of this program
	interval time.Duration // between two values
	client   http.Client
	log      *slog.Logger
}

func newGraphite(o *Options, transport *http.Transport, log *slog.Logger) (*graphite, error) {
	parsed, err := url.Parse(o.GraphiteURL)
	if err != nil {
		return nil, fmt.Errorf("failed to parse --graphite-url (%s) - %w", o.GraphiteURL, err)
	}
	return &graphite{
		names:    statsdNames{o.StatsdPrefix, o.StatsdCounterFormat, o.StatsdGaugeFormat},
		base:     strings.TrimRight(o.GraphiteURL, "/"),
		parsed:   parsed,
		proxy:    o.ProxyGraphite,
		basePath: o.basePath(),
		interval: o.StatsdInterval,
		client:   http.Client{Transport: transport, Timeout: o.HTTPClientRequestTimeout},
		log:      log,
	}, nil
}

// enabled reports whether there is a graphite.
func (g *graphite) enabled() bool { return g.base != "" }

// proxied reports whether browsers reach it through this program, so that pages
// may show its pictures.
func (g *graphite) proxied() bool { return g.enabled() && g.proxy }

// link returns the URL of a picture of metrics over one of graphRanges. Without
// proxied it leads to another machine: pages link to it and do not load it.
func (g *graphite) link(over string, metrics ...metric) string {
	query := url.Values{"from": {"-" + over}, "width": {"900"}, "height": {"350"}, "yMin": {"0"}}
	for _, m := range metrics {
		query.Add("target", g.names.target(m))
	}
	if g.proxy {
		return g.basePath + "/render?" + query.Encode()
	}
	u := *g.parsed
	u.User = nil // a password is not for those who look at pages
	return strings.TrimRight(u.String(), "/") + "/render?" + query.Encode()
}

// maxSeries is how much is read of what graphite answers.
const maxSeries = 1 << 20

// apiGraphite answers with the latest rate of a counter. Where graphite has no
// value, the rate is "N/A".
func (s *httpServer) apiGraphite(r *http.Request) (any, error) {
	q, err := httpapi.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	if !q.Is("metric", "rate") {
		return nil, badRequest("INVALID_ARG_METRIC")
	}
	counter, ok := q.Lookup("target")
	if !ok {
		return nil, badRequest("INVALID_ARG_TARGET")
	}
	rate, err := s.n.graphite.rate(r.Context(), counter)
	if err != nil {
		return nil, err // INTERNAL_ERROR, and why in the log
	}
	return struct {
		Rate string `json:"rate"`
	}{rate}, nil
}

// rate returns how much a counter grows per second.
func (g *graphite) rate(ctx context.Context, counter string) (string, error) {
	if !g.enabled() {
		return "", errors.New("there is no --graphite-url")
	}
	seconds := int64(g.interval / time.Second)
	query := url.Values{
		"target": {counter},
		"format": {"json"},
		"from":   {fmt.Sprintf("-%dsec", 2*seconds)},
		"until":  {fmt.Sprintf("-%dsec", seconds)},
	}
	var series []struct {
		Datapoints [][]*float64 `json:"datapoints"` // value, or null for none, and time
	}
	if err := g.get(ctx, "/render?"+query.Encode(), &series); err != nil {
		return "", fmt.Errorf("graphite: %w", err)
	}
	for _, s := range series {
		for _, point := range s.Datapoints {
			if len(point) == 0 || point[0] == nil {
				continue
			}
			if *point[0] < 0 {
				return "N/A", nil
			}
			return strconv.FormatFloat(*point[0]/g.interval.Seconds(), 'f', 2, 64), nil
		}
	}
	return "N/A", nil
}

// get asks graphite for JSON.
func (g *graphite) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the URL may have a password
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with status %d", resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxSeries)).Decode(into)
}

// render hands requests on to graphite. What stands behind the host in its URL is
// left out, and the path is the one that was asked for.
func (g *graphite) render() http.HandlerFunc {
	proxy := &httputil.ReverseProxy{
		Transport:      g.client.Transport,
		Rewrite:        g.rewrite,
		ModifyResponse: foreign,
		ErrorHandler:   g.renderFailed,
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), g.client.Timeout)
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	}
}

func (g *graphite) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = g.parsed.Scheme, g.parsed.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it came
	r.Out.Host = r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	r.Out.Header.Del("Cookie") // these are for this program, or the proxy before it
	r.Out.Header.Del("Authorization")
	if user := g.parsed.User; user != nil {
		password, _ := user.Password()
		r.Out.SetBasicAuth(user.Username(), password)
	}
}

// foreign has an answer of graphite set nothing here.
func foreign(r *http.Response) error {
	r.Header.Del("Set-Cookie")
	for name := range safeHeader {
		r.Header.Del(name)
	}
	return nil
}

// renderFailed answers where graphite does not.
func (g *graphite) renderFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil || errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("GRAPHITE: no answer", "error", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusBadGateway)
	io.WriteString(w, `{"message":"UPSTREAM_ERROR: failed to query graphite"}`) // a peer that went away is no matter of ours
}
