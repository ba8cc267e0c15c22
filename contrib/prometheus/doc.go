// Package prometheus tests what lies beside it, and the dashboard of Grafana: that every
// query can be parsed and names only metrics and labels that a scrape has, and that the
// rules fire when they should. It is a module of its own so that nothing else here depends
// on Prometheus itself.
package prometheus
