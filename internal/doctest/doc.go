// Package doctest keeps README.md and docs/*.md true. It has tests only: every
// command that a page shows is run, every link leads somewhere, and every flag, HTTP
// path and metric that a page names exists.
//
// # What a code block says of itself
//
// The first word after the fence is the language, by which it is shown; what follows
// tells the test what to do.
//
//	sh              runs, in the page's directory, and must end with status 0
//	sh fails        runs, and must end with another
//	sh background   one command that goes on, until the end of the page or <!-- doctest stop WORD -->,
//	                or kill in place of stop
//	sh norun WHY    cannot run in a test; its syntax is checked, and the test lists it
//	output          what the block before it prints: numbers of four digits and more, dates and times may
//	                be others, ... stands for anything in a line, a line of it for any lines
//	output WORD     what the command in the background with that word has printed by now, or soon does
//	go, toml, json, yaml, text or ini, and a name       a file, there for the commands that follow it
//	go, toml, json, yaml, text, ini or mermaid          is only shown
//
// A page's directory is empty at first; the README's is a checkout. Addresses that
// pages name become others, on ports that are free (addresses_test.go), and directories
// as /var/lib/nsq ones below the page's.
package doctest
