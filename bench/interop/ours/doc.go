// Package ours is the program with our library.
package ours
