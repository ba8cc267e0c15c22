// Package nsqadmin is the console of a cluster: pages for operators, and a JSON
// API for their scripts. It keeps nothing: all it knows is what daemons said since
// it started.
//
// # How a page comes about
//
// The poller (package watch) asks every nsqlookupd which nsqds and topics there are, and
// every nsqd for its statistics: every 2 s while somebody watches, every 10 s
// otherwise. Of what they said it makes a view, which never changes, and
// adds it to the history (package history), from which charts and sparklines are
// drawn (page_charts.go and package chart).
//
// A request for a page takes the latest view, so that no page waits for a network:
// a daemon that does not answer shows as such, and slows nothing. What a view has
// not, the consumers of one channel and the settings of one nsqd, is asked for when
// their page is, with a deadline; who has not answered by then is named. The
// handler (page_NAME.go) computes what templates/NAME.html shows; page.go puts
// layout.html around it and answers with all of it or, if a template fails, with
// an error. The script, static/nsqadmin.js, asks for the same page again and puts
// what changed in its place. Without it everything works as well, by links and
// forms.
//
// The JSON API (api_*.go) asks the daemons anew for each request, all at once:
// scripts want what is true now.
//
// # Packages below this one
//
//	internal/watch      the poller, its views, and the rules of what needs attention
//	internal/table      lists that a URL has sorted, filtered and cut into pages
//	internal/settings   what nsqds say of their options
//
// They know nothing of HTTP handlers and templates, nor of one another.
//
// # How something is done
//
// A button leads to a page that says what will happen, and what curl does the same
// (page_action.go). It, and the API (api_actions.go), end in NSQAdmin.do
// (action.go), which does it on all daemons concerned and tells what came of it on
// each; logs it, tells the notification endpoint (notify.go), and has the poller
// ask those daemons again before it returns.
//
// # Who may do what
//
// Looking is for everybody who reaches the listener. What changes something needs
// an admin, where there are any (access.go): a user whom a proxy names in a header.
// A browser that does so for a page of another site is refused before a handler is
// asked. The header of every answer keeps scripts, styles and pictures of others
// out, and the console out of their frames.
//
// # Locks
//
// Views, options and the list of nsqlookupds are atomics or never change. There are
// three mutexes, each alone, none held over a network:
//
//	history.Store.mu    the last hour of every topic, channel and node
//	settings.Cache.mu   what nsqds said of their settings
//	apiTopics' mu       what the answers to one request have come to so far
//
// # Goroutines, and who stops them
//
//	goroutine                    started by        ends when
//	httpServer.serve, requests   Main              Exit closes listener and server, and waits for
//	                                               requests; those that wait for daemons are cut
//	                                               short after half a second
//	notifier.loop                Main              Exit, after what it is sending
//	Poller.Run                   Main              Exit
//	  its workers, one a daemon  Poller.Run        their daemon is forgotten, or Poller.Run ends
//	NSQAdmin.checkNames          Main              all names are looked up, or Exit
//	those that ask a daemon      a request         it answered, or the request's deadline; the request
//	                                               waits for them
//
// Exit waits for all of them, in the order of its steps; Main returns when Exit is
// done.
package nsqadmin
