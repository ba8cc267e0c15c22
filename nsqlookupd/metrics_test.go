package nsqlookupd_test

import (
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/metrics/metricstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestMetrics(t *testing.T) {
	l := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{l.TCPAddr()}
	n := nsqtest.Start(t, opts)
	post := func(url string) {
		t.Helper()
		resp, err := http.Post(url, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", url, resp.Status)
		}
	}
	for _, topic := range []string{"s", "t"} {
		post(n.HTTPURL() + "/topic/create?topic=" + topic)
		post(n.HTTPURL() + "/channel/create?topic=" + topic + "&channel=c")
	}
	post(l.HTTPURL() + "/topic/create?topic=by.hand")
	post(l.HTTPURL() + "/topic/create?topic=goes")
	post(l.HTTPURL() + "/channel/create?topic=goes&channel=c")
	post(l.HTTPURL() + "/topic/delete?topic=goes")

	scrape := func() metricstest.Scrape {
		return metricstest.Get(t, http.DefaultClient, l.HTTPURL()+"/metrics")
	}
	nsqtest.Eventually(t, "four registrations", func() bool {
		return scrape().Value("nsqlookupd_registrations") == 4
	})
	post(l.HTTPURL() + "/topic/tombstone?topic=t&node=" + n.RealHTTPAddr().String())
	s := scrape()
	for name, want := range map[string]float64{
		"nsqlookupd_topics": 3, "nsqlookupd_channels": 2, "nsqlookupd_producers": 1, "nsqlookupd_active_producers": 1,
		"nsqlookupd_registrations": 4, "nsqlookupd_tombstones": 1, "nsqlookupd_connections": 1, "nsqlookupd_watchers": 0,
		"nsqlookupd_panics_total": 0,
	} {
		if got := s.Value(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := s.Value("nsqlookupd_http_requests_total", "200", "/topic/create"); got != 2 {
		t.Errorf("%v topics were created", got)
	}
	if got := metricstest.Get(t, http.DefaultClient, n.HTTPURL()+"/metrics").Value("nsqd_lookupds_connected"); got != 1 {
		t.Errorf("nsqd is connected to %v", got)
	}
}
