// Package nsqadmin is the console of a cluster: pages for operators, and a JSON
// API for their scripts.
package nsqadmin
