package nsqd_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestHTTPProfiles(t *testing.T) {
	nsqtest.Parallel(t)
	const isBinary = "application/octet-stream"
	overEveryListener(t, nil, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		for target, want := range map[string]struct{ contentType, start string }{
			"/":                     {"text/html; charset=utf-8", "<html>"},
			"/cmdline":              {httpapitest.Text, ""},
			"/heap":                 {isBinary, "\x1f\x8b"},
			"/heap?debug=1&gc=1":    {httpapitest.Text, "heap profile: "},
			"/allocs?debug=1":       {httpapitest.Text, "heap profile: "},
			"/goroutine?debug=1":    {httpapitest.Text, "goroutine profile: total "},
			"/goroutine?debug=2":    {httpapitest.Text, "goroutine "},
			"/block?debug=1":        {httpapitest.Text, "--- contention:"},
			"/mutex?debug=1":        {httpapitest.Text, "--- mutex:"},
			"/threadcreate?debug=1": {httpapitest.Text, "threadcreate profile: total "},
			"/symbol":               {httpapitest.Text, "num_symbols: 1\n"},
			"/trace?seconds=0.01":   {isBinary, "go 1."},
			"/profile?seconds=1":    {isBinary, "\x1f\x8b"},
		} {
			resp, body, err := a.try("GET", "/debug/pprof"+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 200 || !strings.HasPrefix(body, want.start) || resp.Header.Get("Content-Type") != want.contentType {
				t.Errorf("%s: %d %.20q, %v", target, resp.StatusCode, body, resp.Header)
			}
			if resp.Header.Get("X-NSQ-Content-Type") != "" {
				t.Errorf("%s: has an X-NSQ-Content-Type", target)
			}
		}
		pc := reflect.ValueOf(nsqtest.Root).Pointer()
		if _, body, err := a.try("POST", "/debug/pprof/symbol", strings.NewReader(fmt.Sprintf("0x1+%#x", pc))); !strings.Contains(body, "nsqtest.Root") || err != nil {
			t.Errorf("POST symbol: %q, %v", body, err)
		}
	})
}

// A profile that is being taken ends with the broker, and is whole as far as it
// goes.
func TestHTTPProfileDoesNotDelayStop(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	type answer struct {
		resp *http.Response
		body string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		resp, body, err := a.try("GET", "/debug/pprof/profile?seconds=3600", nil)
		answers <- answer{resp, body, err}
	}()
	nsqtest.Eventually(t, "the profile is being taken", func() bool {
		_, body, err := a.try("GET", "/debug/pprof/goroutine?debug=2", nil)
		return err == nil && strings.Contains(body, "net/http/pprof.Profile(")
	})
	began := time.Now()
	n.Stop()
	if took := time.Since(began); took > nsqtest.Patience {
		t.Errorf("the stop took %v", took)
	}
	got := <-answers
	if got.err != nil || got.resp.StatusCode != 200 {
		t.Fatalf("the profile ended with %v, %v", got.resp, got.err)
	}
	if zipped, err := gzip.NewReader(bytes.NewReader([]byte(got.body))); err != nil {
		t.Error(err)
	} else if _, err := io.ReadAll(zipped); err != nil {
		t.Error(err)
	}
}

func TestHTTPSetBlockRate(t *testing.T) {
	t.Cleanup(func() { runtime.SetBlockProfileRate(0) })
	a := newAPI(t, nsqtest.Start(t, nil))
	events := func() (n int) {
		_, body, err := a.try("GET", "/debug/pprof/block?debug=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(body, "#\t0x")
	}
	a.want(200, "", "PUT", "/debug/setblockrate?rate=1", "")
	nsqtest.Eventually(t, "the profile has what blocks", func() bool { return events() > 0 })

	for form, want := range map[string]string{
		"rate=0":            "200 ",
		"rate=x":            `400 invalid block rate : strconv.Atoi: parsing "x": invalid syntax`,
		"rate=1;%zz":        `400 invalid block rate : strconv.Atoi: parsing "": invalid syntax`,
		"rate=1&" + tooLong: "200 ",
	} {
		req, err := http.NewRequest("PUT", a.base+"/debug/setblockrate", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := a.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); got != want || err != nil {
			t.Errorf("%s: %s, want %s", form, got, want)
		}
	}
}
