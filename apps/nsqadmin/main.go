// Command nsqadmin is the console of a cluster: it shows topics, channels and
// nodes, and does what an operator asks for.
package main

import (
	"os"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/nsqadmin"
)

func main() {
	os.Exit(daemon.Run(program(nsqadmin.NewOptions()), os.Args[1:], os.Stdout, os.Stderr))
}
