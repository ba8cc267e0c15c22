package clustertest

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// inProcess makes daemons inside this process.
type inProcess struct{}

func (inProcess) lookupd(t *testing.T) node {
	return &localLookupd{nsqtest.StartLookupd(t, nil)}
}

func (inProcess) nsqd(t *testing.T, lookupds ...node) node {
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = addressesOf(lookupds)
	return &localNSQD{nsqtest.Start(t, opts)}
}

type localLookupd struct{ d *nsqtest.Lookupd }

func (n *localLookupd) tcp() string  { return n.d.TCPAddr() }
func (n *localLookupd) http() string { return n.d.HTTPURL() }
func (n *localLookupd) stop()        { n.d.Stop() }
func (n *localLookupd) start()       { n.d = n.d.Restart() }

type localNSQD struct{ d *nsqtest.NSQD }

func (n *localNSQD) tcp() string  { return n.d.TCPAddr() }
func (n *localNSQD) http() string { return n.d.HTTPURL() }
func (n *localNSQD) stop()        { n.d.Stop() }

func (n *localNSQD) start() {
	opts := *n.d.Opts
	opts.TCPAddress = n.d.TCPAddr()
	opts.HTTPAddress = n.d.RealHTTPAddr().String()
	n.d = nsqtest.Start(n.d.TB, &opts)
}
