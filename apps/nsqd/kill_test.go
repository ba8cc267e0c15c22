//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
)

// What was answered about topics and channels is in force after a kill at once
// after the answer.
func TestAnswersHoldAfterAKill(t *testing.T) {
	dir := t.TempDir()
	have := ""
	for _, step := range []struct{ path, want string }{
		{"/topic/create?topic=t", "t"},
		{"/channel/create?topic=t&channel=c", "t c"},
		{"/channel/pause?topic=t&channel=c", "t c*"},
		{"/topic/pause?topic=t", "t* c*"},
		{"/topic/unpause?topic=t", "t c*"},
		{"/channel/delete?topic=t&channel=c", "t"},
		{"/topic/delete?topic=t", ""},
	} {
		d := start(t, "--data-path="+dir)
		address := daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]
		if got := topics(t, address); got != have {
			t.Errorf("after the kill there is %q, want %q", got, have)
		}
		if status, body := request(t, "POST", "http://"+address+step.path); status != http.StatusOK {
			t.Fatalf("%s answered %d %s", step.path, status, body)
		}
		d.Signal(syscall.SIGKILL)
		d.End()
		have = step.want
	}
	d := start(t, "--data-path="+dir)
	if got := topics(t, daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]); got != have {
		t.Errorf("after the kill there is %q, want %q", got, have)
	}
}

// A kill while clients create, fill and delete topics, at the moment of an
// answer to one of them: what that says is so afterwards. Files of a deleted
// topic do not bring it back, and the start succeeds whatever the others were
// doing.
func TestKillWhileTopicsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	for round := range 8 {
		d := start(t, "--data-path="+dir, "--mem-queue-size=0")
		address := daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]
		var others sync.WaitGroup
		for i := range 3 {
			others.Go(func() {
				for step := 0; comeAndGo(address, fmt.Sprint("other", i), step) == nil; step++ {
				}
			})
		}
		last := 20 + round // so that each kind of step is the last
		for step := range last + 1 {
			if err := comeAndGo(address, "t", step); err != nil {
				t.Fatal(err)
			}
		}
		d.Signal(syscall.SIGKILL)
		d.End()
		others.Wait()

		d = start(t, "--data-path="+dir)
		got := topics(t, daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1])
		own := ""
		if i := strings.LastIndex(" "+got, " t"); i >= 0 { // it sorts last
			own = got[i:]
		}
		if want := [...]string{"t", "t c", "t c", ""}[last%4]; own != want {
			t.Errorf("after %s there is %q, want %q, in %q", steps[last%4], own, want, got)
		}
		d.Signal(syscall.SIGTERM)
		if r := d.End(); r.Code != 0 {
			t.Errorf("exit code %d, want 0", r.Code)
		}
	}
}

var steps = [...]string{"/topic/create", "/channel/create", "/pub", "/topic/delete"}

// comeAndGo makes one request; the steps make a topic come and go.
func comeAndGo(address, topic string, step int) error {
	url := "http://" + address + steps[step%len(steps)] + "?channel=c&topic=" + topic
	resp, err := http.Post(url, "", strings.NewReader("m"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func request(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// topics returns the topics and their channels, paused ones with a star.
func topics(t *testing.T, address string) string {
	t.Helper()
	var stats struct {
		Topics []struct {
			Name     string `json:"topic_name"`
			Paused   bool
			Channels []struct {
				Name   string `json:"channel_name"`
				Paused bool
			}
		}
	}
	_, body := request(t, "GET", "http://"+address+"/stats?format=json")
	if err := json.Unmarshal([]byte(body), &stats); err != nil {
		t.Fatal(err)
	}
	star := map[bool]string{true: "*"}
	var names []string
	for _, topic := range stats.Topics {
		names = append(names, topic.Name+star[topic.Paused])
		for _, channel := range topic.Channels {
			names = append(names, channel.Name+star[channel.Paused])
		}
	}
	return strings.Join(names, " ")
}
