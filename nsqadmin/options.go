package nsqadmin

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
)

// Options configure an NSQAdmin. They are plain data: Validate checks them before
// anything starts, and nothing changes them afterwards. The tags are those of
// package config; the usage texts say what an option means.
type Options struct {
	LogLevel  logging.Level  `section:"Log" flag:"log-level" words:"debug info warn error fatal" usage:"least level that is logged: debug, info, warn, error or fatal" change:"PUT /config/log_level"`
	LogFormat logging.Format `flag:"log-format" words:"text json" usage:"how log lines look: text, or json for one object a line"`
	LogPrefix string         `flag:"log-prefix" usage:"start of every log line in format text"`
	Logger    *slog.Logger   // where logs go; nil discards them
	LevelVar  *slog.LevelVar // the Logger's level, which PUT /config/log_level changes; nil where it cannot be changed

	HTTPAddress  string `section:"Listener" flag:"http-address" usage:"listen for browsers and the HTTP API on this host:port"`
	BasePath     string `flag:"base-path" usage:"what the path of every URL begins with, where a proxy has nsqadmin below a path of its own, as /nsqadmin"`
	DevStaticDir string `flag:"dev-static-dir" words:"directory" usage:"directory from which script and style sheet are read anew for each request, to work on them; empty for those in the program"`

	LookupdHTTPAddresses []string `section:"Daemons (one of the two lists must be set, and not both)" flag:"lookupd-http-address" cfg:"nsqlookupd_http_addresses" usage:"host:port of an nsqlookupd that knows the nsqds" more:"Each nsqd must be reached at its broadcast address from where nsqadmin runs." example:"127.0.0.1:4161" change:"PUT /config/nsqlookupd_http_addresses"`
	NSQDHTTPAddresses    []string `flag:"nsqd-http-address" cfg:"nsqd_http_addresses" usage:"host:port of an nsqd, where there is no nsqlookupd"`

	GraphiteURL         string        `section:"Graphs of more than the last hour, from graphite" flag:"graphite-url" usage:"URL of a graphite that has the statistics of nsqd, for graphs of more than an hour; empty for none"`
	ProxyGraphite       bool          `flag:"proxy-graphite" usage:"fetch those graphs for the browsers, which need not reach graphite then"`
	StatsdPrefix        string        `flag:"statsd-prefix" usage:"start of every name in graphite, as nsqd has it; %s is for the host"`
	StatsdCounterFormat string        `flag:"statsd-counter-format" usage:"what statsd makes of the name of a counter; empty for nothing"`
	StatsdGaugeFormat   string        `flag:"statsd-gauge-format" usage:"what statsd makes of the name of a gauge; empty for nothing"`
	StatsdInterval      time.Duration `flag:"statsd-interval" usage:"time between two values in graphite, as nsqd has it"`

	NotificationHTTPEndpoint string `section:"Notifications" flag:"notification-http-endpoint" usage:"URL that is told of every action, who did it and from where, by POST; empty for none"`

	HTTPClientConnectTimeout        time.Duration `section:"How daemons are asked" flag:"http-client-connect-timeout" usage:"time in which a daemon must accept a connection"`
	HTTPClientRequestTimeout        time.Duration `flag:"http-client-request-timeout" usage:"time in which a daemon must answer"`
	HTTPClientTLSInsecureSkipVerify bool          `flag:"http-client-tls-insecure-skip-verify" usage:"accept every certificate of an nsqd"`
	HTTPClientTLSRootCAFile         string        `flag:"http-client-tls-root-ca-file" words:"file" usage:"PEM file of the authorities that certificates of nsqds are checked against; empty for those of the system" more:"The options of TLS are for nsqds that answer over TLS only."`
	HTTPClientTLSCert               string        `flag:"http-client-tls-cert" words:"file" usage:"PEM file of the certificate (chain) that is shown to nsqds" more:"It comes with --http-client-tls-key or not at all."`
	HTTPClientTLSKey                string        `flag:"http-client-tls-key" words:"file" usage:"PEM file of the certificate's key" more:"See --http-client-tls-cert."`

	AllowConfigFromCIDR string   `section:"Who may change things" flag:"allow-config-from-cidr" usage:"network from which /config may be used; empty for everywhere" more:"Behind a proxy it is the address of the proxy that counts. To change something there the user must also be an admin, where there are any."`
	ACLHTTPHeader       string   `flag:"acl-http-header" usage:"header in which a proxy says who the user is" more:"The proxy must not let it through from outside. Looking needs nobody's leave."`
	AdminUsers          []string `flag:"admin-user" cfg:"admin_users" usage:"user who may change things, where not everybody may"`
	TrustedOrigins      []string `flag:"trusted-origin" cfg:"trusted_origins" usage:"scheme://host[:port] of pages that may change things though their host is not the one asked for, as behind a proxy that changes Host" more:"Where a proxy changes the Host header, and browsers use it without TLS, nsqadmin cannot tell its own pages from those of others: list them here, as http://nsqadmin.example.com."`
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		LogLevel:  logging.Level(slog.LevelInfo),
		LogFormat: logging.Text,
		LogPrefix: "[nsqadmin] ",

		HTTPAddress: "0.0.0.0:4171",
		BasePath:    "/",

		StatsdPrefix:        "nsq.%s",
		StatsdCounterFormat: "stats.counters.%s.count",
		StatsdGaugeFormat:   "stats.gauges.%s",
		StatsdInterval:      time.Minute,

		HTTPClientConnectTimeout: 2 * time.Second,
		HTTPClientRequestTimeout: 5 * time.Second,

		AllowConfigFromCIDR: "127.0.0.1/8",
		ACLHTTPHeader:       "X-Forwarded-User",
	}
}

// Validate reports every mistake at once, in the words of the command line.
// Each of the joined errors is a *config.Mistake.
func (o *Options) Validate() error {
	var c config.Checks
	c.Address(o.HTTPAddress, "http-address", func(address string) error { return config.CheckHostPort(address, 0) })
	c.That(plainPath.MatchString(o.BasePath) && path.Clean("/"+o.BasePath) == "/"+strings.Trim(o.BasePath, "/"),
		"base-path", `must be a path of letters, digits, "-", "_" and ".", is %q`, o.BasePath)
	o.checkDaemons(&c)
	o.checkClient(&c)
	o.checkAccess(&c)
	c.Duration(o.StatsdInterval, time.Second, "statsd-interval")
	if o.ProxyGraphite {
		_, err := url.Parse(o.GraphiteURL)
		c.Together(err == nil, fmt.Sprintf("failed to parse --graphite-url (%s) - %v", o.GraphiteURL, err), "graphite-url")
	}
	return c.Err()
}

// plainPath has nothing that a router or a URL gives a meaning to.
var plainPath = regexp.MustCompile(`^[a-zA-Z0-9/._-]*$`)

func (o *Options) checkDaemons(c *config.Checks) {
	lookupds, nsqds := len(o.LookupdHTTPAddresses), len(o.NSQDHTTPAddresses)
	c.Together(lookupds > 0 || nsqds > 0, "--nsqd-http-address or --lookupd-http-address required", "nsqd-http-address", "lookupd-http-address")
	c.Together(lookupds == 0 || nsqds == 0, "use --nsqd-http-address or --lookupd-http-address not both", "nsqd-http-address", "lookupd-http-address")
	for flag, addresses := range map[string][]string{"lookupd-http-address": o.LookupdHTTPAddresses, "nsqd-http-address": o.NSQDHTTPAddresses} {
		for _, address := range addresses {
			err := checkDaemon(address)
			c.Together(err == nil, fmt.Sprintf("failed to resolve --%s (%s) - %v", flag, address, err), flag)
		}
	}
}

// checkDaemon takes what can be dialed, once its name resolves.
func checkDaemon(address string) error { return config.CheckHostPort(address, 1) }

func (o *Options) checkClient(c *config.Checks) {
	c.Duration(o.HTTPClientConnectTimeout, config.Positive, "http-client-connect-timeout")
	c.Duration(o.HTTPClientRequestTimeout, config.Positive, "http-client-request-timeout")
	c.Together(o.HTTPClientTLSCert == "" || o.HTTPClientTLSKey != "", "--http-client-tls-key must be specified with --http-client-tls-cert", "http-client-tls-cert", "http-client-tls-key")
	c.Together(o.HTTPClientTLSKey == "" || o.HTTPClientTLSCert != "", "--http-client-tls-cert must be specified with --http-client-tls-key", "http-client-tls-cert", "http-client-tls-key")
}

func (o *Options) checkAccess(c *config.Checks) {
	if o.AllowConfigFromCIDR != "" {
		_, _, err := net.ParseCIDR(o.AllowConfigFromCIDR)
		c.Together(err == nil, fmt.Sprintf("failed to parse --allow-config-from-cidr (%s) - %v", o.AllowConfigFromCIDR, err), "allow-config-from-cidr")
	}
	c.That(o.ACLHTTPHeader != "" || len(o.AdminUsers) == 0, "acl-http-header", "must not be empty where there is --admin-user")
	c.That(!slices.Contains(o.AdminUsers, ""), "admin-user", "must not be empty: nobody is an admin by having no name")
	protection := http.NewCrossOriginProtection()
	for _, origin := range o.TrustedOrigins {
		err := protection.AddTrustedOrigin(origin)
		c.That(err == nil && !strings.Contains(origin, "*"), "trusted-origin", "must be scheme://host[:port], is %q", origin)
	}
}

// checkDir returns an error where --dev-static-dir is no directory.
func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	switch info, err := os.Stat(dir); {
	case err != nil:
		return fmt.Errorf("--dev-static-dir %s - %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("--dev-static-dir %s - is no directory", dir)
	}
	return nil
}

// effective returns the options as they are in force.
func (o *Options) effective() *Options {
	own := *o
	if own.Logger == nil {
		own.Logger = slog.New(slog.DiscardHandler)
	}
	return &own
}

// basePath is what every path begins with: "" or "/prefix".
func (o *Options) basePath() string {
	path := strings.Trim(o.BasePath, "/")
	if path == "" {
		return ""
	}
	return "/" + path
}
