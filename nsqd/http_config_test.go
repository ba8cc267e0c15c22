package nsqd_test

import (
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// Every option, by its key in the config file.
func TestHTTPConfigShowsEveryOption(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.ID = 7
	opts.HTTPSAddress = "0.0.0.0:4152" // there is no certificate
	opts.BroadcastAddress = "my.host"
	opts.TopologyZone = `"zone"`
	opts.LookupdTCPAddresses = []string{"127.0.0.1:1"}
	opts.AuthHTTPAddresses = []string{"127.0.0.1:2", "https://user:secret@auth.host/path?x=a:b@c", "http://a@b:se@cr:et@auth.host"}
	opts.E2EProcessingLatencyPercentiles = []float64{1, 0.95}
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	httpPort := n.RealHTTPAddr().(*net.TCPAddr).Port
	options := map[string]string{
		"id": "7", "log_level": "2", "log_format": "text", "log_prefix": "[nsqd] ",

		"tcp_address": "127.0.0.1:0", "http_address": "127.0.0.1:0", "https_address": "0.0.0.0:4152",
		"broadcast_address": "my.host", "broadcast_tcp_port": "0", "broadcast_http_port": "0",
		"topology_region": "", "topology_zone": `"zone"`, "max_connections": "0",

		"nsqlookupd_tcp_addresses": `["127.0.0.1:1"]`,

		"auth_http_addresses":      `["127.0.0.1:2","https://user:xxxxx@auth.host/path?x=a:b@c","http://a@b:xxxxx@auth.host"]`,
		"auth_http_request_method": "get", "auth_required": "false",
		"http_client_connect_timeout": "2000000000", "http_client_request_timeout": "5000000000",

		"tls_cert": "", "tls_key": "", "tls_client_auth_policy": "", "tls_root_ca_file": "",
		"tls_required": "0", "tls_min_version": "771",
		"deflate": "true", "max_deflate_level": "6", "snappy": "true",

		"data_path": opts.DataPath, "durability": "memory", "mem_queue_size": "10000", "max_bytes_per_file": "104857600",
		"sync_every": "2500", "sync_timeout": "2000000000", "min_free_disk": "0",
		"queue_scan_worker_pool_max": "4", "queue_scan_selection_count": "20",

		"msg_timeout": "60000000000", "max_msg_timeout": "900000000000",
		"max_msg_size": "1048576", "max_body_size": "5242880", "max_req_timeout": "3600000000000",
		"max_defer_timeout": "3600000000000",

		"max_heartbeat_interval": "60000000000", "max_rdy_count": "2500",
		"max_output_buffer_size": "65536", "max_output_buffer_timeout": "30000000000",
		"min_output_buffer_timeout": "25000000", "output_buffer_timeout": "250000000",
		"max_channel_consumers": "0",

		"drain_on_term": "0",

		"statsd_address": "", "statsd_prefix": fmt.Sprintf("nsq.my_host_%d.", httpPort),
		"statsd_interval": "60000000000", "statsd_mem_stats": "true",
		"statsd_udp_packet_size": "508", "statsd_exclude_ephemeral": "false",

		"e2e_processing_latency_percentiles": "[1,0.95]", "e2e_processing_latency_window_time": "600000000000",

		"enable_experiment": "[]",
	}
	for key, want := range options {
		a.want(200, want, "GET", "/config/"+key, "")
	}
	known := 0
	for _, field := range reflect.VisibleFields(reflect.TypeFor[nsqd.Options]()) {
		if _, ok := field.Tag.Lookup("flag"); ok {
			known++
		}
	}
	if known != len(options) {
		t.Errorf("%d options are compared, there are %d", len(options), known)
	}
}

func TestHTTPConfigOfTLS(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.TLSRequired = nsqd.TLSRequiredExceptHTTP
	a := newAPI(t, startWithTLS(t, opts))
	a.want(200, "1", "GET", "/config/tls_required", "")
	a.want(200, opts.TLSCert, "GET", "/config/tls_cert", "")
}

// The level changes what is logged, at once; without a LevelVar it is fixed.
func TestHTTPConfigLogLevel(t *testing.T) {
	opts := nsqtest.Options(t)
	var lines loggingtest.Buffer
	opts.LevelVar = new(slog.LevelVar)
	opts.Logger = lines.Logger(opts.LevelVar)
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.want(200, "4", "PUT", "/config/log_level", "error")
	a.post("/topic/create?topic=unseen")
	a.want(200, "2", "PUT", "/config/log_level", "info")
	a.post("/topic/create?topic=seen")
	n.Stop()
	if log := lines.String(); strings.Contains(log, "unseen") || !strings.Contains(log, "TOPIC(seen): created") || !strings.Contains(log, "log_level is now info") {
		t.Errorf("the log is %s", log)
	}

	fixed := newAPI(t, nsqtest.Start(t, nil))
	fixed.want(400, `{"message":"INVALID_OPTION"}`, "PUT", "/config/log_level", "debug")
	fixed.want(200, "2", "GET", "/config/log_level", "")
}

// What the documents say of an option can be changed, and nothing else can.
func TestHTTPConfigChangesWhatIsDocumented(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.LevelVar = new(slog.LevelVar)
	a := newAPI(t, nsqtest.Start(t, opts))
	for _, o := range config.Describe(opts) {
		want := "INVALID_OPTION"
		if o.Change == "PUT /config/"+o.Key {
			want = "INVALID_VALUE"
		} else if o.Change != "" {
			t.Errorf("%s is said to be changed by %s", o.Key, o.Change)
		}
		a.want(400, `{"message":"`+want+`"}`, "PUT", "/config/"+o.Key, "{")
	}
}

// Values that change are whole for everybody who reads them.
func TestHTTPConfigRace(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.LevelVar = new(slog.LevelVar)
	a := newAPI(t, nsqtest.Start(t, opts))
	const one, two = `["127.0.0.1:1"]`, `["127.0.0.1:1","[::1]:2"]`
	var running sync.WaitGroup
	for _, value := range []string{one, two} {
		running.Go(func() {
			for range 20 {
				a.try("PUT", "/config/nsqlookupd_tcp_addresses", strings.NewReader(value))
				a.try("PUT", "/config/log_level", strings.NewReader("warn"))
				_, got, err := a.try("GET", "/config/nsqlookupd_tcp_addresses", nil)
				if got != one && got != two || err != nil {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	running.Wait()
}
