package nsqd

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
)

func TestDefaultOptionsAreValid(t *testing.T) {
	if err := NewOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func TestDefaultNodeIDComesFromTheHostname(t *testing.T) {
	if id := defaultNodeID("vm"); id != 617 {
		t.Errorf("defaultNodeID(vm) = %d, want 617", id)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string // "" for no error
	}{
		{func(o *Options) { o.ID = 0 }, ""},
		{func(o *Options) { o.ID = 1023 }, ""},
		{func(o *Options) { o.ID = 1024 }, "--node-id must be [0,1024), is 1024"},
		{func(o *Options) { o.ID = -1 }, "--node-id must be [0,1024), is -1"},
		{func(o *Options) { o.TCPAddress = "" }, "--tcp-address must not be empty"},
		{func(o *Options) { o.HTTPAddress = "" }, ""},
		{func(o *Options) { o.BroadcastTCPPort = 65535 }, ""},
		{func(o *Options) { o.BroadcastTCPPort = 65536 }, "--broadcast-tcp-port must be [0,65535], is 65536"},
		{func(o *Options) { o.BroadcastHTTPPort = -1 }, "--broadcast-http-port must be [0,65535], is -1"},
		{func(o *Options) { o.MemQueueSize = 0 }, ""},
		{func(o *Options) { o.MemQueueSize = -1 }, "--mem-queue-size must not be negative, is -1"},
		{func(o *Options) { o.MaxBytesPerFile = 0 }, "--max-bytes-per-file must be positive, is 0"},
		{func(o *Options) { o.SyncEvery = 0 }, ""},
		{func(o *Options) { o.SyncEvery = -1 }, "--sync-every must not be negative, is -1"},
		{func(o *Options) { o.SyncTimeout = 0 }, "--sync-timeout must be positive, is 0s"},
		{func(o *Options) { o.QueueScanWorkerPoolMax = 0 }, "--queue-scan-worker-pool-max must be positive, is 0"},
		{func(o *Options) { o.QueueScanSelectionCount = 0 }, ""},
		{func(o *Options) { o.QueueScanSelectionCount = -1 }, "--queue-scan-selection-count must not be negative, is -1"},
		{func(o *Options) { o.MsgTimeout = 0 }, "--msg-timeout must be positive, is 0s"},
		{func(o *Options) { o.MsgTimeout = 20 * time.Minute }, ""},
		{func(o *Options) { o.MaxMsgTimeout = -time.Second }, "--max-msg-timeout must be positive, is -1s"},
		{func(o *Options) { o.MaxMsgSize = 1 << 30 }, ""},
		{func(o *Options) { o.MaxMsgSize = 1<<30 + 1 }, "--max-msg-size must be [1,1073741824], is 1073741825"},
		{func(o *Options) { o.MaxMsgSize = 0 }, "--max-msg-size must be [1,1073741824], is 0"},
		{func(o *Options) { o.MaxBodySize = 4 }, "--max-body-size must be [5,1073741824], is 4"},
		{func(o *Options) { o.MaxReqTimeout = 0 }, ""},
		{func(o *Options) { o.MaxReqTimeout = -1 }, "--max-req-timeout must not be negative, is -1ns"},
		{func(o *Options) { o.MaxDeferTimeout = -1 }, "--max-defer-timeout must not be negative, is -1ns"},
		{func(o *Options) { o.MaxHeartbeatInterval = 999 * time.Millisecond }, "--max-heartbeat-interval must not be less than 1s, is 999ms"},
		{func(o *Options) { o.MaxRdyCount = 0 }, "--max-rdy-count must be positive, is 0"},
		{func(o *Options) { o.MaxOutputBufferSize = 63 }, "--max-output-buffer-size must not be less than 64, is 63"},
		{func(o *Options) { o.MinOutputBufferTimeout = -1 }, "--min-output-buffer-timeout must not be negative, is -1ns"},
		{func(o *Options) { o.MaxOutputBufferTimeout = -1 }, "--max-output-buffer-timeout must not be negative, is -1ns"},
		{func(o *Options) { o.OutputBufferTimeout = 0 }, "--output-buffer-timeout must be positive, is 0s"},
		{func(o *Options) { o.MaxChannelConsumers = 0 }, ""},
		{func(o *Options) { o.MaxChannelConsumers = -1 }, "--max-channel-consumers must not be negative, is -1"},
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

func TestValidateReportsEveryMistake(t *testing.T) {
	o := NewOptions()
	o.ID, o.SyncTimeout = 5000, 0
	err := o.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{"--node-id must be [0,1024), is 5000", "--sync-timeout must be positive, is 0s"}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEffectiveOptions(t *testing.T) {
	for _, c := range []struct {
		policy         string
		required, want TLSRequired
	}{
		{"", TLSNotRequired, TLSNotRequired},
		{"", TLSRequiredExceptHTTP, TLSRequiredExceptHTTP},
		{"require", TLSNotRequired, TLSRequiredAlways},
		{"require-verify", TLSNotRequired, TLSRequiredAlways},
		{"require", TLSRequiredExceptHTTP, TLSRequiredExceptHTTP},
		{"require", TLSRequiredAlways, TLSRequiredAlways},
	} {
		given := NewOptions()
		given.TLSClientAuthPolicy, given.TLSRequired, given.BroadcastAddress = c.policy, c.required, ""
		o, err := given.effective()
		if err != nil {
			t.Fatal(err)
		}
		if o.TLSRequired != c.want || given.TLSRequired != c.required {
			t.Errorf("policy %q makes tls-required=%v %v, want %v", c.policy, c.required, o.TLSRequired, c.want)
		}
		if o.BroadcastAddress != config.Hostname() || o.DataPath == "" || o.Logger == nil {
			t.Errorf("not filled in: %+v", o)
		}
	}
}

func TestDoubtfulSettingsAreLogged(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string // "" for nothing
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.MemQueueSize = 0 }, "WARNING: --mem-queue-size=0 alone makes nothing durable: messages wait on disk, but a crash can lose what was acknowledged; --durability=disk or fsync keeps it"},
		{func(o *Options) { o.MemQueueSize, o.Durability = 0, Disk }, ""},
		{func(o *Options) { o.MaxMsgSize = o.MaxBodySize + 1 }, "WARNING: --max-msg-size 5242881 is more than --max-body-size 5242880: such messages cannot be published in batches"},
		{func(o *Options) { o.MsgTimeout = time.Hour }, "WARNING: --msg-timeout 1h0m0s is more than --max-msg-timeout 15m0s: clients cannot extend it"},
		{func(o *Options) { o.MaxOutputBufferTimeout = 0 }, "WARNING: --min-output-buffer-timeout 25ms is more than --max-output-buffer-timeout 0s: clients cannot choose any"},
		{func(o *Options) { o.HTTPAddress = "" }, ""},
		{func(o *Options) { o.LookupdTCPAddresses = []string{"a:1"} }, ""},
		{func(o *Options) { o.LookupdTCPAddresses, o.HTTPAddress = []string{"a:1"}, "" }, "WARNING: --http-address= without --broadcast-http-port: nsqlookupds refuse a node without this port"},
		{func(o *Options) { o.LookupdTCPAddresses, o.HTTPAddress, o.BroadcastHTTPPort = []string{"a:1"}, "", 1 }, ""},
		{func(o *Options) { o.LookupdTCPAddresses, o.TCPAddress = []string{"a:1"}, "/s" }, "WARNING: --tcp-address=/s without --broadcast-tcp-port: nsqlookupds refuse a node without this port"},
		{func(o *Options) { o.LookupdTCPAddresses, o.TCPAddress, o.BroadcastTCPPort = []string{"a:1"}, "/s", 1 }, ""},
		{func(o *Options) { o.BroadcastAddress = "::1" }, ""},
		{func(o *Options) { o.BroadcastAddress = "host:4150" }, `WARNING: --broadcast-address "host:4150" is not a host name or address: clients cannot connect to it`},
		{func(o *Options) { o.BroadcastAddress = "http://host" }, `WARNING: --broadcast-address "http://host" is not a host name or address: clients cannot connect to it`},
		{func(o *Options) { o.TLSClientAuthPolicy = "require" }, ""},
		{func(o *Options) { o.TLSClientAuthPolicy = "require-verify" }, "WARNING: --tls-client-auth-policy=require-verify without --tls-root-ca-file: clients with a certificate of any public authority are let in"},
		{func(o *Options) { o.TLSRootCAFile = "ca" }, "WARNING: --tls-root-ca-file has no effect without --tls-cert or an https --auth-http-address"},
		{func(o *Options) { o.TLSRootCAFile, o.AuthHTTPAddresses = "ca", []string{"https://auth"} }, ""},
		{func(o *Options) { o.HTTPSAddress = "" }, ""},
		{func(o *Options) { o.HTTPSAddress = ":0" }, "WARNING: --https-address has no effect without --tls-cert and --tls-key"},
		{func(o *Options) { o.HTTPSAddress, o.TLSCert = ":0", "cert" }, ""},
		{func(o *Options) { o.Experiments = []string{"topology-aware-consumption"} }, ""},
		{func(o *Options) { o.Experiments = []string{"warp"} }, "WARNING: --enable-experiment warp has no effect: it is not known"},
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

func TestCountsFitTheirInts(t *testing.T) {
	o := NewOptions()
	o.MemQueueSize, o.MaxRdyCount = 1<<31, 1<<31
	want := ""
	if math.MaxInt == math.MaxInt32 {
		want = "--mem-queue-size must not be more than 2147483647, is 2147483648\n--max-rdy-count must not be more than 2147483647, is 2147483648"
	}
	got := ""
	if err := o.Validate(); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
