package nsqadmin

import (
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/metrics/metricstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestMetrics(t *testing.T) {
	up, down := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	down.Stop()
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{up.RealHTTPAddr().String(), down.RealHTTPAddr().String()}
	opts.BasePath = "/console"
	a := start(t, opts)
	var s metricstest.Scrape
	nsqtest.Eventually(t, "both nsqds were asked", func() bool {
		s = metricstest.Get(t, http.DefaultClient, "http://"+a.RealHTTPAddr().String()+"/console/metrics")
		return s.Value("nsqadmin_nsqds_reachable") == 1 && s.Value("nsqadmin_poll_errors_total") > 0
	})
	for name, want := range map[string]float64{
		"nsqadmin_nsqds": 2, "nsqadmin_lookupds": 0, "nsqadmin_lookupds_reachable": 0, "nsqadmin_topics": 0, "nsqadmin_panics_total": 0,
	} {
		if got := s.Value(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if h := s.Histogram("nsqadmin_poll_duration_seconds"); h.GetSampleCount() < 2 || h.GetSampleSum() <= 0 {
		t.Errorf("%d questions took %v s", h.GetSampleCount(), h.GetSampleSum())
	}
	if got := s.Value("nsqadmin_attention"); got < 1 {
		t.Errorf("an nsqd that is down needs %v attention", got)
	}
	again := metricstest.Get(t, http.DefaultClient, "http://"+a.RealHTTPAddr().String()+"/console/metrics")
	if got := again.Value("nsqadmin_http_requests_total", "200", "/metrics"); got < 1 {
		t.Errorf("%v scrapes were counted", got)
	}
}
