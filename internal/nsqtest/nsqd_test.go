package nsqtest_test

import (
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// Two brokers in one test are not taken for leaks of each other, and one that
// is restarted keeps its data path.
func TestBrokersInOneTest(t *testing.T) {
	a, b := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	for _, d := range []*nsqtest.NSQD{a, b} {
		create(t, d)
	}
	again := a.Restart()
	if again.Opts.DataPath != a.Opts.DataPath {
		t.Errorf("the data path went from %s to %s", a.Opts.DataPath, again.Opts.DataPath)
	}
	create(t, again)
}

// create makes a topic, whose goroutine ends with the broker only.
func create(t *testing.T, d *nsqtest.NSQD) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(d.HTTPURL()+"/topic/create?topic=t", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("create answered %s", resp.Status)
	}
}
