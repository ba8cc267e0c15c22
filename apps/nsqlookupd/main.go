// Command nsqlookupd is the directory of a cluster: it knows which nsqd has which
// topics and channels, and tells consumers.
package main

import (
	"os"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

func main() {
	os.Exit(daemon.Run(program(nsqlookupd.NewOptions()), os.Args[1:], os.Stdout, os.Stderr))
}
