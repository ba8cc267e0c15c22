// Package everymetric has every metric of the daemons appear, for tests of what names
// them: documents, dashboards and rules.
package everymetric

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/metrics/metricstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqadmin"
	"github.com/seed893f581e/nsq/nsqd"
)

// Scrape runs the three daemons, has everything happen that makes a metric appear,
// and returns what each of them says, by its name. In the broker there is a topic t with
// a channel c.
func Scrape(tb testing.TB) map[string]metricstest.Scrape {
	tb.Helper()
	lookupd := nsqtest.StartLookupd(tb, nil)
	opts := nsqtest.Options(tb)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	damage(tb, opts)
	opts.TopologyRegion, opts.TopologyZone = "r", "z"
	opts.Experiments = []string{"topology-aware-consumption"}
	broker := nsqtest.Start(tb, opts)

	adminOpts := nsqadmin.NewOptions()
	adminOpts.HTTPAddress = "127.0.0.1:0"
	adminOpts.Logger = slog.New(slog.DiscardHandler)
	adminOpts.LookupdHTTPAddresses = []string{lookupd.HTTPAddr()}
	admin, err := nsqadmin.New(adminOpts)
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- admin.Main() }()
	tb.Cleanup(func() {
		if err := admin.Exit(); err != nil {
			tb.Error(err)
		}
		<-ended
		http.DefaultClient.CloseIdleConnections()
	})
	urls := map[string]string{
		"nsqd": broker.HTTPURL(), "nsqlookupd": lookupd.HTTPURL(), "nsqadmin": "http://" + admin.RealHTTPAddr().String(),
	}
	for _, url := range urls { // the first request is not counted before its answer
		metricstest.Get(tb, http.DefaultClient, url+"/metrics")
	}
	post(tb, broker, "/topic/unpause?topic=t", "")
	eventually(tb, broker, "the topic has skipped damage", "nsqd_topic_damaged_ranges_total", 1, "t")
	consumeFrom(tb, broker, "r", "z")
	consumeFrom(tb, broker, "r", "")
	consumeFrom(tb, broker, "", "")
	scrapes := make(map[string]metricstest.Scrape)
	for program, url := range urls {
		scrapes[program] = metricstest.Get(tb, http.DefaultClient, url+"/metrics")
	}
	return scrapes
}

// damage leaves a data path in which the topic t and its channel c have damaged disk
// queues. The topic is paused.
func damage(tb testing.TB, opts *nsqd.Options) {
	tb.Helper()
	before := *opts
	before.MemQueueSize = 0
	broker := nsqtest.Start(tb, &before)
	post(tb, broker, "/topic/create?topic=t", "")
	post(tb, broker, "/channel/create?topic=t&channel=c", "")
	post(tb, broker, "/mpub?topic=t", "1\n2\n3\n")
	eventually(tb, broker, "the messages are in the channel", "nsqd_channel_backend_depth", 3, "c", "t")
	post(tb, broker, "/topic/pause?topic=t", "")
	post(tb, broker, "/mpub?topic=t", "4\n5\n6\n")
	broker.Stop()
	files, err := filepath.Glob(filepath.Join(opts.DataPath, "*.diskqueue.000*.dat"))
	if err != nil || len(files) < 2 {
		tb.Fatalf("disk queues %q, %v", files, err)
	}
	for _, file := range files {
		records, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		third := len(records) / 3
		clear(records[third : 2*third]) // the second of three of one size
		if err := os.WriteFile(file, records, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// consumeFrom publishes a message and has a consumer at that place finish it.
func consumeFrom(tb testing.TB, broker *nsqtest.NSQD, region, zone string) {
	tb.Helper()
	name := "for " + region + "/" + zone
	config := nsq.NewConfig()
	config.TopologyRegion, config.TopologyZone = region, zone
	c, err := nsq.NewConsumer("t", "c", config)
	if err != nil {
		tb.Fatal(err)
	}
	c.SetLoggerLevel(nsq.LogLevelError)
	handled := make(chan struct{}, 1)
	c.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		if string(m.Body) == name {
			handled <- struct{}{}
		}
		return nil
	}))
	if err := c.ConnectToNSQD(broker.TCPAddr()); err != nil {
		tb.Fatal(err)
	}
	eventually(tb, broker, "the channel has skipped damage", "nsqd_channel_damaged_ranges_total", 1, "c", "t")
	eventually(tb, broker, "what was on disk is read", "nsqd_channel_backend_depth", 0, "c", "t")
	post(tb, broker, "/pub?topic=t", name)
	<-handled
	c.Stop()
	<-c.StopChan
}

func eventually(tb testing.TB, broker *nsqtest.NSQD, what, name string, value float64, labels ...string) {
	tb.Helper()
	nsqtest.Eventually(tb, what, func() bool {
		return metricstest.Get(tb, http.DefaultClient, broker.HTTPURL()+"/metrics").Value(name, labels...) == value
	})
}

func post(tb testing.TB, broker *nsqtest.NSQD, path, body string) {
	tb.Helper()
	resp, err := http.Post(broker.HTTPURL()+path, "", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s", path, resp.Status)
	}
}
