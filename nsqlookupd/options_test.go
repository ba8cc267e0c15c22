package nsqlookupd

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string // "" for no error
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.TCPAddress, o.HTTPAddress = ":0", "[::1]:http" }, ""},
		{func(o *Options) { o.TCPAddress = "" }, `--tcp-address must be host:port, is ""`},
		{func(o *Options) { o.TCPAddress = "/run/a.sock" }, `--tcp-address must be host:port, is "/run/a.sock"`},
		{func(o *Options) { o.HTTPAddress = "" }, `--http-address must be host:port, is ""`},
		{func(o *Options) { o.HTTPAddress = "h:70000" }, `--http-address must have a port in [0,65535], is "h:70000"`},
		{func(o *Options) { o.InactiveProducerTimeout = 0 }, "--inactive-producer-timeout must be positive, is 0s"},
		{func(o *Options) { o.TombstoneLifetime = 0 }, ""},
		{func(o *Options) { o.TombstoneLifetime = -time.Second }, "--tombstone-lifetime must not be negative, is -1s"},
		{func(o *Options) { o.TCPAddress, o.TombstoneLifetime = "h", -1 },
			"--tcp-address must be host:port, is \"h\"\n--tombstone-lifetime must not be negative, is -1ns"},
	} {
		o := NewOptions()
		c.change(o)
		got := ""
		if err := o.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestEffectiveOptions(t *testing.T) {
	given := NewOptions()
	given.BroadcastAddress = ""
	o := given.effective()
	if o.BroadcastAddress != config.Hostname() || o.Logger == nil {
		t.Errorf("not filled in: %+v", o)
	}
	if given.BroadcastAddress != "" || given.Logger != nil {
		t.Errorf("the caller's were changed: %+v", given)
	}
	given.BroadcastAddress = "10.0.0.1"
	if got := given.effective().BroadcastAddress; got != "10.0.0.1" {
		t.Errorf("the address is %q", got)
	}
}

func TestDoubtfulSettingsAreLogged(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string // "" for nothing
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.BroadcastAddress = "::1" }, ""},
		{func(o *Options) { o.BroadcastAddress = "host:4160" }, `WARNING: --broadcast-address "host:4160" is not a host name or address: no nsqd can ask for the channels of its topics`},
		{func(o *Options) { o.InactiveProducerTimeout = 16 * time.Second }, ""},
		{func(o *Options) { o.InactiveProducerTimeout = 15 * time.Second }, "WARNING: --inactive-producer-timeout 15s is not more than the 15s between two pings of an nsqd: it is not listed all the time"},
	} {
		o := NewOptions()
		c.change(o)
		var out strings.Builder
		o.Logger = slog.New(logging.NewHandler(&out, "", slog.LevelInfo))
		o.logDoubts()
		if got := strings.TrimSuffix(out.String(), "\n"); !strings.HasSuffix(got, c.want) || (got == "") != (c.want == "") || strings.Contains(got, "\n") {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
