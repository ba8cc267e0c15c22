package settings

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An optionGroup is what belongs together on the page of a node.
type optionGroup struct {
	Name    string
	Options []option
}

// An option is an option of nsqd.
type option struct {
	Key     string
	show    func(value any) string // nil: as it is
	changes bool                   // while nsqd runs
}

// nsqdOptions are all options of nsqd that it tells.
var nsqdOptions = []optionGroup{
	{"Node", []option{
		{Key: "id"}, {Key: "broadcast_address", changes: true}, {Key: "broadcast_tcp_port"}, {Key: "broadcast_http_port"},
		{Key: "tcp_address"}, {Key: "http_address"}, {Key: "https_address"},
		{Key: "topology_region"}, {Key: "topology_zone"}, {Key: "max_connections"}, {Key: "drain_on_term", show: nanoseconds}, {Key: "enable_experiment"},
	}},
	{"Discovery and log", []option{
		{Key: "nsqlookupd_tcp_addresses", changes: true}, {Key: "http_client_connect_timeout", show: nanoseconds}, {Key: "http_client_request_timeout", show: nanoseconds},
		{Key: "log_level", show: logLevel, changes: true}, {Key: "log_format"}, {Key: "log_prefix"},
	}},
	{"Queues", []option{
		{Key: "data_path"}, {Key: "durability"}, {Key: "mem_queue_size"}, {Key: "max_bytes_per_file", show: size}, {Key: "sync_every"}, {Key: "sync_timeout", show: nanoseconds},
		{Key: "min_free_disk", show: size}, {Key: "queue_scan_worker_pool_max"}, {Key: "queue_scan_selection_count"},
	}},
	{"Messages and consumers", []option{
		{Key: "msg_timeout", show: nanoseconds}, {Key: "max_msg_timeout", show: nanoseconds}, {Key: "max_req_timeout", show: nanoseconds}, {Key: "max_defer_timeout", show: nanoseconds},
		{Key: "max_msg_size", show: size}, {Key: "max_body_size", show: size}, {Key: "max_rdy_count"}, {Key: "max_channel_consumers"}, {Key: "max_heartbeat_interval", show: nanoseconds},
		{Key: "max_output_buffer_size", show: size}, {Key: "max_output_buffer_timeout", show: nanoseconds}, {Key: "min_output_buffer_timeout", show: nanoseconds}, {Key: "output_buffer_timeout", show: nanoseconds},
		{Key: "deflate"}, {Key: "max_deflate_level"}, {Key: "snappy"},
	}},
	{"TLS and authorization", []option{
		{Key: "tls_cert"}, {Key: "tls_key"}, {Key: "tls_client_auth_policy"}, {Key: "tls_root_ca_file"}, {Key: "tls_required", show: tlsRequired}, {Key: "tls_min_version", show: tlsVersion},
		{Key: "auth_http_addresses"}, {Key: "auth_http_request_method"}, {Key: "auth_required"},
	}},
	{"Statistics", []option{
		{Key: "statsd_address"}, {Key: "statsd_prefix"}, {Key: "statsd_interval", show: nanoseconds}, {Key: "statsd_mem_stats"}, {Key: "statsd_udp_packet_size"}, {Key: "statsd_exclude_ephemeral"},
		{Key: "e2e_processing_latency_percentiles"}, {Key: "e2e_processing_latency_window_time", show: nanoseconds},
	}},
}

// text is a value as the page shows it: near to how a config file says it.
func (s option) text(value any) string {
	if s.show != nil {
		return s.show(value)
	}
	if list, ok := value.([]any); ok {
		var words []string
		for _, v := range list {
			words = append(words, fmt.Sprint(v))
		}
		return strings.Join(words, ", ")
	}
	return fmt.Sprint(value)
}

// integer returns a number that is an integer.
func integer(value any) (int64, bool) {
	n, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

func nanoseconds(value any) string {
	if n, ok := integer(value); ok {
		return time.Duration(n).String()
	}
	return fmt.Sprint(value)
}

// size shows bytes exactly, and in a larger unit where they are a multiple of it.
func size(value any) string {
	n, ok := integer(value)
	if !ok {
		return fmt.Sprint(value)
	}
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return fmt.Sprintf("%d %s (%d)", n/unit.bytes, unit.name, n)
		}
	}
	return strconv.FormatInt(n, 10)
}

func logLevel(value any) string {
	return word(value, map[int64]string{1: "debug", 2: "info", 3: "warn", 4: "error", 5: "fatal"})
}

func tlsRequired(value any) string {
	return word(value, map[int64]string{0: "false", 1: "tcp-https", 2: "true"})
}

func tlsVersion(value any) string {
	return word(value, map[int64]string{tls.VersionTLS10: "tls1.0", tls.VersionTLS11: "tls1.1", tls.VersionTLS12: "tls1.2", tls.VersionTLS13: "tls1.3"})
}

func word(value any, words map[int64]string) string {
	if n, ok := integer(value); ok && words[n] != "" {
		return words[n]
	}
	return fmt.Sprint(value)
}
