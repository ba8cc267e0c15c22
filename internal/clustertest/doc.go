// Package clustertest holds the tests of whole clusters: brokers, nsqlookupds
// and consumers that find each other, in one process and as real ones, while
// some of them stop, die or hang; and tools that pass messages from broker to
// broker and into files.
package clustertest
