package config

import (
	"reflect"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	opts := struct {
		Level   string `section:"Log" flag:"log-level" words:"low high" usage:"how much" change:"PUT /config/log_level" more:"Or how little."`
		NoFlag  int
		Timeout time.Duration `flag:"msg-timeout" usage:"how long" example:"5s"`
		Names   []string      `section:"Others" flag:"name" cfg:"names" usage:"who"`
	}{Level: "low", Timeout: time.Second}
	want := []Option{
		{Flag: "log-level", Key: "log_level", Usage: "how much", More: "Or how little.", Section: "Log", Words: []string{"low", "high"}, Change: "PUT /config/log_level", Default: "low"},
		{Flag: "msg-timeout", Key: "msg_timeout", Usage: "how long", Section: "Log", Words: []string{}, Example: "5s", Default: time.Second},
		{Flag: "name", Key: "names", Usage: "who", Section: "Others", Words: []string{}, Default: []string(nil)},
	}
	if got := Describe(&opts); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
