// Package auth asks auth servers what a client may do. A Client knows the
// servers and how to reach them, an Answer holds compiled permissions, and a
// Session keeps the answer for one client until it expires.
//
// A secret goes to auth servers and nowhere else: no error and no log line of
// this package contains one, whatever a server answers.
package auth
