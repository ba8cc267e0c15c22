// Command nsqd is the broker: it receives, queues and delivers messages.
package main

import (
	"os"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/nsqd"
)

func main() { os.Exit(daemon.Run(program(nsqd.NewOptions()), os.Args[1:], os.Stdout, os.Stderr)) }

// broker is nsqd as the program runs it. It answers SIGHUP.
type broker struct {
	*nsqd.NSQD
	opts *nsqd.Options
}

// Hangup puts new certificates in force.
func (b *broker) Hangup() {
	log := b.opts.Logger
	if b.opts.TLSCert == "" && b.opts.TLSRootCAFile == "" {
		log.Info("SIGHUP: nothing to reload, there are no certificates")
		return
	}
	if err := b.Reload(); err != nil {
		log.Error("SIGHUP: certificates cannot be reloaded, the old ones stay in force", "error", err)
		return
	}
	log.Info("SIGHUP: certificates reloaded, in force for new connections")
}
