// Command nsq_to_file writes the messages of topics to files, one line a message.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// maxBackoff is the longest pause between two attempts to write, unless
// --consumer-opt says otherwise: how late it may be noticed that there is room again.
const maxBackoff = 10 * time.Second

func main() {
	ignoreSizeLimit()
	tool.Main("nsq_to_file", define)
}

// options are what the flags say.
type options struct {
	topics       *tool.List
	topicPattern string
	topicRefresh time.Duration
	channel      string
	maxInFlight  int
	sources      *tool.Sources
	http         *tool.HTTPTimeouts
	consumer     *nsq.Config

	outputDir      string
	workDir        string // "" for outputDir
	datetimeFormat string
	filenameFormat string
	hostIdentifier string // "" for the short host name
	gzip           bool
	gzipLevel      int
	rotation       rotation
	syncInterval   time.Duration
	skipEmptyFiles bool

	logLevel, logPrefix string

	// What follows from them.
	pattern *regexp.Regexp // nil for all topics
	host    string
	log     *logger
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := newOptions(fs)
	return func(ctx context.Context) error {
		if err := o.complete(); err != nil {
			return err
		}
		return run(ctx, o)
	}
}

func newOptions(fs *flag.FlagSet) *options {
	o := &options{consumer: nsq.NewConfig()}
	o.consumer.MaxAttempts = 0 // a message that cannot be written for long is no reason to drop it
	o.consumer.MaxBackoffDuration = maxBackoff

	o.topics = tool.ListFlag(fs, "topic", "`topic` to write to files")
	fs.StringVar(&o.topicPattern, "topic-pattern", "", "`regexp` that names of topics have to match")
	fs.DurationVar(&o.topicRefresh, "topic-refresh", time.Minute, "how often nsqlookupd is asked for topics, when none is given")
	fs.StringVar(&o.channel, "channel", "nsq_to_file", "channel to subscribe to")
	fs.IntVar(&o.maxInFlight, "max-in-flight", 200, "how many messages of a topic may be in flight, and are written to disk together")
	o.sources = tool.SourceFlags(fs)
	o.http = tool.HTTPTimeoutFlags(fs, 2*time.Second, 5*time.Second)
	tool.ConsumerOptFlag(fs, &nsq.ConfigFlag{Config: o.consumer})

	fs.StringVar(&o.outputDir, "output-dir", defaultOutputDir(), "`directory` of the files")
	fs.StringVar(&o.workDir, "work-dir", "", "`directory` of files that are being written, on the file system of --output-dir (default that directory)")
	fs.StringVar(&o.datetimeFormat, "datetime-format", "%Y-%m-%d_%H", "strftime `format` of <DATETIME>, in local time")
	fs.StringVar(&o.filenameFormat, "filename-format", "<TOPIC>.<HOST><REV>.<DATETIME>.log", "`format` of names, with <TOPIC>, <HOST>, <PID>, <DATETIME> and <REV>, which counts the files of otherwise the same name; it may have directories")
	fs.StringVar(&o.hostIdentifier, "host-identifier", "", "what <HOST> stands for, in which <SHORT_HOST> and <HOSTNAME> stand for the name of this host (default <SHORT_HOST>)")
	fs.BoolVar(&o.gzip, "gzip", false, "compress the files")
	fs.IntVar(&o.gzipLevel, "gzip-level", 6, "gzip level, 1 (fast) to 9 (small)")
	fs.Int64Var(&o.rotation.size, "rotate-size", 0, "`bytes`, before compression, after which to begin a new file; 0 for no limit")
	fs.DurationVar(&o.rotation.interval, "rotate-interval", 0, "how long a file is written to before a new one is begun; 0 for no limit")
	fs.DurationVar(&o.syncInterval, "sync-interval", 30*time.Second, "how long messages may wait to be written to disk")
	fs.BoolVar(&o.skipEmptyFiles, "skip-empty-files", false, "create no file before there is a message for it")
	fs.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn, error or fatal")
	fs.StringVar(&o.logPrefix, "log-prefix", "[nsq_to_file] ", "what log lines begin with")
	return o
}

func defaultOutputDir() string {
	if runtime.GOOS == "windows" {
		return os.TempDir()
	}
	return "/tmp"
}

// complete checks the options and fills in what follows from them.
func (o *options) complete() error {
	level, err := logging.ParseLevel(o.logLevel)
	if err != nil {
		return errors.New("--log-level is invalid")
	}
	o.log = &logger{slog.New(logging.NewHandler(os.Stderr, o.logPrefix, level))}
	o.outputDir = filepath.Clean(o.outputDir)
	o.workDir = filepath.Clean(cmp.Or(o.workDir, o.outputDir))
	if err := cmp.Or(o.checkSources(), o.checkFiles()); err != nil {
		return err
	}
	if o.topicPattern != "" {
		if o.pattern, err = regexp.Compile(o.topicPattern); err != nil {
			return fmt.Errorf("invalid --topic-pattern: %w", err)
		}
	}
	hostname, err := os.Hostname()
	if err != nil && o.needsHostname() {
		return fmt.Errorf("the name of this host is unknown: %w", err)
	}
	o.host = expandHost(o.hostIdentifier, hostname)
	o.consumer.MaxInFlight = o.maxInFlight
	o.consumer.UserAgent = tool.UserAgent("nsq_to_file", nsq.VERSION)
	return nil
}

// checkSources reports the first mistake, in an order that scripts may know.
func (o *options) checkSources() error {
	if o.channel == "" {
		return errors.New("--channel is required")
	}
	if err := o.http.Check(); err != nil {
		return err
	}
	if err := o.sources.Check(); err != nil {
		if len(o.sources.NSQDs())+len(o.sources.Lookupds()) == 0 {
			return errors.New(err.Error() + ".") // as scripts know it from this program
		}
		return err
	}
	switch {
	case o.gzipLevel < 1 || o.gzipLevel > 9:
		return fmt.Errorf("invalid --gzip-level value (%d), should be 1-9", o.gzipLevel)
	case len(*o.topics) == 0 && o.topicPattern == "":
		return errors.New("--topic or --topic-pattern required")
	case len(*o.topics) == 0 && len(o.sources.Lookupds()) == 0:
		return errors.New("--lookupd-http-address must be specified when no --topic specified")
	case !nsq.IsValidChannelName(o.channel):
		return fmt.Errorf("--channel %q is invalid", o.channel)
	case o.maxInFlight < 1:
		return errors.New("--max-in-flight must be at least 1")
	case o.topicRefresh <= 0:
		return errors.New("--topic-refresh should be positive")
	}
	return nil
}

// checkFiles does the same for what files are like.
func (o *options) checkFiles() error {
	switch {
	case o.syncInterval <= 0:
		return errors.New("--sync-interval should be positive")
	case o.rotation.size < 0:
		return errors.New("--rotate-size must not be below 0")
	case o.rotation.interval < 0:
		return errors.New("--rotate-interval must not be below 0")
	case o.counts() && !strings.Contains(o.filenameFormat, tokenRev):
		return errors.New("missing <REV> in --filename-format when gzip, rotation, or work dir enabled")
	}
	return nil
}

// moves reports whether files are moved once they are complete.
func (o *options) moves() bool { return o.workDir != o.outputDir }

// counts reports whether there may be files that differ in <REV> only.
func (o *options) counts() bool {
	return o.gzip || o.rotation != (rotation{}) || o.moves()
}

// exclusive reports whether a file is never continued.
func (o *options) exclusive() bool { return o.gzip || o.rotation.interval > 0 }

// wants reports whether a topic matches the pattern.
func (o *options) wants(topic string) bool { return o.pattern == nil || o.pattern.MatchString(topic) }
