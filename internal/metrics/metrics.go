// Package metrics is what the daemons have in common at /metrics: the metrics of the
// process, a way to say what others there are, and the answer to a scrape. A
// daemon makes its metrics from a snapshot when it is scraped; nothing is kept for
// them, and nothing is global, as several daemons may run in one process.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/version"
)

// Path is where metrics are.
const Path = "/metrics"

// NewProcess returns the metrics that every program has: of the Go runtime, of the
// process, and which release it is.
func NewProcess(program string) prometheus.Gatherer {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        program + "_build_info",
		Help:        "Always 1; the labels say which release runs, and with which Go it was built.",
		ConstLabels: prometheus.Labels{"version": version.Binary, "goversion": runtime.Version()},
	})
	build.Set(1)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return r
}

// Answer returns what answers a scrape: the metrics of the process and those of
// collectors, in the form and encoding that the request asks for. They are collected
// before anything is written.
func Answer(r *http.Request, process prometheus.Gatherer, all ...prometheus.Collector) (httpapi.Written, error) {
	own := prometheus.NewRegistry()
	for _, c := range all {
		if err := own.Register(c); err != nil {
			return nil, err
		}
	}
	h := promhttp.HandlerFor(prometheus.Gatherers{own, process}, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return func(w http.ResponseWriter) { h.ServeHTTP(w, r) }, nil
}

// A Requests collector counts the requests that a server has answered.
type Requests struct {
	server *httpapi.Server
	family Family
}

// NewRequests returns a collector for the server of a program.
func NewRequests(program string, s *httpapi.Server) Requests {
	return Requests{s, Counter(program+"_http_requests_total",
		"HTTP requests that were answered, by route and status. Requests for what is not there have the path \"other\".", "path", "code")}
}

// Describe implements prometheus.Collector.
func (r Requests) Describe(out chan<- *prometheus.Desc) { out <- r.family.desc }

// Collect implements prometheus.Collector.
func (r Requests) Collect(out chan<- prometheus.Metric) {
	for request, n := range r.server.Requests() {
		r.family.Send(out, float64(n), request.Path, strconv.Itoa(request.Status))
	}
}
